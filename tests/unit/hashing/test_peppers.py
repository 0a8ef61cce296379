"""Peppers: settings, keyed hashes and rotation."""

import hmac
from base64 import b64decode, b64encode

import pytest
from pydantic import SecretStr

from devstack.kdf import cpython_kdf
from signup.hashing.password_hasher import Hasher
from signup.hashing.peppers import Peppers
from signup.hashing.profiles import CHEAP, Scrypt
from signup.problems import Misconfigured

pytestmark = pytest.mark.anyio
PASSWORD = SecretStr("correct horse battery staple")
KEYS = {"2026a": b"a" * 32, "2026b": b"b" * 33, "old": b"o" * 64}
A, B, OLD = (f"{name}:{b64encode(key).decode()}" for name, key in KEYS.items())


def hasher(current: str = "", previous: str = "") -> Hasher:
    """Return a hasher with these settings and a salt of zeros."""
    return Hasher(cpython_kdf, CHEAP, Peppers.parse(current, previous), entropy=bytes)


async def test_the_hash_is_keyed_and_names_the_key() -> None:
    """The hash is HMAC-SHA256 of Argon2id's output; the parameter `keyid` is the key's name."""
    stored = (await hasher(A).hash(PASSWORD)).get_secret_value()
    derived = await cpython_kdf(PASSWORD.get_secret_value().encode(), bytes(16), CHEAP)
    *start, last = stored.split("$")
    assert start == ["", "argon2id", "v=19", "m=8,t=1,p=1,keyid=2026a", "A" * 22]
    assert b64decode(last + "==") == hmac.digest(KEYS["2026a"], derived, "sha256")


async def test_without_a_pepper_the_hash_is_not_keyed() -> None:
    """The string has no `keyid`, and its hash is Argon2id's output."""
    derived = await cpython_kdf(PASSWORD.get_secret_value().encode(), bytes(16), CHEAP)
    expected = f"$argon2id$v=19$m=8,t=1,p=1${'A' * 22}${b64encode(derived).decode().rstrip('=')}"
    assert (await hasher().hash(PASSWORD)).get_secret_value() == expected


@pytest.mark.parametrize("made_with", ["", A, OLD])
async def test_hashes_are_verified_after_a_rotation(made_with: str) -> None:
    """Hashes with the previous keys, and without a key, are verified; a wrong password is rejected."""
    stored = await hasher(made_with).hash(PASSWORD)
    rotated = hasher(B, f"{A}, {OLD}")
    assert await rotated.verify(PASSWORD, stored)
    assert not await rotated.verify(SecretStr("correct horse battery stapl"), stored)
    assert "keyid=2026b" in (await rotated.hash(PASSWORD)).get_secret_value()


async def test_a_keyed_hash_of_an_earlier_version_is_verified() -> None:
    """Scrypt's strings have the same parameter `keyid`."""
    derived = await cpython_kdf(PASSWORD.get_secret_value().encode(), bytes(16), Scrypt(1, 1, 1))
    key = b64encode(hmac.digest(KEYS["2026a"], derived, "sha256")).decode().rstrip("=")
    stored = SecretStr(f"$scrypt$ln=1,r=1,p=1,keyid=2026a${'A' * 22}${key}")
    assert await hasher(B, A).verify(PASSWORD, stored)
    assert not await hasher(B, A).verify(SecretStr("correct horse battery stapl"), stored)


async def test_a_hash_is_not_verified_without_its_pepper() -> None:
    """Verification fails with a different key of the same name, and for the string without the name."""
    stored = await hasher(A).hash(PASSWORD)
    assert not await hasher(A.split(":")[0] + ":" + B.split(":")[1]).verify(PASSWORD, stored)
    assert not await hasher(A).verify(PASSWORD, SecretStr(stored.get_secret_value().replace(",keyid=2026a", "")))


@pytest.mark.parametrize("settings", [("", ""), (B, ""), (B, OLD)])
async def test_a_missing_pepper_raises_misconfigured(settings: tuple[str, str]) -> None:
    """The error names the setting, and the password does not count as wrong."""
    stored = await hasher(A).hash(PASSWORD)
    with pytest.raises(Misconfigured, match="PASSWORD_PEPPER_PREVIOUS lacks a key"):
        await hasher(*settings).verify(PASSWORD, stored)


@pytest.mark.parametrize(
    "text",
    [
        "canary",
        ":" + A.split(":")[1],
        "canary:",
        "canary:" + b64encode(b"x" * 31).decode(),
        "canary:" + b64encode(b"x" * 32).decode()[:-1],
        "canary:" + "-" * 44,
        "canary canary:" + A.split(":")[1],
        "canarycanary:" + A.split(":")[1],
        "c,a$n=:" + A.split(":")[1],
        A + "\n" + B,
    ],
)
def test_the_error_for_an_invalid_pepper_does_not_contain_it(text: str) -> None:
    """A pepper needs a name of characters that PHC strings allow, and at least 32 bytes in base64."""
    for name, settings in (("PASSWORD_PEPPER", (text, "")), ("PASSWORD_PEPPER_PREVIOUS", (A, text))):
        with pytest.raises(Misconfigured, match=f"{name} must be KEYID:BASE64") as caught:
            Peppers.parse(*settings)
        assert "canary" not in str(caught.value)
        assert caught.value.__context__ is None


@pytest.mark.parametrize("previous", [f"2026a:{B.split(':')[1]}", f"{OLD},old:{B.split(':')[1]}"])
def test_two_keys_with_the_same_name_are_refused(previous: str) -> None:
    """The `keyid` of a hash would not identify its key."""
    with pytest.raises(Misconfigured, match="PASSWORD_PEPPER_PREVIOUS has a different key with the same name"):
        Peppers.parse(A, previous)


def test_the_current_key_may_also_be_a_previous_one() -> None:
    """The two settings can therefore be changed one after the other."""
    peppers = Peppers.parse(A, f"{A},{OLD}")
    assert peppers.current == peppers.known["2026a"]
    assert peppers.known.keys() == {"2026a", "old"}


def test_the_repr_contains_no_keys() -> None:
    """The repr shows neither the keys nor their base64 form."""
    text = repr(Peppers.parse(A, f"{B},{OLD}"))
    for key in KEYS.values():
        assert key.decode() not in text
        assert b64encode(key).decode() not in text
