"""German."""

PROBLEMS = {
    "internal": (
        "Interner Fehler",
        "Bei uns ist ein Fehler aufgetreten. Ob das Konto angelegt wurde, ist nicht bekannt.",
    ),
    "malformed_json": (
        "Ungültiges JSON",
        "Senden Sie ein JSON-Objekt (RFC 8259) in UTF-8, in dem kein Name doppelt vorkommt.",
    ),
    "malformed_form": ("Ungültiges Formular", "Senden Sie das Formular in UTF-8 und jedes Feld höchstens einmal."),
    "bad_idempotency_key": (
        "Ungültiger Idempotency-Key",
        "Der Idempotency-Key muss aus 1 bis 255 sichtbaren ASCII-Zeichen bestehen.",
    ),
    "cross_origin_refused": (
        "Anfrage einer fremden Website abgelehnt",
        "Von dieser Website aus ist keine Registrierung möglich.",
    ),
    "https_required": (
        "HTTPS erforderlich",
        "Die Anfrage kam unverschlüsselt an, ihr Inhalt wurde nicht gelesen. Senden Sie sie an die https://-Adresse.",
    ),
    "not_found": (
        "Nicht gefunden",
        "Unter diesem Pfad gibt es nichts. Zum Registrieren senden Sie eine POST-Anfrage an /.",
    ),
    "method_not_allowed": (
        "Methode nicht erlaubt",
        "Dieser Pfad unterstützt die Methode der Anfrage nicht. Der Header Allow nennt die unterstützten Methoden.",
    ),
    "body_timeout": (
        "Zeitüberschreitung bei der Übertragung",
        "Die Anfrage ist nicht rechtzeitig angekommen. Es wurde nichts angelegt. Bitte versuchen Sie es erneut.",
    ),
    "email_taken": ("E-Mail-Adresse bereits vergeben", "Für diese E-Mail-Adresse gibt es bereits ein Konto."),
    "body_too_large": ("Anfrage zu groß", "Der Inhalt der Anfrage darf höchstens 16 KiB groß sein."),
    "unsupported_media_type": (
        "Medientyp nicht unterstützt",
        "Senden Sie JSON oder ein Formular mit passendem Content-Type, in UTF-8 und ohne Content-Encoding.",
    ),
    "validation_failed": (
        "Ungültige Angaben",
        "Einige Felder fehlen, sind ungültig oder unbekannt. `errors` führt sie alle auf.",
    ),
    "idempotency_mismatch": (
        "Idempotency-Key bereits verwendet",
        "Dieser Idempotency-Key gehört zu einer anderen Anfrage. Eine neue Registrierung braucht einen neuen.",
    ),
    "rate_limited": (
        "Zu viele Anfragen",
        "Von Ihnen oder für diese E-Mail-Adresse kamen zu viele Anfragen. Bitte versuchen Sie es später erneut.",
    ),
    "misconfigured": (
        "Dienst falsch eingerichtet",
        "Dieser Dienst ist nicht richtig eingerichtet. Sein Protokoll nennt die fehlerhafte Einstellung.",
    ),
    "bot_check_unavailable": (
        "Bot-Prüfung nicht verfügbar",
        "Die Bot-Prüfung ist nicht erreichbar. Es wurde nichts angelegt. Bitte versuchen Sie es später erneut.",
    ),
    "breach_check_unavailable": (
        "Passwortprüfung nicht verfügbar",
        "Das Passwort konnte nicht auf Datenlecks geprüft werden. Bitte versuchen Sie es später erneut.",
    ),
    "too_busy": (
        "Überlastet",
        "Derzeit laufen zu viele Registrierungen. Es wurde nichts angelegt. Bitte versuchen Sie es später erneut.",
    ),
    "proxy_busy": (
        "Datenbank überlastet",
        "Zu viele Anfragen warten auf die Datenbank. Bitte versuchen Sie es später erneut.",
    ),
    "proxy_unavailable": (
        "Datenbank nicht verfügbar",
        "Die Datenbank ist nicht erreichbar. Bitte versuchen Sie es später erneut.",
    ),
    "proxy_timeout": (
        "Zeitüberschreitung der Datenbank",
        "Die Datenbank hat nicht rechtzeitig geantwortet. Ob das Konto angelegt wurde, ist nicht bekannt.",
    ),
}

FIELD_ERRORS = {
    "required": "Dieses Feld ist erforderlich.",
    "name.required": "Geben Sie Ihren Namen ein.",
    "email.required": "Geben Sie Ihre E-Mail-Adresse ein.",
    "password.required": "Geben Sie ein Passwort ein.",
    "cf-turnstile-response.required": "Bitte schließen Sie die Bot-Prüfung ab.",
    "unknown_field": "Dieses Feld wird nicht unterstützt.",
    "not_a_string": "Der Wert muss ein Text sein.",
    "too_short": "Dieses Feld muss mindestens {limit} Zeichen lang sein.",
    "name.too_short": "Geben Sie Ihren Namen ein.",
    "password.too_short": "Das Passwort muss mindestens {limit} Zeichen lang sein.",
    "too_long": "Dieses Feld darf höchstens {limit} Zeichen lang sein.",
    "name.too_long": "Der Name darf höchstens {limit} Zeichen lang sein.",
    "password.too_long": "Das Passwort darf höchstens {limit} Zeichen lang sein.",
    "control_character": "Dieses Feld darf keine Steuerzeichen wie Zeilenumbrüche enthalten.",
    "name.control_character": "Der Name darf keine Steuerzeichen wie Zeilenumbrüche enthalten.",
    "invisible_character": "Dieses Feld darf keine unsichtbaren Zeichen enthalten.",
    "name.invisible_character": "Der Name darf keine unsichtbaren Zeichen enthalten.",
    "not_an_email_address": "Geben Sie eine E-Mail-Adresse wie ada@example.com ein.",
    "mixed_scripts": "Mischen Sie in der E-Mail-Adresse keine Schriften wie Lateinisch und Kyrillisch.",
    "compatibility_character": "Verwenden Sie in der E-Mail-Adresse vor dem @ keine Ligaturen oder ähnlichen Formen.",
    "subaddress_refused": "Geben Sie eine E-Mail-Adresse ohne + vor dem @ ein.",
    "built_from_name": "Dieses Passwort ähnelt Ihrem Namen zu sehr.",
    "built_from_email": "Dieses Passwort ähnelt Ihrer E-Mail-Adresse zu sehr.",
    "built_from_service_name": "Dieses Passwort ähnelt dem Namen dieses Dienstes zu sehr.",
    "too_common": (
        "Dieses Passwort ist zu leicht zu erraten. Vermeiden Sie gängige Passwörter, Tastenreihen und Wiederholungen."
    ),
    "breached": "Dieses Passwort ist aus einem Datenleck bekannt. Wählen Sie ein anderes.",
    "bot_check_expired": "Die Bot-Prüfung ist abgelaufen. Bitte führen Sie sie erneut durch.",
    "bot_check_failed": "Die Bot-Prüfung ist fehlgeschlagen. Bitte versuchen Sie es erneut.",
    "bot_check_foreign": (
        "Die Bot-Prüfung gehört zu einer anderen Seite. Laden Sie diese Seite neu und versuchen Sie es erneut."
    ),
}

LABELS = {
    "name": "Name",
    "email": "E-Mail-Adresse",
    "password": "Passwort",
}

PAGE = {
    "title": "Konto erstellen",
    "title_with_errors": "Fehler: Konto erstellen",
    "optional": "{label} (optional)",
    "hint": "Mindestens {limit} Zeichen. Alle Zeichen sind erlaubt, auch Leerzeichen.",
    "show": "Passwort anzeigen",
    "submit": "Registrieren",
    "no_script": "Die Bot-Prüfung benötigt JavaScript. Bitte aktivieren Sie es in Ihrem Browser.",
    "errors": "Bitte korrigieren Sie die markierten Felder",
    "retry_after": "Bitte warten Sie {seconds} s und versuchen Sie es dann erneut.",
    "safe_to_retry": "Sie können es bedenkenlos erneut versuchen. Es wird kein zweites Konto angelegt.",
    "reference": "Anfragenummer für den Support: {id}",
    "created_title": "Sie sind registriert",
    "created": "Ihr Konto wurde angelegt.",
    "accepted_title": "Vielen Dank",
    "accepted": "Falls es zu Ihrer E-Mail-Adresse noch kein Konto gab, wurde eines angelegt.",
    "sending": "Konto wird angelegt …",
    "missing": "Noch {n} Zeichen nötig",
    "enough": "Lang genug",
    "surplus": "{n} Zeichen zu viel",
    "no_response_title": "Keine Antwort",
    "no_response": "Der Dienst war nicht erreichbar, oder seine Antwort ging verloren.",
}
