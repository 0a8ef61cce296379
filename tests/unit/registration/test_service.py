"""The sign-up service: idempotency, guards, and no unnecessary hashing."""

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio
import pytest
from pydantic import SecretStr

from devstack.kdf import cpython_kdf
from signup.fields.models import STORED, Rules, SignUpRequest, User
from signup.hashing.password_hasher import Hasher
from signup.hashing.profiles import CHEAP, Profile
from signup.problems import IdempotencyMismatch, ProxyBusy, ProxyUnavailable, TooBusy
from signup.registration.service import Attempt, SignedUp, SignUp
from signup.registration.user_store import NO_DETAILS, Details, Entry
from tests.fakes import ADA, CREATED_AT

pytestmark = pytest.mark.anyio
REQUEST = SignUpRequest.from_object(ADA, Rules())


class CountingKdf:
    """A key derivation function that counts its calls."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self, password: bytes, salt: bytes, profile: Profile, deadline: float, /) -> bytes:
        """Derive a key unless the deadline has passed."""
        if deadline < time.monotonic():
            raise TimeoutError
        self.calls += 1
        return await cpython_kdf(password, salt, profile)


class FakeStore:
    """A user store that keeps users by key, as the database does."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Entry] = {}
        self.keys: list[bytes] = []
        self.languages: list[str] = []

    async def add(
        self,
        fields: Sequence[str | None],
        password: SecretStr,
        key: bytes,
        *,
        deadline: float,
        details: Details = NO_DETAILS,
    ) -> Entry:
        """Return the user with this key, or store a new one."""
        assert deadline > time.monotonic()
        self.keys.append(key)
        self.languages.append(details.language)
        values = dict(zip(STORED, fields, strict=True))
        user = User.model_validate({"id": len(self.entries) + 1, "created_at": CREATED_AT, **values})
        if key in self.entries:
            return self.entries[key]
        self.entries[key] = Entry(user, password)
        return Entry(user, None)


@pytest.fixture
def kdf() -> CountingKdf:
    """Return a counting key derivation function."""
    return CountingKdf()


@pytest.fixture
def store() -> FakeStore:
    """Return an empty store."""
    return FakeStore()


async def sign_up(
    store: FakeStore, kdf: CountingKdf, key: str | None, request: SignUpRequest = REQUEST, seconds: float = 60
) -> SignedUp:
    """Sign up once; `key` is the client's idempotency key, if any."""
    return await SignUp(store, Hasher(kdf, CHEAP), lambda: None)(Attempt(request, time.monotonic() + seconds, key))


async def test_each_request_without_a_key_gets_a_random_one(store: FakeStore, kdf: CountingKdf) -> None:
    """The key has 32 bytes, and each request hashes once."""
    for number in (1, 2):
        outcome = await sign_up(store, kdf, None)
        assert (outcome.user.id, outcome.replayed, kdf.calls) == (number, False, number)
    assert len({*store.keys}) == 2
    assert {len(key) for key in store.keys} == {32}


async def test_the_same_key_and_body_are_replayed(store: FakeStore, kdf: CountingKdf) -> None:
    """Every retry returns the first user; the stored key is a digest."""
    first = await sign_up(store, kdf, "key-1")
    assert not first.replayed
    for _ in range(3):
        again = await sign_up(store, kdf, "key-1")
        assert (again.user, again.replayed) == (first.user, True)
    assert not [key for key in store.keys if b"key-1" in key]
    assert (await sign_up(store, kdf, "key-2")).user.id == 2


@pytest.mark.parametrize(
    "change", [{"name": "Bob"}, {"email": "bob@example.com"}, {"password": "another long password"}]
)
async def test_the_same_key_with_another_body_is_refused(
    store: FakeStore, kdf: CountingKdf, change: dict[str, str]
) -> None:
    """Name, address and password are compared, the password by its hash."""
    await sign_up(store, kdf, "key-1")
    changed = SignUpRequest.from_object({**ADA, **change}, Rules())
    with pytest.raises(IdempotencyMismatch):
        await sign_up(store, kdf, "key-1", changed)
    assert kdf.calls == (3 if "password" in change else 2)


@pytest.mark.parametrize("key", ["key-1", None])
async def test_a_retried_statement_is_not_a_replay(kdf: CountingKdf, key: str | None) -> None:
    """A retry that finds the row of its first attempt counts as new, and nothing is hashed again."""

    class RetryingStore(FakeStore):
        async def add(self, *args: Any, **kwargs: Any) -> Entry:
            await super().add(*args, **kwargs)
            return await super().add(*args, **kwargs)

    outcome = await sign_up(RetryingStore(), kdf, key)
    assert (outcome.replayed, kdf.calls) == (False, 1)


async def test_the_row_of_another_client_is_refused(kdf: CountingKdf) -> None:
    """Examples are a new user with another address, and a replay for a request without a key."""

    class MixedUpStore(FakeStore):
        password: SecretStr | None = None

        async def add(self, fields: Sequence[str | None], *args: Any, **kwargs: Any) -> Entry:
            entry = await super().add((fields[0], f"eve+{fields[1]}", *fields[2:]), *args, **kwargs)
            return replace(entry, password=self.password)

    mixed_up = MixedUpStore()
    for key in ("key-1", None):
        with pytest.raises(ProxyUnavailable, match="mismatched_row"):
            await sign_up(mixed_up, kdf, key)
    mixed_up.password = SecretStr("$other$")
    with pytest.raises(ProxyUnavailable, match="mismatched_row"):
        await sign_up(mixed_up, kdf, None)


async def test_a_user_with_an_unsupported_hash_does_not_match(store: FakeStore, kdf: CountingKdf) -> None:
    """The password of the request cannot be compared with such a hash."""
    await sign_up(store, kdf, "key-1")
    (key,) = store.entries
    for stored in ("in the clear", "$2b$12$abc", "$scrypt$ln=99,r=8,p=1$" + "A" * 22 + "$" + "A" * 43):
        store.entries[key] = replace(store.entries[key], password=SecretStr(stored))
        with pytest.raises(IdempotencyMismatch):
            await sign_up(store, kdf, "key-1")


async def test_nothing_is_hashed_while_the_circuit_is_open(store: FakeStore, kdf: CountingKdf) -> None:
    """The request is refused before hashing."""

    def refuse() -> None:
        raise ProxyUnavailable("circuit_open")

    with pytest.raises(ProxyUnavailable):
        await SignUp(store, Hasher(kdf, CHEAP), refuse)(Attempt(REQUEST, time.monotonic() + 60))
    assert (kdf.calls, store.keys) == (0, [])


async def test_a_request_beyond_its_deadline_raises_too_busy(store: FakeStore, kdf: CountingKdf) -> None:
    """Nothing is hashed or sent to the database."""
    with pytest.raises(TooBusy):
        await sign_up(store, kdf, None, seconds=-1)
    assert (store.keys, kdf.calls) == ([], 0)


async def test_a_hash_that_took_too_long_raises_too_busy(store: FakeStore) -> None:
    """A hash that began in time but ended late is not sent to the database."""

    class LateKdf(CountingKdf):
        async def __call__(self, password: bytes, salt: bytes, profile: Profile, deadline: float, /) -> bytes:
            key = await super().__call__(password, salt, profile, deadline)
            await anyio.sleep(deadline - time.monotonic() + 0.01)
            return key

    with pytest.raises(TooBusy):
        await sign_up(store, LateKdf(), None, seconds=0.1)
    assert store.keys == []


async def test_a_guard_refuses_before_hashing(store: FakeStore, kdf: CountingKdf) -> None:
    """Guards run in order and receive the request and the client; an exception of a guard ends the attempt."""
    attempt = Attempt(REQUEST, time.monotonic() + 60, client="192.0.2.1")
    attempts: list[Attempt] = []

    async def first(attempt: Attempt) -> None:
        attempts.append(attempt)

    async def second(_attempt: Attempt) -> None:
        raise ProxyBusy("no_free_connection")

    service = SignUp(store, Hasher(kdf, CHEAP), lambda: None, [first, second])
    with pytest.raises(ProxyBusy):
        await service(attempt)
    assert (attempts, kdf.calls, store.keys) == ([attempt], 0, [])


async def test_the_store_gets_the_language_and_returns_the_verification(store: FakeStore, kdf: CountingKdf) -> None:
    """E-mails are in the language of the request. The result states whether the address is verified."""

    class VerifyingStore(FakeStore):
        async def add(self, *args: Any, **kwargs: Any) -> Entry:
            entry = await super().add(*args, **kwargs)
            return replace(entry, email_verified=entry.password is not None)

    assert (await sign_up(store, kdf, None)).email_verified is None
    verifying = VerifyingStore()
    service = SignUp(verifying, Hasher(kdf, CHEAP), lambda: None)
    attempt = Attempt(REQUEST, time.monotonic() + 60, "key-1", details=Details("de"))
    assert [(await service(attempt)).email_verified for _ in range(2)] == [False, True]
    assert verifying.languages == ["de", "de"]
