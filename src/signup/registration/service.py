"""The use case of a sign-up. It does not depend on HTTP or on a data proxy's protocol."""

import os
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol, TypeVar

from signup.fields.models import SignUpRequest, User, stored_values
from signup.hashing.password_hasher import Hasher
from signup.hashing.queue import Place
from signup.problems import IdempotencyMismatch, ProxyUnavailable, TooBusy
from signup.registration.user_store import NO_DETAILS, Details, UserStore

# The length of a random idempotency key, in bytes.
KEY_LENGTH = 32

T = TypeVar("T")


@dataclass(slots=True)
class SignedUp:
    """The result of a sign-up.

    Args:
        user: the user that was created, by this request or by an earlier one.
        replayed: whether an earlier request with the same idempotency key created the user.
        email_verified: whether the address is verified; None if the store does not report it.
        extra: the user's extra fields (`EXTRA_FIELDS`); None if the user has none or the setting is empty.
    """

    user: User
    replayed: bool
    email_verified: bool | None = None
    extra: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Attempt:
    """One attempt to sign up.

    Args:
        request: the validated request.
        deadline: the time by which to respond, in seconds on the monotonic clock.
        idempotency_key: the client's key, if any.
        client: the client's IP address according to Cloudflare; "" if unknown.
        place: the sign-up's place in the hash queue, which counts the passwords that may still be hashed for it.
        details: the language, accepted terms, extra fields and the use of an invitation.
        invitation: the value of the field `invitation`, which a guard checks; "" if the field is missing.
    """

    request: SignUpRequest
    deadline: float
    idempotency_key: str | None = None
    client: str = ""
    place: Place = field(default_factory=Place)
    details: Details = NO_DETAILS
    invitation: object = ""


class Guard(Protocol):
    """A check before the password is hashed."""

    async def __call__(self, attempt: Attempt, /) -> None:
        """Check the sign-up.

        Raises:
            Problem: the sign-up is refused.
        """
        ...


class SignUp:
    """Signs users up.

    Args:
        store: creates the users.
        hasher: hashes passwords, and verifies them when a request is repeated.
        require_available: raises a `Problem` if the store is known to be unavailable. Called before hashing.
        guards: the checks before hashing, in order.
    """

    def __init__(
        self, store: UserStore, hasher: Hasher, require_available: Callable[[], None], guards: Sequence[Guard] = ()
    ) -> None:
        self._store = store
        self._hasher = hasher
        self._require_available = require_available
        self._guards = guards

    async def __call__(self, attempt: Attempt) -> SignedUp:
        """Create a user, or return the user that an earlier request with the same idempotency key created.

        A request without a key gets a random one, so that its statement may be retried. Only the SHA-256 of a client's
        key is stored. A second request with the same key is a replay if the stored and the extra fields are equal
        and the password matches the user's hash. No digest of the body is stored, because it would allow fast guessing
        of passwords.

        The password is hashed before the address is looked up, so that the response time does not reveal whether the
        address is taken. Retries of the statement use the same hash.

        Raises:
            IdempotencyMismatch: the key was used with a different body.
            ProxyUnavailable: the data proxy is unavailable, or returned the row of another request.
            Problem: the user was not created, or the outcome is unknown.
        """
        request, deadline, client_key = attempt.request, attempt.deadline, attempt.idempotency_key
        self._require_available()
        for guard in self._guards:
            await guard(attempt)
        password = await _await_before_deadline(self._hasher.hash(request.password, deadline), deadline)
        attempt.place.hashes -= 1
        key = os.urandom(KEY_LENGTH) if client_key is None else sha256(client_key.encode()).digest()
        fields = stored_values(request)
        entry = await self._store.add(fields, password, key, deadline=deadline, details=attempt.details)
        # Salts are random, so an equal hash was stored by an earlier attempt of this request whose response was lost.
        if entry.password is None or entry.password == password:
            if entry.user.email != request.email:
                raise ProxyUnavailable("mismatched_row")
            return SignedUp(entry.user, False, entry.email_verified, entry.extra)
        if client_key is None:
            # No earlier request can have used a random key.
            raise ProxyUnavailable("mismatched_row")
        # A user who signed up before `EXTRA_FIELDS` was set has no extra fields.
        has_same_extra = (entry.extra or {}) == (attempt.details.extra or {})
        has_same_fields = has_same_extra and stored_values(entry.user) == stored_values(request)
        if not has_same_fields or not await _await_before_deadline(
            self._hasher.verify(request.password, entry.password, deadline), deadline
        ):
            raise IdempotencyMismatch
        return SignedUp(entry.user, True, entry.email_verified, entry.extra)


async def _await_before_deadline(hashing: Awaitable[T], deadline: float) -> T:
    """Return the result of hashing, or raise `TooBusy` if it did not start or end in time."""
    try:
        result = await hashing
    except TimeoutError as exc:
        raise TooBusy("hash_timeout") from exc
    if time.monotonic() >= deadline:
        raise TooBusy("hash_timeout")
    return result
