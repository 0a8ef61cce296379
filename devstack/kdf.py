"""Key derivation on CPython, for `make adopt` and the tests: Argon2id with argon2-cffi, scrypt with hashlib.

The Worker uses `src/kdf.mjs`, because neither argon2-cffi nor `hashlib.scrypt` is available in Pyodide.
"""

import hashlib
import math

from argon2.low_level import Type, hash_secret_raw

from signup.hashing.profiles import Argon2id, Profile


async def cpython_kdf(password: bytes, salt: bytes, profile: Profile, _deadline: float = math.inf, /) -> bytes:
    """Derive a key. This is a `signup.hashing.password_hasher.Kdf` that ignores the deadline."""
    if isinstance(profile, Argon2id):
        parameters = (profile.passes, profile.memory_kib, profile.lanes, profile.key_length)
        return hash_secret_raw(password, salt, *parameters, Type.ID)
    return hashlib.scrypt(
        password,
        salt=salt,
        n=profile.n,
        r=profile.r,
        p=profile.p,
        dklen=profile.key_length,
        # OpenSSL's limit also includes the p blocks and some scratch memory.
        maxmem=128 * profile.r * (profile.n + profile.p + 2),
    )
