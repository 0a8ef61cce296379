"""Webhooks: events posted to the application, signed according to Standard Webhooks.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hmac
import time
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256

import httpx
from pydantic import SecretStr

from signup.http_client import Http
from signup.json_codec import encode
from signup.outbox import exchange
from signup.outbox.delivery import Channel
from signup.outbox.message import USER_VERIFIED, WEBHOOKS, Message

PREFIX = "whsec_"


class Webhook:
    """Posts events to one URL. Redirects are not followed.

    Args:
        http: creates the endpoint.
        url: the URL of the application.
        secrets: the signature keys, separated by commas. Each key adds one signature.
        now: returns the time, in seconds since 1970.
    """

    def __init__(self, http: Http, url: SecretStr, secrets: SecretStr, now: Callable[[], float] = time.time) -> None:
        # Only the status matters. A long or slow body must not cause the event to be posted again.
        headers = {"content-type": "application/json"}
        self._endpoint = http.endpoint(url.get_secret_value(), headers, reads_body=False)
        encoded_keys = secrets.get_secret_value().split(",")
        self._keys = [b64decode(each.strip().removeprefix(PREFIX)) for each in encoded_keys]
        self._now = now

    async def __call__(self, message: Message, deadline: float) -> None:
        """Post an event. Its id is the idempotency key of the message.

        Raises:
            DeliveryFailed: the application did not respond with 2xx by `deadline`. Status 410 (Gone) is permanent.
        """
        content = encode(
            {
                "type": message.kind,
                "timestamp": message.created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "data": {
                    "id": int(message.user_id),
                    "name": message.name,
                    "email": message.email,
                    "email_verified": message.kind == USER_VERIFIED,
                    **({} if message.extra is None else {"extra": message.extra}),
                },
            }
        )
        timestamp = str(int(self._now()))
        signed = b".".join((message.key.encode(), timestamp.encode(), content))
        headers = {
            "webhook-id": message.key,
            "webhook-timestamp": timestamp,
            "webhook-signature": " ".join(_signature(key, signed) for key in self._keys),
        }
        response = await exchange.post(self._endpoint, content, headers, deadline)
        if not response.is_success:
            raise exchange.failure(response, permanent=response.status_code == httpx.codes.GONE)


def webhook_channel(http: Http, url: SecretStr, secrets: SecretStr) -> Channel:
    """Return the channel that delivers webhooks."""
    return Channel(WEBHOOKS, Webhook(http, url, secrets))


def _signature(key: bytes, signed: bytes) -> str:
    return f"v1,{b64encode(hmac.digest(key, signed, sha256)).decode()}"
