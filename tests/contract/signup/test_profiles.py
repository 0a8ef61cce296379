"""The real rows of OWASP's table, in another library."""

import pytest
from passlib.hash import scrypt
from pydantic import SecretStr

from signup.hashing.password_hasher import CHEAP, PROFILES, Hasher, hashlib_scrypt

pytestmark = pytest.mark.anyio
PASSWORD = SecretStr("correct horse battery staple")


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio, as workerd does."""
    return "asyncio"


@pytest.mark.parametrize("name", PROFILES)
async def test_a_profiles_strings_verify_elsewhere_and_by_another_profile(name: str) -> None:
    """The parameters are in the string, so that whoever reads it needs no setting."""
    profile = PROFILES[name]
    stored = await Hasher(hashlib_scrypt, profile).hash(PASSWORD)
    assert f"$ln={profile.ln},r=8,p={profile.p}$" in stored.get_secret_value()
    assert scrypt.verify(PASSWORD.get_secret_value(), stored.get_secret_value())
    assert await Hasher(hashlib_scrypt, CHEAP).verify(PASSWORD, stored)
