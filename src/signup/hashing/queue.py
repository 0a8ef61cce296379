"""A bound on how many passwords wait to be hashed in one isolate.

An isolate has one thread, and hashes one password after the other (`inTurn` in kdf.mjs): each that waits makes the next
one later. Beyond what can be hashed in time a sign-up is refused at once, rather than after its deadline, and costs
neither memory nor CPU.
"""

import time
from collections.abc import Callable
from itertools import count

from signup.hashing.password_hasher import Kdf
from signup.hashing.profiles import DEFAULT, Argon2id, Profile
from signup.problems import TooBusy

# Seconds of workerd's thread for one sign-up with the default profile, of which 0.028 are the hash; on one machine.
SECONDS = 0.035
# The share of a request's time that waiting for a hash may take. The other half is for the database: with the default
# settings it is as long as one exchange with the data proxy may take.
SHARE = 0.5
# Seconds, in which some thirty hashes are done.
RETRY_AFTER = 1


def capacity(deadline: float, profile: Argon2id) -> int:
    """Return how many passwords can be hashed one after the other within a request's deadline of so many seconds."""
    # Time is proportional to the blocks that are computed.
    cost = profile.memory_kib * profile.passes / (DEFAULT.memory_kib * DEFAULT.passes)
    return max(1, int(SHARE * deadline / (SECONDS * cost)))


class BoundedKdf:
    """A `Kdf` that refuses when too many passwords are waiting for it.

    Args:
        kdf: the key derivation function to limit.
        capacity: how many may be in it, the one that is being hashed included.
        longest: seconds after which a request counts no more, whatever became of it. In workerd one whose client went
            away is left where it stands, and nothing of it runs again: no `finally` either.
        clock: seconds, monotonic.
    """

    def __init__(self, kdf: Kdf, capacity: int, longest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._kdf = kdf
        self._capacity = capacity
        self._longest = longest
        self._clock = clock
        self._numbers = count()
        # When each came, in their order.
        self._inside: dict[int, float] = {}

    async def __call__(self, password: bytes, salt: bytes, profile: Profile, deadline: float, /) -> bytes:
        """Derive.

        Raises:
            TimeoutError: its turn did not come by `deadline`.
            TooBusy: the queue is full, and nothing was done.
        """
        now = self._clock()
        abandoned = [number for number, came in self._inside.items() if came + self._longest <= now]
        for number in abandoned:
            del self._inside[number]
        if len(self._inside) >= self._capacity:
            raise TooBusy("hash queue full", RETRY_AFTER)
        number = next(self._numbers)
        self._inside[number] = now
        try:
            return await self._kdf(password, salt, profile, deadline)
        finally:
            self._inside.pop(number, None)
