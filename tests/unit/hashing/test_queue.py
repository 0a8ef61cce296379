"""Admission to the hash queue."""

import asyncio
from contextlib import ExitStack

import pytest

from signup.hashing.profiles import CHEAP, DEFAULT, PROFILES, Argon2id, Profile
from signup.hashing.queue import HashQueue
from signup.problems import TooBusy

pytestmark = pytest.mark.anyio


class Harness:
    """A hash queue with a fake clock, and a fake key derivation function whose hashes take `duration` seconds."""

    def __init__(self, length: int = 0, profile: Argon2id = DEFAULT, deadline: float = 10.0) -> None:
        self.now = 0.0
        self.duration = 0.0
        self.deadlines: list[float] = []
        self.queue = HashQueue(self, profile, deadline, length, clock=lambda: self.now)

    async def __call__(self, password: bytes, salt: bytes, profile: Profile, deadline: float, /) -> bytes:
        """Let other requests arrive, and advance the clock."""
        assert (password, salt, profile) == (b"p", b"s", CHEAP)
        self.deadlines.append(deadline)
        await asyncio.sleep(0)
        self.now += self.duration
        return b"key"

    async def derive(self, number: int) -> None:
        """Derive `number` keys at the same time."""
        keys = await asyncio.gather(*(self.queue(b"p", b"s", CHEAP, 7.0) for _ in range(number)))
        assert keys == [b"key"] * number


def test_a_full_queue_refuses_requests() -> None:
    """With three places, a fourth request is refused until a place is free."""
    queue = Harness(3).queue
    with ExitStack() as places:
        for _ in range(3):
            places.enter_context(queue.admit(1))
        with pytest.raises(TooBusy) as caught, queue.admit(1):
            pass
        assert caught.value.headers() == {"retry-after": "1"}
    with queue.admit(1):
        pass


def test_a_possible_replay_counts_as_two_hashes_until_the_first_is_done() -> None:
    """A request with an idempotency key may need a hash and a verification."""
    queue = Harness(5).queue
    with queue.admit(2) as first, queue.admit(2):
        with pytest.raises(TooBusy), queue.admit(2):
            pass
        first.hashes -= 1
        with queue.admit(2):
            pass


def test_an_idle_queue_admits_every_request() -> None:
    """Without this rule, a queue with one place would never admit a request that counts as two hashes."""
    queue = Harness(1).queue
    with queue.admit(2), pytest.raises(TooBusy), queue.admit(1):
        pass


@pytest.mark.parametrize(("deadline", "held"), [(10.0, 1.81), (1.0, 1.0)])
def test_the_place_of_a_disconnected_client_expires(deadline: float, held: float) -> None:
    """In workerd no code runs for a request whose client disconnected, so its place is not released."""
    harness = Harness(2, deadline=deadline)
    with harness.queue.admit(2):
        harness.now = held - 0.02
        with pytest.raises(TooBusy), harness.queue.admit(1):
            pass
        harness.now = held
        with harness.queue.admit(2):
            pass


@pytest.mark.parametrize(
    ("deadline", "profile", "expected"),
    [
        (10, "m=19456,t=2,p=1", 25),
        (10, "m=47104,t=1,p=1", 20),
        (10, "m=7168,t=5,p=1", 27),
        (30, "m=19456,t=2,p=1", 75),
        (0.5, "m=19456,t=2,p=1", 1),
        (0.05, "m=47104,t=1,p=1", 1),
    ],
)
def test_the_length_depends_on_the_deadline_and_the_profile(deadline: float, profile: str, expected: int) -> None:
    """The length is the number of hashes in a quarter of the deadline, at 100 ms per default hash, and at least one."""
    assert Harness(0, PROFILES[profile], deadline).queue.length == expected


async def test_the_length_follows_the_measured_time_of_hashes() -> None:
    """A slower machine admits fewer requests, a faster one more; a configured length does not change."""
    harness = Harness()
    harness.duration = 0.99
    await harness.derive(100)
    assert harness.queue.length == 2
    with harness.queue.admit(1), pytest.raises(TooBusy) as caught, harness.queue.admit(2):
        pass
    assert caught.value.headers() == {"retry-after": "1"}
    harness.duration = 0.0
    await harness.derive(100)
    assert harness.queue.length > 1000
    fixed = Harness(7)
    fixed.duration = 1.0
    await fixed.derive(30)
    assert fixed.queue.length == 7


async def test_a_hash_that_did_not_wait_is_not_measured() -> None:
    """Workerd's clock does not advance during a hash, so the time of a single hash is unknown."""
    harness = Harness()
    for duration in (0.0, 0.0, 0.5, 0.0, 0.0):
        harness.now += 60
        harness.duration = duration
        await harness.derive(1)
    assert harness.queue.length == 25


@pytest.mark.parametrize(("now", "latest"), [(0.0, 5.0), (1.5, 6.5), (3.0, 7.0)])
async def test_a_hash_must_begin_within_half_of_the_deadline(now: float, latest: float) -> None:
    """A hash may wait for half of REQUEST_DEADLINE, 10 s, but not beyond the request's own deadline, 7 s."""
    harness = Harness()
    harness.now = now
    await harness.derive(1)
    assert harness.deadlines == [latest]
