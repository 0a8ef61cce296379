"""Peppers: secrets of the Worker's that hashes are keyed with, so that a stolen table alone cannot be guessed against.

NIST SP 800-63B-4, section 3.1.1.2, recommends an additional keyed hashing with a secret key that is stored apart from
the hashes. Here it is HMAC-SHA256 (RFC 2104) over what Argon2id derived; the key's name, never the key, stands in the
PHC string as its parameter `keyid`, so that keys can be replaced one after the other.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256

from pydantic import SecretBytes

from signup.hashing.named_keys import parse_key
from signup.problems import Misconfigured

CURRENT, PREVIOUS = "PASSWORD_PEPPER", "PASSWORD_PEPPER_PREVIOUS"


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
    parsed = parse_key(setting, text)
    return Pepper(parsed.key_id, parsed.key)
