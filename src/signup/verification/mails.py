"""Compose e-mails from templates, in plain text and HTML, in the language of the user."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from signup.i18n.catalog import DEFAULT, LANGUAGES, texts
from signup.outbox.message import DeliveryFailed, Mail, Message
from signup.verification.names import shown_name
from signup.verification.tokens import Claims, TokenSigner

# If an e-mail is requested more than this many seconds after the sign-up, it mentions that there may have been another
# sign-up since.
LATER = 60

# Control characters and separators, including line breaks, which would allow header injection.
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    auto_reload=False,
)


class MailComposer:
    """Composes the e-mails of a deployment. A message always produces the same e-mail, so that retries are identical.

    Args:
        signer: signs the tokens of the links; None if addresses are not verified.
        public_url: the URL of the Worker, with a slash at its end.
        service_name: the name of the service.
        ttl: seconds for which a link is valid.
        clock: returns the time, in seconds since 1970.
    """

    def __init__(
        self,
        signer: TokenSigner | None,
        public_url: str,
        service_name: str,
        ttl: int,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._signer = signer
        self._link = f"{public_url}verify?token="
        self._service = _line(service_name)
        self._ttl = ttl
        self._clock = clock

    def compose(self, message: Message) -> Mail:
        """Return the e-mail of a message, whose kind is `verify_email` or `already_registered`.

        Raises:
            DeliveryFailed: the link in the e-mail has expired, or verification is off.
        """
        language = message.language if message.language in LANGUAGES else DEFAULT
        mails = texts(language).mails
        context: dict[str, object] = {
            "kind": message.kind,
            "mails": mails,
            "language": language,
            "service": self._service,
            "email": message.email,
        }
        subject = mails.known_subject
        if message.kind == "verify_email":
            subject = mails.verify_subject
            context |= self._verification(message)
        text, html = (_TEMPLATES.get_template(f"mail.{extension}").render(context) for extension in ("txt", "html"))
        return Mail(message.email, subject.format(service=self._service), text, html)

    def _verification(self, message: Message) -> dict[str, object]:
        """Return the additional template variables of the e-mail with a link."""
        if self._signer is None:
            raise DeliveryFailed("verification_off", permanent=True)
        created = int(message.created_at.timestamp())
        signed_up = created if message.signed_up_at is None else int(message.signed_up_at.timestamp())
        name = shown_name(message.name)
        # The link expires `ttl` seconds after the message, not after the attempt, so that all attempts send the same
        # e-mail.
        expires = created + self._ttl
        if self._clock() >= expires:
            raise DeliveryFailed("expired", permanent=True)
        return {
            "name": name,
            "link": self._link + self._signer.sign(Claims(message.user_id, message.email, expires, name, signed_up)),
            "signed_up_at": _time(signed_up),
            "expires_at": _time(expires),
            "later": created - signed_up > LATER,
        }


def _line(text: str) -> str:
    """Return a text as a single line."""
    return _CONTROLS.sub(" ", text).strip()


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
