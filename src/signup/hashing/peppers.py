"""Peppers: secret keys of the password hashes. Without them, passwords cannot be guessed from a stolen table.

NIST SP 800-63B-4, section 3.1.1.2, recommends additional keyed hashing with a secret key that is stored apart from
the hashes. This module applies HMAC-SHA256 (RFC 2104) to the output of Argon2id. The PHC string has the key's name as
its parameter `keyid`, so that keys can be rotated.
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
    """A named secret key that is applied to password hashes.

    Args:
        key_id: the name, which is public.
        key: the key, at least 32 bytes long.
    """

    key_id: str
    key: SecretBytes

    def apply(self, derived: bytes) -> bytes:
        """Return the 32-byte HMAC of a derived key."""
        return hmac.digest(self.key.get_secret_value(), derived, sha256)


@dataclass(frozen=True, slots=True)
class Peppers:
    """The configured peppers.

    Args:
        current: the pepper of new hashes; None for no pepper.
        known: all peppers by name, for verification.
    """

    current: Pepper | None = None
    known: Mapping[str, Pepper] = field(default_factory=dict)

    @classmethod
    def parse(cls, current: str, previous: str) -> "Peppers":
        """Read the two settings: one key `KEYID:base64`, and a comma-separated list of keys; "" means no key.

        Raises:
            Misconfigured: a key is malformed or too short, or two different keys have the same name. The message quotes
                no key.
        """
        current_pepper = _pepper(CURRENT, current) if current else None
        by_name = {} if current_pepper is None else {current_pepper.key_id: current_pepper}
        for text in previous.split(",") if previous else ():
            pepper = _pepper(PREVIOUS, text.strip())
            # The same key may be in both settings during a rotation.
            if by_name.setdefault(pepper.key_id, pepper) != pepper:
                raise Misconfigured(PREVIOUS, "has a different key with the same name: a new key needs a new name")
        return cls(current_pepper, by_name)


def _pepper(setting: str, text: str) -> Pepper:
    parsed = parse_key(setting, text)
    return Pepper(parsed.key_id, parsed.key)
