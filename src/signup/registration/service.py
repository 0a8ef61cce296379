"""The use case. It knows neither HTTP nor how a data proxy speaks."""

import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Protocol, TypeVar

from signup.fields.models import SignUpRequest, User, stored_values
from signup.hashing.password_hasher import Hasher
from signup.hashing.queue import Place
from signup.problems import IdempotencyMismatch, ProxyUnavailable, TooBusy
from signup.registration.user_store import FOREIGN_ROW, UserStore

KEY_LENGTH = 32
LATE = "the password could not be hashed in time"

T = TypeVar("T")


@dataclass(slots=True)
class SignedUp:
    """A user, who is there.

    Args:
        user: who.
        replayed: whether an earlier request with the same idempotency key made them.
    """

    user: User
    replayed: bool


@dataclass(slots=True)
class Attempt:
    """One attempt to sign up.

    Args:
        request: what to keep.
        deadline: when it must be answered, in seconds on the monotonic clock.
        idempotency_key: the client's, if it has one.
        client: the address that it came from, as Cloudflare saw it; "" where nobody knows.
        place: its place in the queue of hashes.
    """

    request: SignUpRequest
    deadline: float
    idempotency_key: str | None = None
    client: str = ""
    place: Place = field(default_factory=Place)


class Guard(Protocol):
    """What may refuse a sign-up before anything is hashed for it."""

    async def __call__(self, attempt: Attempt, /) -> None:
        """Return if there is nothing against it.

        Raises:
            Problem: there is.
        """
        ...


class SignUp:
    """Sign users up.

    Args:
        store: where they are kept.
        hasher: what their passwords become.
        require_available: raises a `Problem` when it is known already that the store cannot be reached, so that nothing
            is hashed for it.
        guards: asked one after the other, before anything is hashed.
    """

    def __init__(
        self, store: UserStore, hasher: Hasher, require_available: Callable[[], None], guards: Sequence[Guard] = ()
    ) -> None:
        self._store = store
        self._hasher = hasher
        self._require_available = require_available
        self._guards = guards

    async def __call__(self, attempt: Attempt) -> SignedUp:
        """Keep a new user and return them; with a key that was used before, return the user whom it made.

        A request without a key gets one of its own, so that it may be repeated on the way to the database. Only the
        key's SHA-256 is stored. A body is the same as the one before when the stored fields are equal and the password
        verifies against that user's hash: nothing else of the body is kept anywhere, and nothing that would be quick to
        guess passwords against.

        The password is hashed before it is known whether the address is taken, so that the time of the answer does not
        tell, and once, however often the statement is repeated.

        Raises:
            IdempotencyMismatch: the key was used with another body.
            ProxyUnavailable: among others, when the row that came back is not the one that this request asked for.
            Problem: it was not done, or is not known to be.
        """
        request, deadline, client_key = attempt.request, attempt.deadline, attempt.idempotency_key
        self._require_available()
        for guard in self._guards:
            await guard(attempt)
        password = await _in_time(self._hasher.hash(request.password, deadline), deadline)
        attempt.place.hashes -= 1
        key = os.urandom(KEY_LENGTH) if client_key is None else sha256(client_key.encode()).digest()
        entry = await self._store.add(stored_values(request), password, key, deadline=deadline)
        # A salt is drawn once: the very string that we sent is an attempt of our own whose answer was lost.
        if entry.password is None or entry.password == password:
            if entry.user.email != request.email:
                raise ProxyUnavailable(FOREIGN_ROW)
            return SignedUp(entry.user, replayed=False)
        if client_key is None:
            # No earlier request can have used a random key.
            raise ProxyUnavailable(FOREIGN_ROW)
        same = stored_values(entry.user) == stored_values(request)
        if not same or not await _in_time(self._hasher.verify(request.password, entry.password, deadline), deadline):
            raise IdempotencyMismatch
        return SignedUp(entry.user, replayed=True)


async def _in_time(hashing: Awaitable[T], deadline: float) -> T:
    """Return the hash, unless it took too long: hashes wait for each other."""
    try:
        result = await hashing
    except TimeoutError as exc:
        raise TooBusy(LATE) from exc
    if time.monotonic() >= deadline:
        raise TooBusy(LATE)
    return result
