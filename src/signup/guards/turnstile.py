"""The bot check with Cloudflare Turnstile. It fails closed.

The widget on the page produces a token, which is valid for five minutes and can be used once. The siteverify API
validates it (https://developers.cloudflare.com/turnstile/get-started/server-side-validation/).
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

# A failed exchange is repeated once. The idempotency key makes this safe.
_ATTEMPTS = 2


class BotCheck:
    """The `Guard` that validates the token of the widget.

    Args:
        settings: the settings of the check.
        http: creates the endpoint of siteverify.
    """

    def __init__(self, settings: TurnstileSettings, http: Http) -> None:
        self._settings = settings
        self._endpoint = http.endpoint(settings.url, {"content-type": "application/json"})

    async def __call__(self, attempt: Attempt, /) -> None:
        """Return if the token is valid and was issued for the configured action on one of the configured hosts.

        Raises:
            ValidationFailed: the token is refused.
            BotCheckUnavailable: siteverify sent no valid response in time.
            Misconfigured: siteverify refuses the secret.
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
            verdict = await self._validate_token(fields, deadline)
            if verdict is not None:
                break
        else:
            raise BotCheckUnavailable("no_response")
        self._check_verdict(verdict)

    async def _validate_token(self, fields: dict[str, str], deadline: float) -> dict[str, Any] | None:
        """Return the parsed response of siteverify, or None if there is no valid response."""
        seconds = deadline - time.monotonic()
        if seconds <= 0:
            return None
        try:
            response = await self._endpoint.post(encode(fields), seconds=seconds)
            verdict = parse_object(response.content)
        except (httpx.TransportError, MalformedJson):
            return None
        # siteverify sends errors as status 400 with codes. The response of an intermediary has no member `success`.
        is_valid = isinstance(verdict.get("success"), bool) and "internal-error" not in _codes(verdict)
        return verdict if is_valid else None

    def _check_verdict(self, verdict: dict[str, Any]) -> None:
        codes = _codes(verdict)
        if codes & {"missing-input-secret", "invalid-input-secret"}:
            raise Misconfigured("TURNSTILE_SECRET", "is refused by siteverify")
        if "timeout-or-duplicate" in codes:
            raise _refused("bot_check_expired")
        if verdict["success"] is not True or codes:
            raise _refused("bot_check_failed")
        settings = self._settings
        if verdict.get("hostname") not in settings.hostnames or verdict.get("action") != settings.action:
            raise _refused("bot_check_foreign")


def _codes(verdict: dict[str, Any]) -> set[str]:
    codes = verdict.get("error-codes")
    return {code for code in codes if isinstance(code, str)} if isinstance(codes, list) else set()


def _refused(code: FieldCode) -> ValidationFailed:
    return ValidationFailed([FieldError(BOT_CHECK_FIELD, code)])


def _idempotency_key(attempt: Attempt) -> str:
    """Return a UUID derived from the token, the address and the idempotency key of a sign-up.

    With it, siteverify accepts the token again if the same sign-up is repeated, but not for another sign-up.
    """
    request = attempt.request
    parts = (request.bot_token or "", request.email, attempt.idempotency_key or "")
    return str(uuid.UUID(bytes=sha256("\0".join(parts).encode()).digest()[:16], version=4))
