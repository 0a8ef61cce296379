"""Retries and the circuit breaker."""

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
class FakeClock:
    """A clock that `sleep` advances."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        """Return the current time."""
        return self.now

    async def sleep(self, seconds: float) -> None:
        """Record the pause, and advance the clock."""
        self.pauses.append(seconds)
        self.now += seconds


def resilient(proxy: FakeProxy, clock: FakeClock, draw: Callable[[], float] = lambda: 1.0) -> ResilientProxy:
    """Return a `ResilientProxy` with this clock."""
    return ResilientProxy(proxy, clock=clock, sleep=clock.sleep, draw=draw)


async def test_a_success_is_not_retried() -> None:
    """The statement is executed once, without a pause."""
    proxy, clock = FakeProxy(ROWS), FakeClock()
    assert await resilient(proxy, clock).execute("S", ("p",), clock() + 10) == ROWS
    assert (proxy.executed, clock.pauses) == ([("S", ("p",))], [])


@pytest.mark.parametrize("problem", [ProxyUnavailable(), ProxyTimeout(), ProxyBusy()])
async def test_a_transient_problem_is_retried(problem: Problem) -> None:
    """The same statement is executed again, after pauses whose bound doubles."""
    proxy, clock = FakeProxy(problem, problem, ROWS), FakeClock()
    assert await resilient(proxy, clock).execute("S", ("p",), clock() + 10) == ROWS
    assert proxy.executed == [("S", ("p",))] * 3
    assert clock.pauses == [FIRST_PAUSE, FIRST_PAUSE * 2]


@pytest.mark.parametrize("problem", [DatabaseError("23514"), Misconfigured("DATABASE_URL", "is wrong")])
async def test_a_permanent_problem_is_not_retried(problem: Problem) -> None:
    """The problem is raised after one attempt."""
    proxy, clock = FakeProxy(problem), FakeClock()
    with pytest.raises(type(problem)):
        await resilient(proxy, clock).execute("S", (), clock() + 10)
    assert len(proxy.executed) == 1


async def test_the_number_of_attempts_is_limited() -> None:
    """The problem of the last attempt is raised."""
    proxy, clock = (
        FakeProxy(*[ProxyBusy("no_free_connection", upstream_code=str(number)) for number in range(9)]),
        FakeClock(),
    )
    with pytest.raises(ProxyBusy) as caught:
        await resilient(proxy, clock).execute("S", (), clock() + 100)
    assert caught.value.details == {"upstream_code": str(ATTEMPTS - 1)}
    assert len(proxy.executed) == ATTEMPTS


async def test_the_pause_has_full_jitter() -> None:
    """The pause is drawn between zero and the bound, so that clients do not retry at the same time."""
    clock = FakeClock()
    await resilient(FakeProxy(ProxyBusy(), ROWS), clock, lambda: 0.25).execute("S", (), clock() + 10)
    assert clock.pauses == [FIRST_PAUSE / 4]


async def test_retry_after_is_honoured() -> None:
    """The requested delay is added to the drawn pause."""
    clock = FakeClock()
    await resilient(FakeProxy(ProxyBusy(retry_after=3), ROWS), clock, lambda: 0.5).execute("S", (), clock() + 10)
    assert clock.pauses == [3 + FIRST_PAUSE / 2]


async def test_a_pause_beyond_the_deadline_is_not_started() -> None:
    """The problem is raised at once."""
    clock = FakeClock()
    with pytest.raises(ProxyBusy):
        await resilient(FakeProxy(ProxyBusy(retry_after=11)), clock).execute("S", (), clock() + 10)
    assert clock.pauses == []


async def test_an_attempt_that_the_deadline_would_cut_off_is_not_started() -> None:
    """After a failure at 6 s of a 10 s deadline no retry is started: it would be cut off, with an unknown outcome.

    With a deadline of 20 s, the retry is started.
    """
    clock = FakeClock()

    class Slow(FakeProxy):
        async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
            clock.now += 6
            return await super().execute(statement, parameters)

    proxy = Slow(ProxyUnavailable(), ROWS)
    with pytest.raises(ProxyUnavailable):
        await resilient(proxy, clock).execute("S", (), clock() + 10)
    proxy = Slow(ProxyTimeout(), ROWS)
    assert await resilient(proxy, clock).execute("S", (), clock() + 20) == ROWS


async def test_an_attempt_ends_with_the_deadline() -> None:
    """A proxy that never responds is abandoned at the deadline."""

    class Silent(FakeProxy):
        async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
            del statement, parameters
            await asyncio.sleep(60)
            raise AssertionError

    start = time.monotonic()
    with pytest.raises(ProxyTimeout):
        await ResilientProxy(Silent()).execute("S", (), start + 0.05)
    assert time.monotonic() - start < 5


async def test_a_proxy_with_its_own_timeout_needs_no_timer() -> None:
    """Only an attempt that the deadline may cut off has a timer, because a timer in workerd is expensive."""
    proxy, clock = FakeProxy(ROWS, ROWS), FakeClock()
    retrying = ResilientProxy(proxy, 5, clock=clock, sleep=clock.sleep)
    with patch.object(asyncio, "timeout", side_effect=AssertionError):
        assert await retrying.execute("S", (), clock() + 5.1) == ROWS
        with pytest.raises(AssertionError):
            await retrying.execute("S", (), clock() + 4.9)


async def test_the_circuit_opens_after_failures_until_a_probe_succeeds() -> None:
    """After `FAILURES` consecutive failures nothing is sent until a probe, which closes or reopens the circuit.

    A running request waits, and then sends the probe. `require_available` refuses new requests.
    """
    proxy, clock = FakeProxy(*[ProxyUnavailable()] * 20), FakeClock()
    retrying = resilient(proxy, clock, lambda: 0.0)
    for _ in range(2):
        with pytest.raises(ProxyUnavailable):
            await retrying.execute("S", (), clock() + 10)
    assert len(proxy.executed) == FAILURES + 1
    assert clock.pauses[-2:] == [1, 0.0]
    with pytest.raises(ProxyUnavailable) as caught:
        retrying.require_available()
    assert caught.value.headers() == {"retry-after": "2"}
    clock.now += FIRST * 2
    retrying.require_available()
    proxy.outcomes = [ROWS]
    assert await retrying.execute("S", (), clock() + 10) == ROWS
    retrying.require_available()


async def test_a_busy_proxy_keeps_the_circuit_closed() -> None:
    """A proxy without a free connection is reachable."""
    proxy, clock = FakeProxy(*[ProxyBusy()] * 20), FakeClock()
    retrying = resilient(proxy, clock)
    for _ in range(FAILURES):
        with pytest.raises(ProxyBusy):
            await retrying.execute("S", (), clock() + 100)
    retrying.require_available()


def open_circuit(clock: FakeClock) -> CircuitBreaker:
    """Return a circuit that has just opened."""
    circuit = CircuitBreaker(clock)
    for _ in range(FAILURES):
        circuit.begin()
        circuit.failed()
    return circuit


def test_a_success_resets_the_failure_count() -> None:
    """Only consecutive failures count."""
    circuit = CircuitBreaker(FakeClock())
    for _ in range(3):
        for _ in range(FAILURES - 1):
            circuit.failed()
        assert circuit.state is State.CLOSED
        circuit.succeeded()


def test_a_half_open_circuit_allows_one_probe() -> None:
    """Other calls are refused while the probe is in progress."""
    clock = FakeClock()
    circuit = open_circuit(clock)
    assert circuit.state is State.OPEN
    clock.now += FIRST
    circuit.begin()
    with pytest.raises(ProxyUnavailable):
        circuit.begin()


def test_a_failed_probe_reopens_the_circuit_for_longer() -> None:
    """The pause doubles up to a bound."""
    clock = FakeClock()
    circuit = open_circuit(clock)
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


def test_an_abandoned_probe_is_replaced() -> None:
    """A probe whose client disconnected does not keep the circuit open."""
    clock = FakeClock()
    circuit = open_circuit(clock)
    clock.now += FIRST
    circuit.begin()
    clock.now += FIRST
    circuit.begin()
    circuit.succeeded()
    assert circuit.state is State.CLOSED


def test_late_failures_do_not_extend_the_pause() -> None:
    """Failures of requests that were in progress when the circuit opened do not count."""
    clock = FakeClock()
    circuit = open_circuit(clock)
    clock.now += FIRST / 2
    circuit.failed()
    clock.now += FIRST / 2
    assert circuit.state is State.HALF_OPEN
