"""The content of the e-mails, and the escaping of names."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser

import pytest
from pydantic import SecretBytes

from signup.i18n.catalog import LANGUAGES, texts
from signup.outbox.message import DeliveryFailed, Mail, Message
from signup.verification.mails import MailComposer
from signup.verification.names import LONGEST_SHOWN, shown_name
from signup.verification.tokens import Claims, TokenSigner

CREATED = datetime(2026, 11, 29, 12, 0, 0, 500_000, UTC)
TTL = 3600
SIGNER = TokenSigner([SecretBytes(b"k" * 32)], CREATED.timestamp)
URL = "https://signup.example/"
VERIFY = Message(
    id="7",
    key="0c1f7d3e-6c5e-4f0a-9a57-0d2f1c7b9e41",
    kind="verify_email",
    user_id="12",
    email="ada@example.com",
    name="Ada Löwe",
    language="en",
    attempts=1,
    created_at=CREATED,
    signed_up_at=CREATED,
)
KNOWN = replace(VERIFY, kind="already_registered")
LINK = re.compile(r"https://signup\.example/verify\?token=([A-Za-z0-9_.-]+)")


def compose(message: Message = VERIFY, service: str = "Tea & Cake") -> Mail:
    """Return the e-mail of a message."""
    return MailComposer(SIGNER, URL, service, TTL, CREATED.timestamp).compose(message)


class Elements(HTMLParser):
    """The elements of an HTML document, with its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record an element."""
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.links += [value or "" for name, value in attrs if name in ("href", "src", "action", "background")]

    def handle_data(self, data: str) -> None:
        """Record text."""
        self.text += data


def test_the_email_has_one_link_whose_token_has_user_address_and_expiry() -> None:
    """The link expires a fixed time after the message was recorded, so that a repeated e-mail is identical.

    Text and HTML have the same link.
    """
    mail = compose()
    (token,) = LINK.findall(mail.text)
    assert Elements(mail.html).links == [f"{URL}verify?token={token}"]
    created = int(CREATED.timestamp())
    assert SIGNER.verify(token) == Claims("12", "ada@example.com", created + TTL, "Ada Löwe", created)
    assert compose() == mail == compose(replace(VERIFY, attempts=5))
    assert mail.to == "ada@example.com"


def test_no_email_is_sent_with_an_expired_link() -> None:
    """The failure is permanent. An e-mail without a link does not expire."""
    expiry = int(CREATED.timestamp()) + TTL
    mail = MailComposer(SIGNER, URL, "Tea", TTL, lambda: expiry - 0.001).compose(VERIFY)
    (token,) = LINK.findall(mail.text)
    assert SIGNER.verify(token).expires_at == expiry
    late = MailComposer(SIGNER, URL, "Tea", TTL, lambda: expiry)
    with pytest.raises(DeliveryFailed) as caught:
        late.compose(VERIFY)
    assert (caught.value.error, caught.value.permanent) == ("expired", True)
    assert late.compose(KNOWN).to == KNOWN.email


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("message", [VERIFY, KNOWN], ids=lambda message: message.kind)
def test_an_email_is_in_the_language_of_the_user(message: Message, language: str) -> None:
    """The subject and the text name the service, and the HTML has the sentences of the text."""
    mail = compose(replace(message, language=language))
    mail_texts = texts(language).mails
    subject = mail_texts.verify_subject if message is VERIFY else mail_texts.known_subject
    assert mail.subject == subject.format(service="Tea & Cake")
    assert f'<html lang="{language}">' in mail.html
    sentences = [each.strip() for each in mail.text.splitlines() if each.strip() and "verify?token" not in each]
    html = " ".join(Elements(mail.html).text.split())
    for sentence in sentences:
        assert sentence in html or sentence == "--"
    assert "Tea & Cake" in mail.text
    if message is KNOWN:
        assert not LINK.search(mail.text + mail.html)


def test_an_email_in_an_unknown_language_is_in_english() -> None:
    """A later version of this service may have stored the language."""
    assert compose(replace(VERIFY, language="xx")) == compose()


def test_the_email_states_whose_password_opens_the_account() -> None:
    """Text and HTML have the name and time of the sign-up, and state the effect of confirming and not confirming."""
    mail = compose()
    for part in (mail.text, unescape(mail.html)):
        assert "Ada Löwe" in part
        assert "2026-11-29 12:00 UTC" in part
        assert "2026-11-29 13:00 UTC" in part
        assert texts("en").mails.verify_password in part
        assert texts("en").mails.verify_no in part
        assert texts("en").mails.verify_later not in part


def test_a_later_email_states_that_a_later_sign_up_did_not_succeed() -> None:
    """Without this sentence, an owner who signed up after an attacker might confirm the attacker's account."""
    mail = compose(replace(VERIFY, signed_up_at=CREATED - timedelta(hours=5)))
    for part in (mail.text, unescape(mail.html)):
        assert texts("en").mails.verify_later in part
        assert "2026-11-29 07:00 UTC" in part
    # The link expires a fixed time after the later e-mail was requested, not after the sign-up.
    assert SIGNER.verify(LINK.findall(mail.text)[0]).expires_at == int(CREATED.timestamp()) + TTL


HOSTILE_NAMES = [
    "Ada\r\nBcc: eve@evil.example",
    "Win at https://evil.example/now",
    "evil.example",
    "www.evil.example",
    "evil\u3002example",
    "evil\uff0eexample",
    "evil\uff61example",
    "evil\u2024example",
    "eve@evil.example",
    "javascript:alert(1)",
    "<a href=https://evil.example>Ada</a>",
    "<img src=//evil.example/x>",
    "\\\\evil.example\\share",
    "[Ada](https://evil.example)",
    "Call +49 30 123456 now",
    "tel:0301234567",
    "Ada\u2028Bcc: eve",
    "{service} {{ link }} %s",
    "\u202emoc.elpmaxe",
]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_name_injects_no_header_and_no_link(name: str) -> None:
    """Only letters, marks and the punctuation of names are shown: no line breaks, markup or links."""
    usual, mail = compose(), compose(replace(VERIFY, name=name))
    assert mail.subject == usual.subject
    assert Elements(mail.html).tags == Elements(usual.html).tags
    assert (len(mail.text.splitlines()), len(LINK.findall(mail.text))) == (len(usual.text.splitlines()), 1)
    shown = shown_name(name)
    assert f"Name: {shown}\n" in mail.text
    assert not re.search(r"[^\w\s'\u2019.\u00b7\u2010-]|[\d_]|\.\S|[\u202e\u2028\u3002\uff0e\uff61\u2024]", shown)


@pytest.mark.parametrize(
    "name",
    [
        "Ada Löwe",
        "J. R. R. Tolkien",
        "O'Neil",
        "D\u2019Arcy",
        "Jean-Luc",
        "李小龍",
        "محمد علي",
        "प्रिया",
        "Ana María",
        "میر\u200cحسین",
    ],
)
def test_a_usual_name_is_shown_unchanged(name: str) -> None:
    """The recipient must recognise the name."""
    assert shown_name(name) == name


def test_a_name_without_letters_is_omitted_and_a_long_one_is_cut() -> None:
    """A long name is cut to 50 code points, including an ellipsis."""
    assert "Name:" not in compose(replace(VERIFY, name="1234")).text
    assert "<bdi>" not in compose(replace(VERIFY, name="🎉")).html
    assert len(shown_name("a" * 100)) == LONGEST_SHOWN
    assert shown_name("a" * 100).endswith("…")


@pytest.mark.parametrize(
    "service",
    [
        "A\r\nBcc: eve@evil.example",
        "A\nB",
        "<script></script>",
        '"><a href="https://evil.example">',
        "A\u2028B",
    ],
)
@pytest.mark.parametrize("message", [VERIFY, KNOWN], ids=lambda message: message.kind)
def test_the_service_name_injects_no_header_and_no_markup(message: Message, service: str) -> None:
    """The name is reduced to one line, and is escaped in HTML."""
    usual, mail = compose(message), compose(message, service)
    assert len(mail.subject.splitlines()) == 1
    assert Elements(mail.html).tags == Elements(usual.html).tags
    assert [link.partition("?")[0] for link in Elements(mail.html).links] == [f"{URL}verify"] * (message is VERIFY)
    assert len(mail.text.splitlines()) == len(usual.text.splitlines())


@pytest.mark.parametrize("message", [VERIFY, KNOWN], ids=lambda message: message.kind)
def test_the_html_loads_no_resources(message: Message) -> None:
    """There is no image, script, style sheet or form, so opening the e-mail sends no request."""
    elements = Elements(compose(message).html)
    assert {*elements.tags} <= {
        *("html", "head", "meta", "title", "body", "div", "p", "h1", "strong", "bdi", "br", "a"),
    }
    assert elements.attributes <= {"lang", "charset", "name", "content", "style", "href"}
    assert "url(" not in compose(message).html
