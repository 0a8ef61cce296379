"""Asking again, and leaving off."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from unittest.mock import patch

import pytest

from signup.database.circuit_breaker import FAILURES, FIRST, LONGEST, CircuitBreaker, State
from signup.database.proxy import Rows
from signup.database.retry import ATTEMPTS, FIRST_PAUSE, ResilientProxy
from signup.problems import DatabaseError, Misconfigured, Problem, ProxyBusy, ProxyTimeout, ProxyUnavailable
from tests.fakes import FakeProxy

pytestmark = pytest.mark.anyio
ROWS: Rows = [["1"]]


@dataclass
class Time:
    """A clock that sleeping moves on."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Return the time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Move it on."""
        self.pauses.append(seconds)
        self.now += seconds


def resilient(proxy: FakeProxy, clock: Time, draw: Callable[[], float] = lambda: 1.0) -> ResilientProxy:
    """Return what is under test."""
    return ResilientProxy(proxy, clock=clock, sleep=clock.sleep, draw=draw)


async def test_a_success_is_asked_for_once() -> None:
    """Nothing is repeated without a reason."""
    proxy, clock = FakeProxy(ROWS), Time()
    assert await resilient(proxy, clock).execute("S", ("p",), clock() + 10) == ROWS
    assert (proxy.executed, clock.pauses) == ([("S", ("p",))], [])


@pytest.mark.parametrize("problem", [ProxyUnavailable("down"), ProxyTimeout("slow"), ProxyBusy("full")])
async def test_what_may_pass_is_tried_again(problem: Problem) -> None:
    """The same statement with the same parameters, after a pause whose bound doubles."""
    proxy, clock = FakeProxy(problem, problem, ROWS), Time()
    assert await resilient(proxy, clock).execute("S", ("p",), clock() + 10) == ROWS
    assert proxy.executed == [("S", ("p",))] * 3
    assert clock.pauses == [FIRST_PAUSE, FIRST_PAUSE * 2]


@pytest.mark.parametrize("problem", [DatabaseError("23514"), Misconfigured("DATABASE_URL", "is wrong")])
async def test_what_stays_is_not_tried_again(problem: Problem) -> None:
    """A refusal will be the same the next time."""
    proxy, clock = FakeProxy(problem), Time()
    with pytest.raises(type(problem)):
        await resilient(proxy, clock).execute("S", (), clock() + 10)
    assert len(proxy.executed) == 1


async def test_the_budget_is_small() -> None:
    """After the last attempt its problem is raised."""
    proxy, clock = FakeProxy(*[ProxyBusy(str(number)) for number in range(9)]), Time()
    with pytest.raises(ProxyBusy, match=str(ATTEMPTS - 1)):
        await resilient(proxy, clock).execute("S", (), clock() + 100)
    assert len(proxy.executed) == ATTEMPTS


async def test_the_pause_is_drawn() -> None:
    """Full jitter: from nothing up to the bound, so that those who failed together do not return together."""
    clock = Time()
    await resilient(FakeProxy(ProxyBusy("full"), ROWS), clock, lambda: 0.25).execute("S", (), clock() + 10)
    assert clock.pauses == [FIRST_PAUSE / 4]


async def test_retry_after_is_honoured() -> None:
    """What the other end asked for is the least pause; an unsaid one is not waited for."""
    clock = Time()
    await resilient(FakeProxy(ProxyBusy("full", 3), ROWS), clock, lambda: 0.5).execute("S", (), clock() + 10)
    assert clock.pauses == [3 + FIRST_PAUSE / 2]


async def test_no_pause_goes_beyond_the_deadline() -> None:
    """When there is no time for another attempt, the problem is raised at once."""
    clock = Time()
    with pytest.raises(ProxyBusy):
        await resilient(FakeProxy(ProxyBusy("full", 11)), clock).execute("S", (), clock() + 10)
    assert clock.pauses == []


async def test_no_attempt_is_begun_that_would_be_cut_off() -> None:
    """A no that took six seconds is not asked for again in the remaining four: the clear answer is kept."""
    clock = Time()

    class Slow(FakeProxy):
        async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
            clock.now += 6
            return await super().execute(statement, parameters)

    proxy = Slow(ProxyUnavailable("down"), ROWS)
    with pytest.raises(ProxyUnavailable):
        await resilient(proxy, clock).execute("S", (), clock() + 10)
    proxy = Slow(ProxyTimeout("unknown"), ROWS)
    assert await resilient(proxy, clock).execute("S", (), clock() + 20) == ROWS


async def test_an_attempt_ends_with_the_deadline() -> None:
    """A proxy that never answers costs the deadline, and not more."""

    class Silent(FakeProxy):
        async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
            del statement, parameters
            await asyncio.sleep(60)
            raise AssertionError

    start = time.monotonic()
    with pytest.raises(ProxyTimeout):
        await ResilientProxy(Silent()).execute("S", (), start + 0.05)
    assert time.monotonic() - start < 5


async def test_a_proxy_that_gives_up_by_itself_needs_no_timer() -> None:
    """Only an attempt that the deadline may cut off has one: in workerd a timer outlives what it is for."""
    proxy, clock = FakeProxy(ROWS, ROWS), Time()
    it = ResilientProxy(proxy, 5, clock=clock, sleep=clock.sleep)
    with patch.object(asyncio, "timeout", side_effect=AssertionError):
        assert await it.execute("S", (), clock() + 5.1) == ROWS
        with pytest.raises(AssertionError):
            await it.execute("S", (), clock() + 4.9)


async def test_a_dead_proxy_is_left_alone_and_probed() -> None:
    """After enough failures in a row nothing is sent; after a while one request is, and decides.

    Who is under way waits for that, as far as its budget goes; who comes new is refused before anything is hashed.
    """
    proxy, clock = FakeProxy(*[ProxyUnavailable("down")] * 20), Time()
    it = resilient(proxy, clock, lambda: 0.0)
    for _ in range(2):
        with pytest.raises(ProxyUnavailable):
            await it.execute("S", (), clock() + 10)
    assert len(proxy.executed) == FAILURES + 1
    assert clock.pauses[-2:] == [1, 0.0]
    with pytest.raises(ProxyUnavailable) as caught:
        it.require_available()
    assert caught.value.headers() == {"retry-after": "2"}
    clock.now += FIRST * 2
    it.require_available()
    proxy.outcomes = [ROWS]
    assert await it.execute("S", (), clock() + 10) == ROWS
    it.require_available()


async def test_answers_keep_the_circuit_closed() -> None:
    """A busy pool and a refused statement are answers: whoever gives them is alive."""
    proxy, clock = FakeProxy(*[ProxyBusy("full")] * 20), Time()
    it = resilient(proxy, clock)
    for _ in range(FAILURES):
        with pytest.raises(ProxyBusy):
            await it.execute("S", (), clock() + 100)
    it.require_available()


def opened(clock: Time) -> CircuitBreaker:
    """Return a circuit that has just opened."""
    circuit = CircuitBreaker(clock)
    for _ in range(FAILURES):
        circuit.begin()
        circuit.failed()
    return circuit


def test_a_success_forgets_the_failures() -> None:
    """Only failures in a row count."""
    circuit = CircuitBreaker(Time())
    for _ in range(3):
        for _ in range(FAILURES - 1):
            circuit.failed()
        assert circuit.state is State.CLOSED
        circuit.succeeded()


def test_half_open_lets_one_through() -> None:
    """While the probe is under way everybody else is refused."""
    clock = Time()
    circuit = opened(clock)
    assert circuit.state is State.OPEN
    clock.now += FIRST
    circuit.begin()
    with pytest.raises(ProxyUnavailable):
        circuit.begin()


def test_a_failed_probe_opens_it_for_longer() -> None:
    """Each time twice as long, up to a bound."""
    clock = Time()
    circuit = opened(clock)
    pause = FIRST
    for _ in range(8):
        clock.now += pause
        circuit.begin()
        circuit.failed()
        pause = min(pause * 2, LONGEST)
        clock.now += pause - 0.01
        assert circuit.state is State.OPEN
        clock.now += 0.01 - pause
    assert pause == LONGEST


def test_a_probe_that_was_cut_off_is_not_waited_for() -> None:
    """A request that ended without a word, its client gone, does not keep the circuit open for ever."""
    clock = Time()
    circuit = opened(clock)
    clock.now += FIRST
    circuit.begin()
    clock.now += FIRST
    circuit.begin()
    circuit.succeeded()
    assert circuit.state is State.CLOSED


def test_late_failures_do_not_prolong_it() -> None:
    """Requests that were under way when it opened, and fail after it, change nothing."""
    clock = Time()
    circuit = opened(clock)
    clock.now += FIRST / 2
    circuit.failed()
    clock.now += FIRST / 2
    assert circuit.state is State.HALF_OPEN
