"""How passwords are hashed."""

import hashlib
from dataclasses import replace

import pytest
from passlib.hash import scrypt
from pydantic import SecretStr

from signup.hashing.password_hasher import CHEAP, OWASP_16_MIB, PROFILES, Hasher, hashlib_scrypt

pytestmark = pytest.mark.anyio
PASSWORD = SecretStr("correct horse battery staple")


async def test_the_hash_is_a_phc_string_that_another_library_verifies() -> None:
    """Passlib accepts the password against the string, and no other password."""
    stored = (await Hasher(hashlib_scrypt, OWASP_16_MIB).hash(PASSWORD)).get_secret_value()
    assert stored.startswith("$scrypt$ln=14,r=8,p=5$")
    assert scrypt.verify(PASSWORD.get_secret_value(), stored)
    assert not scrypt.verify("correct horse battery stapl", stored)


async def test_each_hash_has_its_own_salt() -> None:
    """Two hashes of one password differ."""
    hasher = Hasher(hashlib_scrypt, CHEAP)
    assert await hasher.hash(PASSWORD) != await hasher.hash(PASSWORD)


async def test_the_string_is_made_of_salt_and_key() -> None:
    """With a known salt the string is what RFC 7914's function gives, in base64 without padding."""
    hasher = Hasher(hashlib_scrypt, CHEAP, entropy=bytes)
    key = hashlib.scrypt(PASSWORD.get_secret_value().encode(), salt=bytes(16), n=2, r=1, p=1, dklen=32)
    assert (await hasher.hash(PASSWORD)).get_secret_value().startswith("$scrypt$ln=1,r=1,p=1$" + "A" * 22 + "$")
    assert await hashlib_scrypt(PASSWORD.get_secret_value().encode(), bytes(16), CHEAP) == key


@pytest.mark.parametrize("change", [{"ln": 0}, {"r": 0}, {"p": 0}, {"salt_length": 15}, {"key_length": 15}, {"ln": 17}])
def test_a_wrong_profile_cannot_be_built(change: dict[str, int]) -> None:
    """Parameters that are too weak, or need more than an isolate's memory, are refused at once."""
    with pytest.raises(ValueError, match="scrypt"):
        replace(OWASP_16_MIB, **change)


def test_the_default_profile_fits_an_isolate() -> None:
    """OWASP's row for 16 MiB takes 16 MiB."""
    assert OWASP_16_MIB.memory == 16 * 1024 * 1024


@pytest.mark.parametrize(("name", "n", "p"), [("16", 2**14, 5), ("32", 2**15, 3), ("64", 2**16, 2)])
def test_a_profile_is_a_row_of_owasps_table(name: str, n: int, p: int) -> None:
    """Each takes the memory that it is called after."""
    profile = PROFILES[name]
    assert (profile.n, profile.r, profile.p, profile.memory) == (n, 8, p, int(name) * 1024 * 1024)
