"""Cloudflare Email Service, through its binding.

https://developers.cloudflare.com/email-service/api/send-emails/workers-api/
"""

import re
import time

from signup.json_codec import encode
from signup.outbox.binding import EmailBinding
from signup.outbox.mail.mailer import Sender
from signup.outbox.message import DeliveryFailed, Mail

# The name of the binding in wrangler.toml.
EMAIL = "EMAIL"
# Permanent errors of the message itself. Other errors may be temporary: limits, outages, a domain that is not set up.
_PERMANENT = {"E_RECIPIENT_SUPPRESSED", "E_RECIPIENT_NOT_ALLOWED", "E_VALIDATION_ERROR", "E_CONTENT_TOO_LARGE"}
_CODE = re.compile(r"E_[A-Z_]{1,60}")


class CloudflareMailer:
    """Sends e-mails through the binding. The service has no idempotency keys, so the key is in a header of the e-mail.

    Args:
        binding: the binding; None if it is not bound.
        sender: the sender of the e-mails.
    """

    def __init__(self, binding: EmailBinding | None, sender: Sender) -> None:
        self._binding = binding
        self._sender = sender

    async def send(self, mail: Mail, key: str, deadline: float) -> None:
        """Send an e-mail; see `Mailer.send`."""
        if self._binding is None:
            raise DeliveryFailed("not_bound")
        sender = {"email": self._sender.email, "name": self._sender.name} if self._sender.name else self._sender.email
        fields = {
            "from": sender,
            "to": mail.to,
            "subject": mail.subject,
            "text": mail.text,
            "html": mail.html,
            "headers": {"X-Idempotency-Key": key},
        }
        milliseconds = max(1, round((deadline - time.monotonic()) * 1000))
        error = await self._binding(encode(fields).decode(), milliseconds)
        if error == "TimeoutError":
            raise DeliveryFailed("timeout")
        if error:
            # Other text must not be logged.
            code = error.lower() if _CODE.fullmatch(error) else "refused"
            raise DeliveryFailed(code, permanent=error in _PERMANENT)
