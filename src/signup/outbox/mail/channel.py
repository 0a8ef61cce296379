"""The e-mail channel: composes an e-mail from a message and sends it through the provider."""

from collections.abc import Callable

from signup.outbox.delivery import Channel
from signup.outbox.mail.mailer import Mailer
from signup.outbox.message import MAILS, Mail, Message


def mail_channel(mailer: Mailer, compose: Callable[[Message], Mail]) -> Channel:
    """Return the channel that sends e-mails.

    Args:
        mailer: sends the e-mails.
        compose: returns the e-mail for a message. It must return the same e-mail for each attempt.
    """

    async def send(message: Message, deadline: float) -> None:
        await mailer.send(compose(message), message.key, deadline)

    return Channel(MAILS, send)
