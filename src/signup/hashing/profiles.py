"""Parameters of password hashes: Argon2id for new hashes, scrypt for hashes that earlier versions stored."""

from dataclasses import dataclass

# The maximum memory of a hash in bytes. An isolate has 128 MB in total, including Python.
MEMORY_LIMIT = 64 * 1024 * 1024
# The minimum length of salt and key in bytes. RFC 9106, section 3.1, and PHC recommend 16 for the salt; NIST SP
# 800-63B-4 requires 4.
SHORTEST = 16


@dataclass(frozen=True, slots=True)
class Argon2id:
    """Parameters of Argon2id (RFC 9106, version 1.3), validated by the constructor.

    Args:
        memory_kib: the memory of one hash in KiB, at least 8 for each lane.
        passes: the number of passes over the memory.
        lanes: the degree of parallelism. A single thread computes the lanes in sequence.
        salt_length: the length of the salt, at least 16 bytes.
        key_length: the length of the key, at least 16 bytes.
    """

    memory_kib: int
    passes: int
    lanes: int = 1
    salt_length: int = 16
    key_length: int = 32

    def __post_init__(self) -> None:
        if min(self.passes, self.lanes) < 1 or self.memory_kib < 8 * self.lanes:
            raise ValueError("Argon2id needs t and p of at least 1, and m of at least 8 p")
        _check(self.memory_kib * 1024, self.salt_length, self.key_length)

    @property
    def parameters(self) -> str:
        """The parameters as in a PHC string; also the name of the profile."""
        return f"m={self.memory_kib},t={self.passes},p={self.lanes}"

    @property
    def phc(self) -> str:
        """The beginning of a PHC string: algorithm, version and parameters."""
        return f"$argon2id$v=19${self.parameters}"


@dataclass(frozen=True, slots=True)
class Scrypt:
    """Parameters of scrypt (RFC 7914), validated by the constructor. Only hashes of earlier versions use scrypt.

    Args:
        ln: the binary logarithm of the cost N; memory is 128 * N * r bytes.
        r: the block size.
        p: the parallelization parameter.
        salt_length: the length of the salt, at least 16 bytes.
        key_length: the length of the key, at least 16 bytes.
    """

    ln: int
    r: int
    p: int
    salt_length: int = 16
    key_length: int = 32

    def __post_init__(self) -> None:
        if min(self.ln, self.r, self.p) < 1:
            raise ValueError("scrypt needs ln, r and p of at least 1")
        _check(128 * self.n * self.r, self.salt_length, self.key_length)

    @property
    def n(self) -> int:
        """The cost parameter N."""
        return 1 << self.ln


Profile = Argon2id | Scrypt


def _check(memory: int, salt_length: int, key_length: int) -> None:
    if min(salt_length, key_length) < SHORTEST:
        raise ValueError("salt and key need at least 16 bytes")
    if memory > MEMORY_LIMIT:
        raise ValueError("one hash would need too much memory for an isolate")


# The rows of OWASP's Password Storage Cheat Sheet. They are equally strong, and trade memory for time.
# https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html#argon2id
DEFAULT = Argon2id(19456, 2)
ROWS = (DEFAULT, Argon2id(47104, 1), Argon2id(12288, 3), Argon2id(9216, 4), Argon2id(7168, 5))
PROFILES = {each.parameters: each for each in ROWS}
# Fast and insecure parameters, for tests of other modules.
CHEAP = Argon2id(8, 1)
