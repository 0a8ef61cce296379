"""Password hashing and verification.

A password is stored as a PHC string, `$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>`, with salt and hash in base64
without padding (https://github.com/P-H-C/phc-string-format). The parameters are in the string, so that they can be
raised later. With a pepper they include its name: `$argon2id$v=19$m=19456,t=2,p=1,keyid=2026a$<salt>$<hash>`. Earlier
versions of the Worker stored `$scrypt$ln=14,r=8,p=5$<salt>$<hash>`, which is still verified.
"""

import math
import os
import re
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Callable
from hmac import compare_digest
from typing import Protocol

from pydantic import SecretStr

from signup.hashing.named_keys import KEY_ID
from signup.hashing.peppers import PREVIOUS, Pepper, Peppers
from signup.hashing.profiles import Argon2id, Profile, Scrypt
from signup.problems import Misconfigured

_PHC = re.compile(
    r"\$(?:argon2id\$v=19\$m=(?P<m>\d{1,6}),t=(?P<t>\d{1,3}),p=(?P<lanes>\d{1,3})"
    r"|scrypt\$ln=(?P<ln>\d{1,2}),r=(?P<r>\d{1,3}),p=(?P<p>\d{1,3}))"
    rf"(?:,keyid=(?P<keyid>{KEY_ID}))?"
    r"\$(?P<salt>[A-Za-z0-9+/]{22,86})\$(?P<key>[A-Za-z0-9+/]{22,86})",
    re.ASCII,
)

# The longest password, in code points after NFC. NIST SP 800-63B-4, section 3.1.1.2, recommends a limit of at least 64.
LONGEST_PASSWORD = 128
# The maximum number of combining marks after a character that count toward the minimum length.
MOST_MARKS = 3


class Kdf(Protocol):
    """Key derivation: Argon2id and scrypt."""

    async def __call__(self, password: bytes, salt: bytes, profile: Profile, deadline: float, /) -> bytes:
        """Return `profile.key_length` bytes derived from password and salt with the algorithm of the profile.

        The derivation must start by `deadline`, in seconds on the monotonic clock.

        Raises:
            TimeoutError: the derivation could not start by the deadline, because of other derivations.
        """
        ...


NO_PEPPERS = Peppers()


class Hasher:
    """Hashes passwords as PHC strings, and verifies them.

    Args:
        kdf: the key derivation function.
        profile: the parameters of new hashes.
        peppers: the configured peppers.
        entropy: returns the given number of random bytes. It is called for each password, because workerd has no
            entropy at start-up.
    """

    def __init__(
        self,
        kdf: Kdf,
        profile: Argon2id,
        peppers: Peppers = NO_PEPPERS,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._kdf = kdf
        self._profile = profile
        self._peppers = peppers
        self._entropy = entropy
        key_id = f",keyid={peppers.current.key_id}" if peppers.current else ""
        self._prefix = f"{profile.phc}{key_id}$"

    async def verify(self, password: SecretStr, stored: SecretStr, deadline: float = math.inf) -> bool:
        """Return whether a PHC string of Argon2id or scrypt matches the password. Any other string does not match.

        The string determines the algorithm, the parameters and the pepper.

        Raises:
            TimeoutError: hashing did not start by `deadline`.
            Misconfigured: no setting has the string's pepper.
        """
        match = _PHC.fullmatch(stored.get_secret_value())
        if match is None:
            return False
        salt, key = (b64decode(match[name] + "==") for name in ("salt", "key"))
        try:
            profile = _profile(match, len(salt), len(key))
        except ValueError:
            return False
        pepper = self._peppers.known.get(match["keyid"] or "")
        if match["keyid"] and pepper is None:
            raise Misconfigured(PREVIOUS, "lacks a key that a stored password was hashed with")
        return compare_digest(await self._derive(password, salt, profile, pepper, deadline), key)

    async def hash(self, password: SecretStr, deadline: float = math.inf) -> SecretStr:
        """Return the PHC string of a password in NFC, with a new random salt.

        Raises:
            TimeoutError: hashing did not start by `deadline`, in seconds on the monotonic clock.
        """
        salt = self._entropy(self._profile.salt_length)
        key = await self._derive(password, salt, self._profile, self._peppers.current, deadline)
        return SecretStr(f"{self._prefix}{_base64(salt)}${_base64(key)}")

    async def _derive(
        self, password: SecretStr, salt: bytes, profile: Profile, pepper: Pepper | None, deadline: float
    ) -> bytes:
        key = await self._kdf(password.get_secret_value().encode(), salt, profile, deadline)
        return key if pepper is None else pepper.apply(key)


def _profile(match: re.Match[str], salt_length: int, key_length: int) -> Profile:
    """Return the parameters of a PHC string.

    Raises:
        ValueError: the parameters are invalid, or need too much memory for an isolate.
    """
    if match["ln"]:
        return Scrypt(int(match["ln"]), int(match["r"]), int(match["p"]), salt_length, key_length)
    return Argon2id(int(match["m"]), int(match["t"]), int(match["lanes"]), salt_length, key_length)


def normalise_password(password: str) -> str:
    """Return the password in NFC, so that its length and hash do not depend on the keyboard."""
    return unicodedata.normalize("NFC", password)


def counted_length(password: str) -> int:
    """Return the length of a password in NFC, in code points. At most `MOST_MARKS` marks of each character count.

    Otherwise one letter with twenty accents would be a long password. In pointed Hebrew, Arabic with harakat, Thai and
    Devanagari a letter has up to three marks. NFC composes Vietnamese letters, which then have no marks.
    """
    if password.isascii():
        return len(password)
    length = marks = 0
    for character in password:
        marks = marks + 1 if unicodedata.category(character).startswith("M") else 0
        length += marks <= MOST_MARKS
    return length


def _base64(data: bytes) -> str:
    return b64encode(data).rstrip(b"=").decode()
