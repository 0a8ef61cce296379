"""Postmark (https://postmarkapp.com/developer/api/email-api)."""

import httpx

from signup.http_client import Http
from signup.json_codec import encode, parse_object
from signup.outbox import exchange
from signup.outbox.mail.mailer import Sender
from signup.outbox.message import DeliveryFailed, Mail
from signup.problems import MalformedJson

STREAM = "outbound"
# The codes of permanent errors: an invalid request or address, and a recipient that bounced or complained.
_PERMANENT = {300, 406}


class PostmarkMailer:
    """Sends e-mails over the HTTP API. It has no idempotency keys, so the key is in the e-mail's metadata and a header.

    Args:
        http: creates the endpoint.
        origin: the origin of the API.
        token: the server token.
        stream: the message stream; "" for `STREAM`.
        sender: the sender of the e-mails.
    """

    def __init__(self, http: Http, origin: str, token: str, stream: str, sender: Sender) -> None:
        headers = {
            "x-postmark-server-token": token,
            "content-type": "application/json",
            "accept": "application/json",
        }
        self._endpoint = http.endpoint(f"{origin}/email", headers)
        self._stream = stream or STREAM
        self._sender = sender

    async def send(self, mail: Mail, key: str, deadline: float) -> None:
        """Send an e-mail without tracking: a link tracker would see the token in a link. See `Mailer.send`."""
        fields = {
            "From": self._sender.text,
            "To": mail.to,
            "Subject": mail.subject,
            "TextBody": mail.text,
            "HtmlBody": mail.html,
            "MessageStream": self._stream,
            "Metadata": {"idempotency-key": key},
            "Headers": [{"Name": "X-Idempotency-Key", "Value": key}],
            "TrackLinks": "None",
            "TrackOpens": False,
        }
        response = await exchange.post(self._endpoint, encode(fields), {}, deadline)
        if not response.is_success:
            raise _failure(response)


def _failure(response: httpx.Response) -> DeliveryFailed:
    try:
        code = parse_object(response.content).get("ErrorCode")
    except MalformedJson:
        code = None
    is_unprocessable = response.status_code == httpx.codes.UNPROCESSABLE_ENTITY
    return exchange.failure(response, permanent=is_unprocessable and code in _PERMANENT)
