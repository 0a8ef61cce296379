"""Admission control: limits the number of passwords that wait to be hashed in an isolate.

An isolate has one thread and hashes passwords in sequence (`hashInTurn` in kdf.mjs), so each waiting password delays
the next one. If the queue is already full, a sign-up is refused before its body is read, so most refusals cost little
memory and CPU. Only this module estimates the duration of a hash.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from signup.hashing.password_hasher import Kdf
from signup.hashing.profiles import DEFAULT, Argon2id, Profile
from signup.problems import TooBusy

# The first estimate of the duration of a hash with the default profile, in seconds. It is twice the time that a sign-up
# occupied workerd's thread in `wrangler dev` on a 2-core machine, so that a first burst does not overload a slower
# machine.
FIRST_ESTIMATE = 0.1
# The smallest estimate from which the default length of the queue is computed, in seconds.
SHORTEST_ESTIMATE = 0.001
# The weight of the last hash in the estimate.
WEIGHT = 0.1
# The default length of the queue is the number of hashes that fit into this share of the maximum duration of a request.
# Under load a hash takes longer than estimated, and each step of the exchange with the data proxy also waits for the
# thread.
QUEUE_SHARE = 0.25
# A hash may wait for at most this share of a request's maximum duration. A later start would leave the database too
# little time.
LATEST_START_SHARE = 0.5
# Seconds that are added to the lifetime of a place for work other than hashing, such as the database query.
GRACE = 1.0


@dataclass(slots=True, eq=False)
class Place:
    """The place of one sign-up in the queue.

    Args:
        hashes: the number of passwords that may still be hashed for the sign-up.
        until: the time at which the place expires, in seconds on the monotonic clock.
    """

    hashes: int = 1
    until: float = math.inf


class HashQueue:
    """A `Kdf` with admission control.

    Args:
        kdf: the key derivation function.
        profile: the parameters of new hashes, from which the first estimate is derived.
        deadline: the maximum duration of a request, in seconds.
        length: the number of passwords that may wait, including the one being hashed; 0 for as many as can be hashed
            within `QUEUE_SHARE` of `deadline`.
        clock: returns the monotonic time, in seconds.
    """

    def __init__(
        self, kdf: Kdf, profile: Argon2id, deadline: float, length: int = 0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._kdf = kdf
        self._deadline = deadline
        self._length = length
        self._clock = clock
        # The duration of a hash is proportional to its memory times its passes.
        cost = profile.memory_kib * profile.passes / (DEFAULT.memory_kib * DEFAULT.passes)
        self._estimate = FIRST_ESTIMATE * cost
        self._last_end = -math.inf
        self._places: list[Place] = []

    @property
    def length(self) -> int:
        """The maximum number of waiting passwords, including the one being hashed."""
        return self._length or max(1, int(QUEUE_SHARE * self._deadline / max(self._estimate, SHORTEST_ESTIMATE)))

    def require_room(self, hashes: int = 1) -> int:
        """Return the number of waiting passwords if the queue has room for `hashes` more.

        An empty queue accepts any number of `hashes`.

        Raises:
            TooBusy: the queue is full.
        """
        now = self._clock()
        self._places = [place for place in self._places if place.hashes and place.until > now]
        waiting = sum(place.hashes for place in self._places)
        if waiting and waiting + hashes > self.length:
            raise TooBusy("hash_queue_full", max(1, math.ceil(waiting * self._estimate)))
        return waiting

    @contextmanager
    def admit(self, hashes: int) -> Iterator[Place]:
        """Hold a place while a request may hash up to `hashes` passwords.

        Raises:
            TooBusy: the queue is full.
        """
        waiting = self.require_room(hashes) + hashes
        # In workerd no code of a request runs after its client disconnected, not even `finally`. So a place expires
        # after `GRACE` plus four times the estimated duration of all waiting hashes, or after the maximum duration of a
        # request if that is shorter. A shorter lifetime would admit too many requests if hashes are slow.
        place = Place(hashes, self._clock() + min(self._deadline, 4 * waiting * self._estimate + GRACE))
        self._places.append(place)
        try:
            yield place
        finally:
            place.hashes = 0

    async def __call__(self, password: bytes, salt: bytes, profile: Profile, deadline: float, /) -> bytes:
        """Derive a key. If the hash waited for an earlier hash, update the estimate of the duration.

        Raises:
            TimeoutError: hashing did not start by `deadline`, or within `LATEST_START_SHARE` of the maximum duration of
                a request.
        """
        start = self._clock()
        key = await self._kdf(password, salt, profile, min(deadline, start + LATEST_START_SHARE * self._deadline))
        now = self._clock()
        # Measure only a hash that waited for the one before it: workerd's clock does not advance while code runs, so it
        # does not show the duration of a hash that did not wait.
        if start <= self._last_end:
            self._estimate += WEIGHT * (now - self._last_end - self._estimate)
        self._last_end = now
        return key
