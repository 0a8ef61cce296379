"""The log as a mail provider, for development."""

from signup.json_codec import encode
from signup.log import Fields, Log
from signup.outbox.message import Mail


class LogMailer:
    """Writes e-mails to the log, with their links.

    Args:
        log: writes one line for each e-mail.
    """

    def __init__(self, log: Log) -> None:
        self._log = log

    async def send(self, mail: Mail, key: str, deadline: float) -> None:  # noqa: ARG002 - part of the interface
        """Write an e-mail to the log."""
        fields: Fields = {"message": key, "to": mail.to, "subject": mail.subject, "text": mail.text}
        self._log(encode({"event": "mail", "level": "info", **fields}).decode())
