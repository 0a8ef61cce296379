"""Signed tokens for links. The server does not store them.

A token has two parts with a dot between them, both in base64url without padding (RFC 4648, section 5):

    PAYLOAD "." HMAC-SHA256(KEY, CONTEXT PAYLOAD)

PAYLOAD is a JSON array in base64url: the format number 1, and the values. The signature covers the text of the
payload and is compared as text, so that a token has only one valid encoding. CONTEXT is the name of the token's
purpose and a line feed, so that a signature is not valid for another purpose of the same key.
"""

import hmac
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Any, Literal

from pydantic import SecretBytes

FORMAT = 1
_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})")


class TokenError(ValueError):
    """A token is refused.

    Args:
        reason: `invalid_token` if the token is malformed, `invalid_signature` if no key signed it.
    """

    def __init__(self, reason: Literal["invalid_token", "invalid_signature"]) -> None:
        super().__init__(reason)
        self.reason = reason


class SignedTokens:
    """Signs values as tokens, and verifies tokens.

    Args:
        purpose: the name of the purpose in CONTEXT.
        keys: the signing keys. The first signs new tokens; a token signed by any of them is valid.
        longest: the maximum length of a token, in characters.
    """

    def __init__(self, purpose: str, keys: Sequence[SecretBytes], longest: int) -> None:
        self._context = f"{purpose}\n".encode()
        self._keys = keys
        self._longest = longest

    def sign(self, *values: object) -> str:
        """Return the token of these values. Equal values produce the same token."""
        payload = _encode(json.dumps([FORMAT, *values], ensure_ascii=False, separators=(",", ":")).encode())
        return f"{payload}.{self._signature(self._keys[0], payload)}"

    def verify(self, token: str) -> list[Any]:
        """Return the values of a token.

        Raises:
            TokenError: the token is malformed, or no key signed it.
        """
        match = _TOKEN.fullmatch(token) if len(token) <= self._longest else None
        if match is None:
            raise TokenError("invalid_token")
        payload, signature = match.groups()
        # Try every key, so that the time does not reveal which key matches.
        if not sum([hmac.compare_digest(self._signature(key, payload), signature) for key in self._keys]):
            raise TokenError("invalid_signature")
        values: list[Any]
        try:
            version, *values = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        except (ValueError, TypeError):
            version, values = None, []
        # A different version of this service may use the same key.
        if version != FORMAT:
            raise TokenError("invalid_token")
        return values

    def _signature(self, key: SecretBytes, payload: str) -> str:
        return _encode(hmac.digest(key.get_secret_value(), self._context + payload.encode(), sha256))


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
