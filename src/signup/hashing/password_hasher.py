"""How passwords are stored.

Stored is a PHC string, `$scrypt$ln=14,r=8,p=5$<salt>$<hash>` with both in base64 without padding, as the PHC string
format has it (https://github.com/P-H-C/phc-string-format). Its parameters are in it, so that they can be raised later,
and with a pepper its name is: `$scrypt$ln=14,r=8,p=5,keyid=2026a$<salt>$<hash>`.
"""

import hashlib
import math
import os
import re
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from hmac import compare_digest
from typing import Protocol

from pydantic import SecretStr

from signup.hashing.peppers import KEY_ID, PREVIOUS, Pepper, Peppers
from signup.problems import Misconfigured

_PHC = re.compile(
    r"\$scrypt\$ln=(?P<ln>\d{1,2}),r=(?P<r>\d{1,3}),p=(?P<p>\d{1,3})"
    rf"(?:,keyid=(?P<keyid>{KEY_ID}))?"
    r"\$(?P<salt>[\w+/]{22,86})\$(?P<key>[\w+/]{22,86})"
)

# In code points after NFC. NIST SP 800-63B-4, section 3.1.1.2, wants at least 64 to be allowed.
LONGEST_PASSWORD = 128
# Combining marks that count toward the shortest length, after one character.
MOST_MARKS = 3


@dataclass(frozen=True, slots=True)
class Profile:
    """Parameters of scrypt (RFC 7914), checked when built.

    Args:
        ln: the binary logarithm of the cost N; memory is 128 * N * r bytes.
        r: block size.
        p: how often one after the other.
        salt_length: bytes, at least 16 (NIST SP 800-63B-4 wants 32 bits, RFC 9106 and PHC 16 bytes).
        key_length: bytes.
    """

    ln: int
    r: int
    p: int
    salt_length: int = 16
    key_length: int = 32

    # An isolate has 128 MB in all, and runs several requests at a time.
    MEMORY_LIMIT = 64 * 1024 * 1024

    def __post_init__(self) -> None:
        if min(self.ln, self.r, self.p) < 1 or self.salt_length < 16 or self.key_length < 16:  # noqa: PLR2004
            raise ValueError("scrypt needs ln, r and p of at least 1, and salt and key of at least 16 bytes")
        if self.memory > self.MEMORY_LIMIT:
            raise ValueError(f"scrypt with ln={self.ln}, r={self.r} needs more memory than an isolate has")

    @property
    def n(self) -> int:
        """The cost N."""
        return 1 << self.ln

    @property
    def memory(self) -> int:
        """Bytes that one derivation needs."""
        return 128 * self.n * self.r


# The rows of OWASP's Password Storage Cheat Sheet that fit an isolate, by MiB: as safe as each other there, with memory
# traded for time. https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#scrypt
OWASP_16_MIB = Profile(ln=14, r=8, p=5)
PROFILES = {"16": OWASP_16_MIB, "32": Profile(ln=15, r=8, p=3), "64": Profile(ln=16, r=8, p=2)}
# For tests of other things than the hash: it costs nothing, and protects nothing.
CHEAP = Profile(ln=1, r=1, p=1)


class Kdf(Protocol):
    """scrypt, wherever it comes from."""

    async def __call__(self, password: bytes, salt: bytes, profile: Profile, deadline: float, /) -> bytes:
        """Return `profile.key_length` bytes derived from password and salt.

        `deadline` is when it must be begun, in seconds on the monotonic clock.

        Raises:
            TimeoutError: others were first, until then.
        """
        ...


async def hashlib_scrypt(password: bytes, salt: bytes, profile: Profile, _end: float = math.inf, /) -> bytes:
    """Derive with CPython's hashlib, which Pyodide has no scrypt in: the `Kdf` outside workerd, which never waits."""
    return hashlib.scrypt(
        password,
        salt=salt,
        n=profile.n,
        r=profile.r,
        p=profile.p,
        dklen=profile.key_length,
        # OpenSSL counts p's blocks and some scratch beside the memory proper.
        maxmem=128 * profile.r * (profile.n + profile.p + 2),
    )


NO_PEPPERS = Peppers()


class Hasher:
    """Make PHC strings.

    Args:
        kdf: scrypt.
        profile: its parameters.
        peppers: what hashes are keyed with.
        entropy: returns so many random bytes; called once a password, since workerd has none before the first request.
    """

    def __init__(
        self,
        kdf: Kdf,
        profile: Profile,
        peppers: Peppers = NO_PEPPERS,
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._kdf = kdf
        self._profile = profile
        self._peppers = peppers
        self._entropy = entropy
        key_id = f",keyid={peppers.current.key_id}" if peppers.current else ""
        self._prefix = f"$scrypt$ln={profile.ln},r={profile.r},p={profile.p}{key_id}$"

    async def verify(self, password: SecretStr, stored: SecretStr, deadline: float = math.inf) -> bool:
        """Say whether a PHC string of scrypt is that of the password; another kind of string is nobody's.

        Parameters and pepper are those that the string names, whatever new ones are made with.

        Raises:
            TimeoutError: its turn did not come by `deadline`.
            Misconfigured: the string's pepper is in no setting.
        """
        match = _PHC.fullmatch(stored.get_secret_value())
        if match is None:
            return False
        ln, r, p = (int(match[name]) for name in ("ln", "r", "p"))
        salt, key = (b64decode(match[name] + "==") for name in ("salt", "key"))
        try:
            profile = Profile(ln, r, p, len(salt), len(key))
        except ValueError:
            return False
        pepper = self._peppers.known.get(match["keyid"] or "")
        if match["keyid"] and pepper is None:
            raise Misconfigured(PREVIOUS, "lacks a key that a stored password was hashed with")
        return compare_digest(await self._derive(password, salt, profile, pepper, deadline), key)

    async def hash(self, password: SecretStr, deadline: float = math.inf) -> SecretStr:
        """Return the PHC string of a password, in NFC, with a salt of its own.

        Raises:
            TimeoutError: its turn did not come by `deadline`, in seconds on the monotonic clock.
        """
        salt = self._entropy(self._profile.salt_length)
        key = await self._derive(password, salt, self._profile, self._peppers.current, deadline)
        return SecretStr(f"{self._prefix}{_base64(salt)}${_base64(key)}")

    async def _derive(
        self, password: SecretStr, salt: bytes, profile: Profile, pepper: Pepper | None, deadline: float
    ) -> bytes:
        key = await self._kdf(password.get_secret_value().encode(), salt, profile, deadline)
        return key if pepper is None else pepper.apply(key)


def normalised(password: str) -> str:
    """Return the form that is measured and hashed: NFC, so that it does not matter which keyboard typed it."""
    return unicodedata.normalize("NFC", password)


def counted_length(password: str) -> int:
    """Return the length of a password in NFC, in code points, of which at most `MOST_MARKS` marks a character count.

    Without the bound one letter with twenty accents would be a long password. Letters of pointed Hebrew, Arabic with
    harakat, Thai and Devanagari carry up to three marks; NFC composes those of Vietnamese.
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
