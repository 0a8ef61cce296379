"""German: the page's texts, and those of problem details and their field errors by what they are in English.

Imported when somebody asks for it.
"""

from signup.i18n.english import Texts

GERMAN = Texts(
    language="de",
    title="Registrieren",
    labels={
        "name": "Name",
        "email": "E-Mail-Adresse",
        "password": "Passwort",
        "cf-turnstile-response": "Die Prüfung gegen Bots",
    },
    hint="Mindestens {least} Zeichen. Alle Zeichen sind erlaubt, auch Leerzeichen.",
    show="Passwort anzeigen",
    submit="Registrieren",
    error="Fehler",
    check="Bitte sehen Sie sich an, was markiert ist",
    again="Sie können es gefahrlos noch einmal versuchen: Niemand wird zweimal registriert.",
    retry="Sie können es in {n} Sekunden noch einmal versuchen.",
    retry_one="Sie können es in 1 Sekunde noch einmal versuchen.",
    reference="Die Nummer dieser Anfrage, falls Sie um Hilfe bitten: {id}",
    done="Sie sind registriert",
    created="Ihr Konto wurde angelegt.",
    accepted="Vielen Dank",
    perhaps="Falls es zu Ihrer E-Mail-Adresse noch kein Konto gab, gibt es jetzt eines.",
    no_script="Eine Prüfung gegen Bots braucht JavaScript, das hier ausgeschaltet ist.",
    sending="Wird gesendet …",
    missing="Es fehlen noch {n} Zeichen",
    missing_one="Es fehlt noch 1 Zeichen",
    enough="Lang genug",
    surplus="{n} Zeichen zu viel",
    surplus_one="1 Zeichen zu viel",
    unheard="Keine Antwort",
    unheard_why="Der Dienst war nicht erreichbar, oder seine Antwort ging verloren.",
)

# `{n}` is a number.
PROBLEMS = {
    # Titles.
    "Internal error": "Interner Fehler",
    "Malformed JSON": "Fehlerhaftes JSON",
    "Malformed form": "Fehlerhaftes Formular",
    "Bad idempotency key": "Unzulässiger Idempotency-Key",
    "Cross-origin request refused": "Anfrage einer fremden Seite abgelehnt",
    "HTTPS required": "HTTPS erforderlich",
    "Not found": "Nicht gefunden",
    "Method not allowed": "Methode nicht erlaubt",
    "Not acceptable": "Nicht akzeptabel",
    "Body too slow": "Übertragung zu langsam",
    "E-mail address taken": "E-Mail-Adresse vergeben",
    "Body too large": "Anfrage zu groß",
    "Unsupported media type": "Medientyp nicht unterstützt",
    "Validation failed": "Angaben nicht in Ordnung",
    "Idempotency key reused": "Idempotency-Key schon benutzt",
    "Too many requests": "Zu viele Anfragen",
    "Misconfigured": "Falsch eingerichtet",
    "Bot check unavailable": "Prüfung gegen Bots nicht erreichbar",
    "Breach check unavailable": "Passwortprüfung nicht erreichbar",
    "Too busy": "Zu beschäftigt",
    "Database busy": "Datenbank überlastet",
    "Database unavailable": "Datenbank nicht erreichbar",
    "Database too slow": "Datenbank zu langsam",
    # Details.
    "Something went wrong on our side. Whether the user was created is not known.": (
        "Auf unserer Seite ist etwas schiefgegangen. Ob der Benutzer angelegt wurde, ist nicht bekannt."
    ),
    "The body must be one JSON object (RFC 8259) in UTF-8, with no name twice.": (
        "Der Inhalt muss ein JSON-Objekt (RFC 8259) in UTF-8 sein, in dem kein Name zweimal steht."
    ),
    "The form must be in UTF-8, with no field twice.": (
        "Das Formular muss in UTF-8 sein, und kein Feld darf zweimal darin stehen."
    ),
    "The header Idempotency-Key must be 1 to 255 visible ASCII characters.": (
        "Der Header Idempotency-Key muss aus 1 bis 255 sichtbaren ASCII-Zeichen bestehen."
    ),
    "Pages of this origin may not sign users up.": "Seiten dieser Herkunft dürfen niemanden registrieren.",
    "The request came over plain HTTP, and its body was not read. Send it to the https:// address.": (
        "Die Anfrage kam unverschlüsselt, ihr Inhalt wurde nicht gelesen. Senden Sie sie an die https://-Adresse."
    ),
    "The body did not arrive in time. Nothing was created; try again.": (
        "Der Inhalt kam nicht rechtzeitig an. Angelegt wurde nichts; versuchen Sie es noch einmal."
    ),
    "There is nothing at this path. Sign up with POST /.": (
        "Unter diesem Pfad gibt es nichts. Registriert wird mit POST /."
    ),
    "This path does not take that method; the Allow header says which it takes.": (
        "Dieser Pfad kennt diese Methode nicht; der Header Allow sagt, welche er kennt."
    ),
    "This path has a page in text/html, which the Accept header does not allow. Sign up with POST /.": (
        "Unter diesem Pfad gibt es eine Seite in text/html, die der Header Accept nicht erlaubt. "
        "Registriert wird mit POST /."
    ),
    "There is already a user with this e-mail address.": "Zu dieser E-Mail-Adresse gibt es schon einen Benutzer.",
    "The body may be at most 16 KiB long.": "Der Inhalt darf höchstens 16 KiB lang sein.",
    "The body must be JSON or a form, declared as such, in UTF-8 and without a content encoding.": (
        "Der Inhalt muss JSON oder ein Formular sein, als solches bezeichnet, in UTF-8 und nicht komprimiert."
    ),
    "Some fields are missing, wrong or unknown; `errors` lists up to 50 of them.": (
        "Einige Felder fehlen, sind falsch oder unbekannt; in `errors` stehen bis zu 50 davon."
    ),
    "This Idempotency-Key belongs to a request with another body. Use a new key for another sign-up.": (
        "Dieser Idempotency-Key gehört zu einer Anfrage mit anderem Inhalt. "
        "Eine andere Registrierung braucht einen neuen."
    ),
    "There were too many requests from this client, or for this e-mail address. Try again later.": (
        "Von hier oder zu dieser E-Mail-Adresse kamen zu viele Anfragen. Versuchen Sie es später noch einmal."
    ),
    "This service is not set up correctly; its log says which setting is wrong.": (
        "Dieser Dienst ist nicht richtig eingerichtet; in seinem Protokoll steht, welche Einstellung falsch ist."
    ),
    "The check against bots cannot be reached. Try again later; nothing was created.": (
        "Die Prüfung gegen Bots ist nicht erreichbar. Versuchen Sie es später noch einmal; angelegt wurde nichts."
    ),
    "It cannot be checked at the moment whether the password is a breached one. Try again later.": (
        "Ob das Passwort auf einer Liste gestohlener Passwörter steht, lässt sich im Augenblick nicht prüfen. "
        "Versuchen Sie es später noch einmal."
    ),
    "Too many sign-ups are waiting here. Nothing was done for this one; try again later.": (
        "Hier warten zu viele Registrierungen. Für diese wurde nichts getan; versuchen Sie es später noch einmal."
    ),
    "Too many requests are waiting for the database. Try again later.": (
        "Zu viele Anfragen warten auf die Datenbank. Versuchen Sie es später noch einmal."
    ),
    "The database cannot be reached. Try again later.": (
        "Die Datenbank ist nicht erreichbar. Versuchen Sie es später noch einmal."
    ),
    "The database did not answer in time. Whether the user was created is not known.": (
        "Die Datenbank hat nicht rechtzeitig geantwortet. Ob der Benutzer angelegt wurde, ist nicht bekannt."
    ),
    # Field errors, which read on after the field's name.
    "is required": "ist erforderlich",
    "is not a known field": "ist kein bekanntes Feld",
    "must be a string": "muss Text sein",
    "must not be empty": "darf nicht leer sein",
    "must be at least {n} characters long": "muss mindestens {n} Zeichen lang sein",
    "must be at most {n} characters long": "darf höchstens {n} Zeichen lang sein",
    "must not contain control characters": "darf keine Steuerzeichen enthalten",
    "must not contain characters that cannot be seen": "darf keine unsichtbaren Zeichen enthalten",
    "must be an e-mail address, such as ada@example.com": "muss eine E-Mail-Adresse sein, etwa ada@example.com",
    "must not mix letters of several scripts in one part": "darf in keinem Teil verschiedene Schriften mischen",
    "must not contain ligatures or other compatibility characters before the @": (
        "darf vor dem @ keine Ligaturen oder anderen Kompatibilitätszeichen enthalten"
    ),
    "must not have a + before the @": "darf kein + vor dem @ haben",
    "must not have a reserved domain, such as example.test": "darf keine reservierte Domain haben, etwa example.test",
    "must have at most {n} bytes before the @": "darf vor dem @ höchstens {n} Byte lang sein",
    "must not be your name with little else": "darf nicht aus Ihrem Namen und wenig mehr bestehen",
    "must not be your e-mail address, or a part of it, with little else": (
        "darf nicht aus Ihrer E-Mail-Adresse oder einem Teil davon und wenig mehr bestehen"
    ),
    "must not be the name of this service with little else": (
        "darf nicht aus dem Namen dieses Dienstes und wenig mehr bestehen"
    ),
    "must not be made of common passwords, rows of keys or repetitions with little else": (
        "darf nicht aus gängigen Passwörtern, Tastenreihen oder Wiederholungen und wenig mehr bestehen"
    ),
    "must not stand on a published list of breached passwords": (
        "darf auf keiner veröffentlichten Liste gestohlener Passwörter stehen"
    ),
    "has expired or was used already; solve the challenge again": (
        "ist abgelaufen oder wurde schon benutzt; lösen Sie die Aufgabe noch einmal"
    ),
    "was not accepted; solve the challenge again": "wurde nicht anerkannt; lösen Sie die Aufgabe noch einmal",
    "was made on another page or for another purpose": "war für eine andere Seite oder einen anderen Zweck",
}
