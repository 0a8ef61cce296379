"""Cloudflare Turnstile: was this sign-up made by a person?

The page's widget gives a token, which counts once and for five minutes; the siteverify API says whether it is good
(https://developers.cloudflare.com/turnstile/get-started/server-side-validation/). What cannot be checked is refused.
"""

import time
import uuid
from hashlib import sha256
from typing import Any

import httpx

from signup.fields.models import BOT_CHECK_FIELD
from signup.http_client import Http
from signup.json_codec import encode, parse_object
from signup.problems import BotCheckUnavailable, FieldCode, FieldError, MalformedJson, Misconfigured, ValidationFailed
from signup.registration.service import Attempt
from signup.settings import TurnstileSettings

# Once more, should the first exchange come to nothing: the idempotency key makes it safe.
_ATTEMPTS = 2


class BotCheck:
    """The `Guard` that asks siteverify.

    Args:
        settings: how.
        http: sends the requests.
    """

    def __init__(self, settings: TurnstileSettings, http: Http) -> None:
        self._settings = settings
        self._endpoint = http.endpoint(settings.url, {"content-type": "application/json"})

    async def __call__(self, attempt: Attempt, /) -> None:
        """Return if the token is good, for this action, from a page of ours.

        Raises:
            ValidationFailed: it is not.
            BotCheckUnavailable: nobody knows.
            Misconfigured: the secret is wrong.
        """
        token = attempt.request.bot_token or ""
        fields = {
            "secret": self._settings.secret.get_secret_value(),
            "response": token,
            "idempotency_key": _idempotency_key(attempt),
        }
        if attempt.client:
            fields["remoteip"] = attempt.client
        deadline = min(attempt.deadline, time.monotonic() + self._settings.timeout)
        for _ in range(_ATTEMPTS):
            answer = await self._ask(fields, deadline)
            if answer is not None:
                break
        else:
            raise BotCheckUnavailable("siteverify cannot be reached, or does not answer as it should")
        self._judge(answer)

    async def _ask(self, fields: dict[str, str], deadline: float) -> dict[str, Any] | None:
        """Return siteverify's answer, or None when there is none that one can use."""
        left = deadline - time.monotonic()
        if left <= 0:
            return None
        try:
            response = await self._endpoint.post(encode(fields), seconds=left)
            answer = parse_object(response.content)
        except (httpx.TransportError, MalformedJson):
            return None
        # It answers 400 too, with its codes; what is not its own has no such member.
        understood = isinstance(answer.get("success"), bool) and "internal-error" not in _codes(answer)
        return answer if understood else None

    def _judge(self, answer: dict[str, Any]) -> None:
        codes = _codes(answer)
        if codes & {"missing-input-secret", "invalid-input-secret"}:
            raise Misconfigured("TURNSTILE_SECRET", "is refused by siteverify")
        if "timeout-or-duplicate" in codes:
            raise _refused("bot_check_expired")
        if answer["success"] is not True or codes:
            raise _refused("bot_check_failed")
        settings = self._settings
        if answer.get("hostname") not in settings.hostnames or answer.get("action") != settings.action:
            raise _refused("bot_check_foreign")


def _codes(answer: dict[str, Any]) -> set[str]:
    listed = answer.get("error-codes")
    return {code for code in listed if isinstance(code, str)} if isinstance(listed, list) else set()


def _refused(code: FieldCode) -> ValidationFailed:
    return ValidationFailed([FieldError(BOT_CHECK_FIELD, code)])


def _idempotency_key(attempt: Attempt) -> str:
    """Return a UUID that is the same when the same sign-up comes again, so that its token still counts.

    For any other address or key it is another one, and siteverify refuses a token that was used.
    """
    request = attempt.request
    parts = (request.bot_token or "", request.email, attempt.idempotency_key or "")
    return str(uuid.UUID(bytes=sha256("\0".join(parts).encode()).digest()[:16], version=4))
