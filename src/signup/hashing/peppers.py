"""Peppers: secrets of the Worker's that hashes are keyed with, so that a stolen table alone cannot be guessed against.

NIST SP 800-63B-4, section 3.1.1.2, recommends an additional keyed hashing with a secret key that is stored apart from
the hashes. Here it is HMAC-SHA256 (RFC 2104) over what Argon2id derived; the key's name, never the key, stands in the
PHC string as its parameter `keyid`, so that keys can be replaced one after the other.
"""

import hmac
import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from pydantic import SecretBytes

from signup.problems import Misconfigured

CURRENT, PREVIOUS = "PASSWORD_PEPPER", "PASSWORD_PEPPER_PREVIOUS"
# What PHC's format allows in a value, as long as Argon2's keyid at most.
KEY_ID = r"[A-Za-z0-9+/.-]{1,11}"
# Bytes: as many as SHA-256 gives.
SHORTEST_KEY = 32

_PEPPER = re.compile(rf"({KEY_ID}):([A-Za-z0-9+/]+={{0,2}})")


@dataclass(frozen=True, slots=True)
class Pepper:
    """One.

    Args:
        key_id: its name, which is public.
        key: at least 32 bytes.
    """

    key_id: str
    key: SecretBytes

    def apply(self, derived: bytes) -> bytes:
        """Return 32 bytes in place of what the key derivation function gave."""
        return hmac.digest(self.key.get_secret_value(), derived, sha256)


@dataclass(frozen=True, slots=True)
class Peppers:
    """Those that there are.

    Args:
        current: what new hashes are keyed with, if with anything.
        known: every one by its name, for verification.
    """

    current: Pepper | None = None
    known: Mapping[str, Pepper] = field(default_factory=dict)

    @classmethod
    def parse(cls, current: str, previous: str) -> "Peppers":
        """Read the two settings: `KEYID:base64`, and a comma list of these; "" is none.

        Raises:
            Misconfigured: naming the setting, never a value.
        """
        first = _pepper(CURRENT, current) if current else None
        known = {} if first is None else {first.key_id: first}
        for text in previous.split(",") if previous else ():
            pepper = _pepper(PREVIOUS, text.strip())
            # The same key twice is a rotation half done: first it stands in both settings, then in one.
            if known.setdefault(pepper.key_id, pepper) != pepper:
                raise Misconfigured(PREVIOUS, "has another key by the name of one: a new key needs a new name")
        return cls(first, known)


def _pepper(setting: str, text: str) -> Pepper:
    match = _PEPPER.fullmatch(text)
    try:
        key = b64decode(match[2], validate=True) if match else b""
    except ValueError:
        key = b""
    if match is None or len(key) < SHORTEST_KEY:
        form = "KEYID:BASE64, with 1 to 11 of A-Z a-z 0-9 + / . - before the colon and at least 32 bytes behind it"
        raise Misconfigured(setting, f"must be {form}")
    return Pepper(match[1], SecretBytes(key))
