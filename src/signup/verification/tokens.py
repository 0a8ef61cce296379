"""Verification tokens in the links of mails. They are signed and not stored.

A token is two parts with a dot between them, both in base64url without padding (RFC 4648, section 5):

    PAYLOAD "." HMAC-SHA256(KEY, CONTEXT PAYLOAD)

PAYLOAD is the base64url of a JSON array: the format's number 1, the user's id as text, the address, the expiry in
seconds since 1970, the name as shown in the mail, and the time of the sign-up in seconds since 1970. The signature
covers the text of the payload and is compared as text, so that a token has a single valid spelling. CONTEXT prevents
the use of a signature for other purposes of the same key.
"""

import hmac
import json
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from pydantic import SecretBytes

from signup.problems import BadVerificationToken, VerificationExpired

FORMAT = 1
# The maximum length in characters, which is above that of the longest address, id and name; a test calculates it.
LONGEST_TOKEN = 1024
_CONTEXT = b"signup verify-email 1\n"
_TOKEN = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Claims:
    """The claims of a token.

    Args:
        user_id: the id of the user's row, as text. A replacement row has a different id.
        email: the address, in its canonical form.
        expires_at: the expiry, in seconds since 1970.
        name: the name as shown in the mail; may be "".
        signed_up_at: the time of the sign-up, in seconds since 1970.
    """

    user_id: str
    email: str = field(repr=False)
    expires_at: int
    name: str = field(repr=False)
    signed_up_at: int


class TokenSigner:
    """Sign and verify tokens.

    Args:
        keys: the keys. The first one signs, and each of them verifies, so that keys can be rotated.
        clock: returns the seconds since 1970.
    """

    def __init__(self, keys: Sequence[SecretBytes], clock: Callable[[], float] = time.time) -> None:
        self._keys = keys
        self._clock = clock

    def sign(self, claims: Claims) -> str:
        """Return the token of these claims. Equal claims give the same token."""
        values = [FORMAT, claims.user_id, claims.email, claims.expires_at, claims.name, claims.signed_up_at]
        payload = _encode(json.dumps(values, ensure_ascii=False, separators=(",", ":")).encode())
        return f"{payload}.{_signature(self._keys[0], payload)}"

    def verify(self, token: str) -> Claims:
        """Return the claims of a token.

        Raises:
            BadVerificationToken: the token is malformed, or no key signed it.
            VerificationExpired: the token has expired.
        """
        match = _TOKEN.fullmatch(token) if len(token) <= LONGEST_TOKEN else None
        if match is None:
            raise BadVerificationToken("invalid_token")
        payload, signature = match.groups()
        # Try every key, so that the time does not reveal which key matches.
        if not sum([hmac.compare_digest(_signature(key, payload), signature) for key in self._keys]):
            raise BadVerificationToken("invalid_signature")
        claims = _claims(payload)
        if self._clock() >= claims.expires_at:
            raise VerificationExpired
        return claims


def _claims(payload: str) -> Claims:
    """Return the claims of a payload whose signature is valid."""
    try:
        number, *values = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if number == FORMAT:
            return Claims(*values)
    except (ValueError, TypeError):
        pass
    # A different version of this service may use the same key.
    raise BadVerificationToken("invalid_token")


def _signature(key: SecretBytes, payload: str) -> str:
    return _encode(hmac.digest(key.get_secret_value(), _CONTEXT + payload.encode(), sha256))


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
