"""The interface of mail providers."""

import re
from typing import NamedTuple, Protocol

from signup.outbox.message import Mail

_NAMED = re.compile(r"(.+) <(.+)>")


class Sender(NamedTuple):
    """The sender of the e-mails.

    Args:
        text: the name and address, as in a header.
        name: the name; "" if there is none.
        email: the address.
    """

    text: str
    name: str
    email: str

    @classmethod
    def parse(cls, text: str) -> "Sender":
        """Parse a valid MAIL_FROM, whose name contains no quotes or backslashes."""
        match = _NAMED.fullmatch(text)
        return cls(f'"{match[1].strip()}" <{match[2]}>', match[1].strip(), match[2]) if match else cls(text, "", text)


class Mailer(Protocol):
    """A mail provider."""

    async def send(self, mail: Mail, key: str, deadline: float) -> None:
        """Send an e-mail.

        Args:
            mail: the e-mail.
            key: the idempotency key, by which the provider or the recipient detects a repeated e-mail.
            deadline: the time by which to return, in seconds on the monotonic clock.

        Raises:
            DeliveryFailed: the provider did not accept the e-mail, or the outcome is unknown.
        """
        ...
