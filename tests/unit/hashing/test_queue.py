"""How many passwords may wait to be hashed."""

import asyncio

import pytest

from signup.hashing.profiles import CHEAP, PROFILES, Profile
from signup.hashing.queue import BoundedKdf, capacity
from signup.problems import TooBusy

pytestmark = pytest.mark.anyio


class Slow:
    """A Kdf that ends when it is told to, and a clock."""

    def __init__(self, number: int) -> None:
        self.now = 0.0
        self.calls = 0
        self.finished = asyncio.Event()
        self.bounded = BoundedKdf(self, number, 10.0, clock=lambda: self.now)

    async def __call__(self, password: bytes, salt: bytes, profile: Profile, deadline: float, /) -> bytes:
        """Wait."""
        assert (password, salt, profile, deadline) == (b"p", b"s", CHEAP, 7.0)
        self.calls += 1
        await self.finished.wait()
        return b"key"

    async def once(self) -> bytes:
        """Derive, and do not wait for a place that there should not be."""
        return await asyncio.wait_for(self.bounded(b"p", b"s", CHEAP, 7.0), 1)

    async def start(self, number: int) -> list[asyncio.Task[bytes]]:
        """Let so many wait."""
        tasks = [asyncio.create_task(self.bounded(b"p", b"s", CHEAP, 7.0)) for _ in range(number)]
        await asyncio.sleep(0)
        return tasks


async def test_who_finds_no_place_is_told_at_once() -> None:
    """Of four for three places the fourth is refused, without a hash; the others are hashed."""
    slow = Slow(3)
    tasks = await slow.start(3)
    with pytest.raises(TooBusy) as caught:
        await slow.once()
    assert (slow.calls, caught.value.headers()) == (3, {"retry-after": "1"})
    slow.finished.set()
    assert await asyncio.gather(*tasks) == [b"key"] * 3
    assert await slow.once() == b"key"


async def test_who_gives_up_frees_the_place() -> None:
    """A request whose deadline cut the hashing off holds no place any more."""
    slow = Slow(1)
    (task,) = await slow.start(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    slow.finished.set()
    assert await slow.once() == b"key"


async def test_a_request_that_never_runs_again_holds_its_place_for_a_while_only() -> None:
    """Clients that went away cannot fill the queue for good; such a request, ending after all, frees no other's."""
    slow = Slow(2)
    abandoned = await slow.start(2)
    slow.now = 9.9
    with pytest.raises(TooBusy):
        await slow.once()
    slow.now = 10.0
    waiting = await slow.start(2)
    for task in abandoned:
        task.cancel()
    await asyncio.gather(*abandoned, return_exceptions=True)
    with pytest.raises(TooBusy):
        await slow.once()
    slow.finished.set()
    await asyncio.gather(*waiting)


@pytest.mark.parametrize(
    ("deadline", "profile", "expected"),
    [
        (10, "m=19456,t=2,p=1", 142),
        (10, "m=47104,t=1,p=1", 118),
        (10, "m=7168,t=5,p=1", 155),
        (30, "m=19456,t=2,p=1", 428),
        (0.5, "m=19456,t=2,p=1", 7),
        (0.05, "m=47104,t=1,p=1", 1),
    ],
)
def test_as_many_wait_as_can_be_hashed_in_time(deadline: float, profile: str, expected: int) -> None:
    """Half of the deadline is for hashing, at 35 ms each for the default profile; there is always a place."""
    assert capacity(deadline, PROFILES[profile]) == expected
