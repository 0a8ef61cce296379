"""Password hashing and verification."""

import re
from base64 import b64decode
from dataclasses import replace
from typing import Any

import argon2
import pytest
from argon2.low_level import ARGON2_VERSION, Type, core, error_to_str, ffi
from passlib.hash import scrypt
from pydantic import SecretStr

from devstack.kdf import cpython_kdf
from signup.hashing.password_hasher import Hasher
from signup.hashing.profiles import CHEAP, DEFAULT, PROFILES, Argon2id, Scrypt

pytestmark = pytest.mark.anyio
PASSWORD = SecretStr("correct horse battery staple")
# A hash of an earlier version, which used scrypt, with the lowest cost and a salt of zeros.
SCRYPT = "$scrypt$ln=1,r=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$OdeGsQ6YA9riblBQ91q+I6garx7yTxPy5CtM3XOoyXA"


async def test_the_hash_is_a_phc_string_that_another_library_verifies() -> None:
    """argon2-cffi parses the string, verifies the password, and rejects a different password."""
    stored = (await Hasher(cpython_kdf, DEFAULT).hash(PASSWORD)).get_secret_value()
    assert re.fullmatch(r"\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{22}\$[A-Za-z0-9+/]{43}", stored)
    library = argon2.PasswordHasher()
    assert library.verify(stored, PASSWORD.get_secret_value())
    with pytest.raises(argon2.exceptions.VerifyMismatchError):
        library.verify(stored, "correct horse battery stapl")


async def test_each_hash_has_a_new_salt() -> None:
    """Two hashes of the same password differ."""
    hasher = Hasher(cpython_kdf, CHEAP)
    assert await hasher.hash(PASSWORD) != await hasher.hash(PASSWORD)


def test_the_library_matches_the_test_vector_of_rfc_9106() -> None:
    """Section 5.3 uses a secret and associated data, which only argon2-cffi's C interface supports."""
    inputs = {"pwd": b"\1" * 32, "salt": b"\2" * 16, "secret": b"\3" * 8, "ad": b"\4" * 12}
    parts: dict[str, Any] = {name: ffi.new("uint8_t[]", part) for name, part in inputs.items()}
    lengths = {f"{name}len": len(part) for name, part in inputs.items()}
    out = ffi.new("uint8_t[]", 32)
    numbers = {"t_cost": 3, "m_cost": 32, "lanes": 4, "threads": 1, "flags": 0, "version": ARGON2_VERSION}
    memory = {"allocate_cbk": ffi.NULL, "free_cbk": ffi.NULL}
    context = ffi.new("argon2_context *", {"out": out, "outlen": 32, **parts, **lengths, **numbers, **memory})
    code = core(context, Type.ID.value)
    assert code == 0, error_to_str(code)
    assert bytes(ffi.buffer(out, 32)).hex() == "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659"


async def test_hashes_of_earlier_versions_are_verified() -> None:
    """The scrypt parameters are taken from the string; another password does not match."""
    hasher = Hasher(cpython_kdf, CHEAP)
    assert await hasher.verify(PASSWORD, SecretStr(SCRYPT))
    assert not await hasher.verify(SecretStr("correct horse battery stapl"), SecretStr(SCRYPT))
    passlib_hash = scrypt.using(rounds=4, block_size=8, parallelism=2).hash(PASSWORD.get_secret_value())
    assert await hasher.verify(PASSWORD, SecretStr(passlib_hash))
    assert (await hasher.hash(PASSWORD)).get_secret_value().startswith("$argon2id$")


async def test_hashes_of_other_libraries_are_verified() -> None:
    """Any valid parameters are accepted, not only a profile's."""
    library_hash = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=4, salt_len=20, hash_len=40).hash(
        "p\u00e4ss"
    )
    hasher = Hasher(cpython_kdf, CHEAP)
    assert await hasher.verify(SecretStr("p\u00e4ss"), SecretStr(library_hash))
    assert not await hasher.verify(SecretStr("p\u00e4st"), SecretStr(library_hash))


@pytest.mark.parametrize(
    "stored",
    [
        "in the clear",
        "$2b$12$abc",
        "$scrypt$ln=17,r=8,p=1$" + "A" * 22 + "$" + "A" * 43,
        "$argon2id$v=19$m=65537,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
        "$argon2id$v=19$m=8,t=0,p=1$" + "A" * 22 + "$" + "A" * 43,
        "$argon2id$v=16$m=8,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
        "$argon2i$v=19$m=8,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
        "$argon2id$v=19$m=\u0668,t=1,p=1$" + "A" * 22 + "$" + "A" * 43,
    ],
)
async def test_an_unsupported_string_does_not_match(stored: str) -> None:
    """Examples are other algorithms and versions, invalid parameters, and parameters that need too much memory."""
    assert not await Hasher(cpython_kdf, CHEAP).verify(PASSWORD, SecretStr(stored))


async def test_the_string_contains_salt_and_key() -> None:
    """Salt and key are in base64 without padding."""
    hasher = Hasher(cpython_kdf, CHEAP, entropy=bytes)
    *start, key = (await hasher.hash(PASSWORD)).get_secret_value().split("$")
    assert start == ["", "argon2id", "v=19", "m=8,t=1,p=1", "A" * 22]
    assert b64decode(key + "=") == await cpython_kdf(PASSWORD.get_secret_value().encode(), bytes(16), CHEAP)


@pytest.mark.parametrize(
    "change",
    [{"memory_kib": 7}, {"lanes": 0}, {"passes": 0}, {"salt_length": 15}, {"key_length": 15}, {"memory_kib": 65537}],
)
def test_invalid_parameters_of_argon2id_are_refused(change: dict[str, int]) -> None:
    """The parameters are out of range, too weak, or exceed the memory limit."""
    with pytest.raises(ValueError, match="need"):
        replace(CHEAP, **change)


@pytest.mark.parametrize("numbers", [(0, 8, 1), (14, 0, 1), (14, 8, 0), (17, 8, 1), (14, 8, 5, 15), (14, 8, 5, 16, 15)])
def test_invalid_parameters_of_scrypt_are_refused(numbers: tuple[int, ...]) -> None:
    """Memory, salt and key have the same limits as for Argon2id."""
    with pytest.raises(ValueError, match="need"):
        Scrypt(*numbers)


def test_the_profiles_are_the_rows_of_owasps_table() -> None:
    """The names are the parameters in PHC form; the default is the row with 19 MiB."""
    rows = {(46, 1), (19, 2), (12, 3), (9, 4), (7, 5)}
    assert {(each.memory_kib // 1024, each.passes) for each in PROFILES.values()} == rows
    assert all(each.lanes == 1 and each.memory_kib % 1024 == 0 for each in PROFILES.values())
    assert [f"$argon2id$v=19${name}" for name in PROFILES] == [each.phc for each in PROFILES.values()]
    assert PROFILES["m=19456,t=2,p=1"] == DEFAULT == Argon2id(19456, 2, 1, 16, 32)
