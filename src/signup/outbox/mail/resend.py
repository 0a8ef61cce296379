"""Resend (https://resend.com/docs/api-reference/emails/send-email)."""

import httpx

from signup.http_client import Http
from signup.json_codec import encode, parse_object
from signup.outbox import exchange
from signup.outbox.mail.mailer import Sender
from signup.outbox.message import DeliveryFailed, Mail
from signup.problems import MalformedJson

# Permanent errors of the message itself. A domain or sender that is not set up causes other errors.
_PERMANENT = {"validation_error", "invalid_to_address", "missing_required_field"}
_UNPROCESSABLE = (httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY)


class ResendMailer:
    """Sends e-mails over the HTTP API, which sends only one e-mail for each key within 24 hours.

    Args:
        http: creates the endpoint.
        origin: the origin of the API.
        key: the API key.
        sender: the sender of the e-mails.
    """

    def __init__(self, http: Http, origin: str, key: str, sender: Sender) -> None:
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        self._endpoint = http.endpoint(f"{origin}/emails", headers)
        self._sender = sender

    async def send(self, mail: Mail, key: str, deadline: float) -> None:
        """Send an e-mail; see `Mailer.send`."""
        fields = {
            "from": self._sender.text,
            "to": [mail.to],
            "subject": mail.subject,
            "text": mail.text,
            "html": mail.html,
        }
        response = await exchange.post(self._endpoint, encode(fields), {"idempotency-key": key}, deadline)
        if not response.is_success:
            raise _failure(response)


def _failure(response: httpx.Response) -> DeliveryFailed:
    try:
        name = parse_object(response.content).get("name")
    except MalformedJson:
        name = None
    return exchange.failure(response, permanent=response.status_code in _UNPROCESSABLE and name in _PERMANENT)
