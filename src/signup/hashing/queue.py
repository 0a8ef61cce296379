"""Admission: how many passwords may wait to be hashed in one isolate.

An isolate has one thread, and hashes one password after the other (`inTurn` in kdf.mjs): each that waits makes the next
one later. A sign-up whose password could not be hashed in time is refused before its body is read, and costs
neither memory nor CPU. How long a hash takes is estimated here and nowhere else.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from signup.hashing.password_hasher import Kdf
from signup.hashing.profiles import DEFAULT, Argon2id, Profile
from signup.problems import TooBusy

# Seconds of workerd's thread for one sign-up with the default profile: the first estimate. It is twice what a sign-up
# takes in `wrangler dev` on a 2-core machine, so that a first burst is not too much for a slower one.
SECONDS = 0.1
# The least estimate.
SHORTEST = 0.001
# The weight of the last hash in the estimate.
WEIGHT = 0.1
# The share of a request's time that waiting for hashes may take. Under load the thread is slower than the estimate, and
# the exchange with the data proxy waits for it several times.
SHARE = 0.25
# The share after which a hash that has not begun is refused: it would leave the database too little time.
LATEST_SHARE = 0.5
# Seconds that a place may be held besides, such as for the database.
GRACE = 1.0


@dataclass(slots=True, eq=False)
class Place:
    """The place of one sign-up in the queue.

    Args:
        hashes: how many passwords may still be hashed for it.
        until: when it counts no more, in seconds on the monotonic clock.
    """

    hashes: int = 1
    until: float = math.inf


class HashQueue:
    """A `Kdf` with admission.

    Args:
        kdf: derives.
        profile: the parameters of most derivations.
        deadline: seconds that a request has.
        length: how many passwords may wait, the one that is being hashed included; 0 for as many as are hashed within
            `SHARE` of the deadline.
        clock: seconds, monotonic.
    """

    def __init__(
        self, kdf: Kdf, profile: Argon2id, deadline: float, length: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kdf = kdf
        self._deadline = deadline
        self._length = length
        self._clock = clock
        # Time is proportional to the blocks that are computed.
        cost = profile.memory_kib * profile.passes / (DEFAULT.memory_kib * DEFAULT.passes)
        self._seconds = SECONDS * cost
        self._ended = -math.inf
        self._places: list[Place] = []

    @property
    def length(self) -> int:
        """How many passwords may wait."""
        return self._length or max(1, int(SHARE * self._deadline / max(self._seconds, SHORTEST)))

    def require_room(self, hashes: int = 1) -> int:
        """Return how many passwords are waiting, if so many more would be hashed in time.

        Raises:
            TooBusy: they would not.
        """
        now = self._clock()
        self._places = [place for place in self._places if place.hashes and place.until > now]
        waiting = sum(place.hashes for place in self._places)
        if waiting and waiting + hashes > self.length:
            raise TooBusy("hash_queue_full", max(1, math.ceil(waiting * self._seconds)))
        return waiting

    @contextmanager
    def admit(self, hashes: int) -> Iterator[Place]:
        """Hold a place while a request may hash so many passwords.

        Raises:
            TooBusy: they would be too late.
        """
        waiting = self.require_room(hashes) + hashes
        # In workerd nothing of a request runs again once its client is gone, no `finally` either. So a place counts for
        # four times as long as its hashes should take: a lower bound would admit too many where hashes are slow.
        place = Place(hashes, self._clock() + min(self._deadline, 4 * waiting * self._seconds + GRACE))
        self._places.append(place)
        try:
            yield place
        finally:
            place.hashes = 0

    async def __call__(self, password: bytes, salt: bytes, profile: Profile, deadline: float, /) -> bytes:
        """Derive, and learn how long it takes.

        Raises:
            TimeoutError: its turn did not come by `deadline`, or within `LATEST_SHARE` of a request's time.
        """
        began = self._clock()
        key = await self._kdf(password, salt, profile, min(deadline, began + LATEST_SHARE * self._deadline))
        now = self._clock()
        # It waited for the one before it. workerd's clock stands still while code runs, and does not show the time of a
        # hash that did not wait.
        if began <= self._ended:
            self._seconds += WEIGHT * (now - self._ended - self._seconds)
        self._ended = now
        return key
