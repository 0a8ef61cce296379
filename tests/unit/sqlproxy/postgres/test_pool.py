"""The connection pool, with fake connections."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from time import monotonic
from typing import TYPE_CHECKING, Any, cast

import pytest

from sqlproxy.errors import DatabaseUnreachable, PoolBusy
from sqlproxy.postgres.pool import Pool

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from sqlproxy.postgres.connection import Connection

pytestmark = pytest.mark.anyio


class FakeConnection:
    """A fake connection without a server."""

    def __init__(self) -> None:
        self.opened = self.released = monotonic()
        self.alive = True
        self.active = False
        self.reusable = True
        self.needs_reset = self.resetting = False
        self.can_reset_first = False
        self.closed = False
        self.drained = asyncio.Event()
        self.reset_done: Callable[[Any], None] | None = None

    def check(self) -> bool:
        """Return whether the server is still connected."""
        return self.alive

    def close(self) -> None:
        """Disconnect."""
        self.closed = True

    def reset(self) -> None:
        """Begin a reset, which the test ends."""
        self.needs_reset, self.resetting = False, True

    def when_reset(self, done: Callable[[Any], None]) -> None:
        """Record the callback for the end of the reset."""
        self.reset_done = done

    async def drain(self) -> None:
        """Wait until the test ends the statement."""
        await self.drained.wait()
        self.active = False


class FakeServer:
    """A fake server that opens or refuses connections."""

    def __init__(self) -> None:
        self.opened: list[FakeConnection] = []
        self.attempts = 0
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.on_lost: Callable[[Any], None] | None = None

    async def open(self, on_lost: Callable[[Connection], None]) -> Connection:
        """Open or refuse a connection."""
        self.attempts += 1
        self.on_lost = on_lost
        await self.gate.wait()
        if self.down:
            raise DatabaseUnreachable("no")
        self.opened.append(FakeConnection())
        return cast("Connection", self.opened[-1])

    @property
    def open_connections(self) -> int:
        """Return the number of open connections."""
        return sum(not connection.closed for connection in self.opened)


@asynccontextmanager
async def running_pool(server: FakeServer, **settings: Any) -> AsyncIterator[Pool]:
    """Run a pool and close it at the end."""
    pool = Pool(server.open, **settings)
    pool.start()
    try:
        yield pool
    finally:
        await pool.close(0)


async def run_pending_tasks() -> None:
    """Let every runnable task proceed."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_connections_are_opened_on_demand_and_reused() -> None:
    """The most recently used connection is taken first, so that the others can expire."""
    server = FakeServer()
    async with running_pool(server, size=2) as pool:
        first = await pool.acquire()
        second = await pool.acquire()
        assert (pool.in_use, pool.idle, len(server.opened)) == (2, 0, 2)
        pool.release(first)
        pool.release(second)
        assert await pool.acquire() is second
        pool.release(second)
        assert (pool.in_use, pool.idle, len(server.opened)) == (0, 2, 2)


async def test_waiting_requests_are_served_in_order_within_the_size() -> None:
    """The pool never opens more connections than its size."""
    server = FakeServer()
    async with running_pool(server, size=1) as pool:
        connection = await pool.acquire()
        order: list[int] = []

        async def client(number: int) -> None:
            acquired = await pool.acquire()
            order.append(number)
            pool.release(acquired)

        tasks = [asyncio.create_task(client(number)) for number in range(5)]
        await run_pending_tasks()
        assert pool.waiting == 5
        pool.release(connection)
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2, 3, 4]
        assert len(server.opened) == 1


@pytest.mark.parametrize("begun", [False, True], ids=["reset not begun", "reset begun"])
@pytest.mark.parametrize("fails", [False, True], ids=["reset succeeds", "reset fails"])
async def test_a_session_is_reset_before_it_is_reused(fails: bool, begun: bool) -> None:
    """During the reset the connection counts as in use; after a failed reset it is replaced."""
    server = FakeServer()
    async with running_pool(server, size=1) as pool:
        connection = await pool.acquire()
        server.opened[0].needs_reset = not begun
        server.opened[0].resetting = begun
        waiting = asyncio.create_task(pool.acquire())
        await run_pending_tasks()
        pool.release(connection)
        await run_pending_tasks()
        assert (pool.in_use, pool.idle, waiting.done()) == (1, 0, False)
        server.opened[0].reusable = not fails
        server.opened[0].resetting = False
        assert server.opened[0].reset_done is not None
        server.opened[0].reset_done(connection)
        assert (await waiting is connection) is not fails
        assert (server.opened[0].closed, len(server.opened)) == (fails, 2 if fails else 1)


async def test_a_session_may_be_reset_with_the_next_statement() -> None:
    """A waiting request gets the connection at once, and so does a request that arrives soon after the release."""
    server = FakeServer()
    async with running_pool(server, size=1) as pool:
        connection = await pool.acquire()
        server.opened[0].needs_reset = server.opened[0].can_reset_first = True
        waiting = asyncio.create_task(pool.acquire())
        await run_pending_tasks()
        pool.release(connection)
        assert await waiting is connection
        pool.release(connection)
        assert (pool.idle, await pool.acquire()) == (1, connection)
        assert not server.opened[0].resetting


async def test_an_idle_session_is_reset(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unused session therefore holds no locks. After the reset, the connection is idle again."""
    monkeypatch.setattr("sqlproxy.postgres.pool._RESET_AFTER_SECONDS", 0.001)
    server = FakeServer()
    async with running_pool(server, size=1) as pool:
        connection = await pool.acquire()
        server.opened[0].needs_reset = server.opened[0].can_reset_first = True
        pool.release(connection)
        await asyncio.sleep(0.01)
        assert (server.opened[0].resetting, pool.idle, pool.in_use) == (True, 0, 1)
        server.opened[0].resetting = False
        assert server.opened[0].reset_done is not None
        server.opened[0].reset_done(connection)
        assert (pool.idle, pool.in_use) == (1, 0)


async def test_a_full_queue_raises_pool_busy() -> None:
    """The error is raised at once."""
    async with running_pool(FakeServer(), size=1, queue_length=1) as pool:
        connection = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await run_pending_tasks()
        with pytest.raises(PoolBusy) as caught:
            await pool.acquire()
        assert caught.value.reason == "queue_full"
        pool.release(connection)
        assert await waiting is connection


async def test_a_queue_length_of_zero_still_opens_connections() -> None:
    """Only requests beyond the pool's size need the queue."""
    async with running_pool(FakeServer(), size=2, queue_length=0) as pool:
        await asyncio.gather(pool.acquire(), pool.acquire())
        with pytest.raises(PoolBusy):
            await pool.acquire()


async def test_waiting_too_long_raises_pool_busy() -> None:
    """The request leaves the queue."""
    async with running_pool(FakeServer(), size=1, wait_timeout=0.01) as pool:
        await pool.acquire()
        with pytest.raises(PoolBusy) as caught:
            await pool.acquire()
        assert caught.value.reason == "wait_timeout"
        assert pool.waiting == 0


async def test_waiting_without_a_database_raises_database_unreachable() -> None:
    """The pool keeps trying to connect while the request waits."""
    server = FakeServer()
    server.down = True
    states: list[DatabaseUnreachable | None] = []
    async with running_pool(server, size=1, wait_timeout=0.2, on_state=states.append) as pool:
        with pytest.raises(DatabaseUnreachable):
            await pool.acquire()
        assert server.attempts > 1
        assert all(isinstance(state, DatabaseUnreachable) for state in states)


async def test_a_waiting_request_survives_a_database_outage() -> None:
    """The request gets a connection when the database is available again."""
    server = FakeServer()
    server.down = True
    async with running_pool(server, size=1) as pool:
        waiting = asyncio.create_task(pool.acquire())
        await run_pending_tasks()
        server.down = False
        assert await waiting is cast("Connection", server.opened[0])


async def test_connection_attempts_end_when_no_request_waits() -> None:
    """The pool does not retry for a request that has timed out."""
    server = FakeServer()
    server.down = True
    async with running_pool(server, size=1, wait_timeout=0.01) as pool:
        with pytest.raises(DatabaseUnreachable):
            await pool.acquire()
        async with asyncio.timeout(1):
            while pool.connecting:  # noqa: ASYNC110 - the pool has no event for it
                await asyncio.sleep(0.005)


async def test_a_dead_idle_connection_is_replaced() -> None:
    """Idle connections are checked before they are used."""
    server = FakeServer()
    async with running_pool(server, size=1) as pool:
        connection = await pool.acquire()
        pool.release(connection)
        server.opened[0].alive = False
        assert await pool.acquire() is not connection


async def test_a_connection_that_is_lost_before_the_waiting_request_resumes_is_replaced() -> None:
    """The connections of waiting requests are checked too."""
    server = FakeServer()
    async with running_pool(server, size=1) as pool:
        first = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await run_pending_tasks()
        pool.release(first)
        server.opened[0].alive = False
        assert await waiting is cast("Connection", server.opened[1])
        assert pool.in_use == 1


async def test_a_lost_idle_connection_is_reopened() -> None:
    """The minimum size is restored at once."""
    server = FakeServer()
    async with running_pool(server, size=2, min_size=1) as pool:
        await run_pending_tasks()
        lost = server.opened[0]
        assert server.on_lost is not None
        server.on_lost(lost)
        await run_pending_tasks()
        assert (pool.idle, len(server.opened)) == (1, 2)


async def test_a_connection_that_is_not_reusable_is_replaced() -> None:
    """The waiting request gets a new connection."""
    server = FakeServer()
    async with running_pool(server, size=1) as pool:
        first = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await run_pending_tasks()
        server.opened[0].reusable = False
        pool.release(first)
        assert await waiting is cast("Connection", server.opened[1])
        assert server.opened[0].closed
        assert server.open_connections == 1


async def test_a_connection_with_a_running_statement_is_drained_before_reuse() -> None:
    """The connection counts as in use until its statement has ended."""
    server = FakeServer()
    async with running_pool(server, size=1) as pool:
        connection = await pool.acquire()
        server.opened[0].active = True
        pool.release(connection)
        waiting = asyncio.create_task(pool.acquire())
        await run_pending_tasks()
        assert (pool.in_use, waiting.done()) == (1, False)
        server.opened[0].drained.set()
        assert await waiting is connection


async def test_a_cancelled_request_leaks_nothing() -> None:
    """The request frees its place in the queue, or its connection if one was already assigned."""
    server = FakeServer()
    async with running_pool(server, size=1) as pool:
        connection = await pool.acquire()
        early = asyncio.create_task(pool.acquire())
        late = asyncio.create_task(pool.acquire())
        await run_pending_tasks()
        early.cancel()
        await run_pending_tasks()
        assert pool.waiting == 1
        # The second request is cancelled after the connection was assigned to it.
        pool.release(connection)
        late.cancel()
        await asyncio.gather(early, late, return_exceptions=True)
        assert late.cancelled()
        assert (pool.waiting, pool.in_use, pool.idle) == (0, 0, 1)


async def test_a_connection_opened_for_a_cancelled_request_is_kept() -> None:
    """The next request can use the connection."""
    server = FakeServer()
    server.gate.clear()
    async with running_pool(server, size=1) as pool:
        waiting = asyncio.create_task(pool.acquire())
        await run_pending_tasks()
        waiting.cancel()
        server.gate.set()
        await run_pending_tasks()
        assert (pool.idle, pool.connecting) == (1, 0)


async def test_tidying_closes_idle_and_old_connections() -> None:
    """Idle connections beyond the minimum size are closed; one that is too old is replaced even at the minimum size."""
    server = FakeServer()
    async with running_pool(server, size=3, min_size=1, idle_timeout=10, max_lifetime=100) as pool:
        acquired = await asyncio.gather(pool.acquire(), pool.acquire(), pool.acquire())
        for each in acquired:
            pool.release(each)
        pool.tidy()
        assert pool.idle == 3
        for connection in server.opened:
            connection.released -= 11
        pool.tidy()
        assert pool.idle == 1
        server.opened[-1].opened -= 101
        pool.tidy()
        await run_pending_tasks()
        assert (pool.idle, server.open_connections) == (1, 1)
        assert not server.opened[-1].closed
        assert len(server.opened) == 4


async def test_a_connection_beyond_its_lifetime_is_not_reused() -> None:
    """The connection is closed on release, even if it is never idle."""
    server = FakeServer()
    async with running_pool(server, size=1, max_lifetime=100) as pool:
        connection = await pool.acquire()
        server.opened[0].opened -= 101
        pool.release(connection)
        assert server.opened[0].closed


async def test_closing_waits_for_connections_in_use() -> None:
    """Idle connections close at once, and connections in use when they are released or after the timeout."""
    server = FakeServer()
    pool = Pool(server.open, size=3)
    pool.start()
    idle, returned, kept = await asyncio.gather(pool.acquire(), pool.acquire(), pool.acquire())
    pool.release(idle)
    closing = asyncio.create_task(pool.close(0.1))
    await run_pending_tasks()
    assert [connection.closed for connection in server.opened] == [True, False, False]
    pool.release(returned)
    assert server.opened[1].closed
    with pytest.raises(DatabaseUnreachable):
        await pool.acquire()
    await closing
    assert server.opened[2].closed
    pool.release(kept)


async def test_closing_rejects_waiting_requests() -> None:
    """Waiting requests get the error at once."""
    pool = Pool(FakeServer().open, size=1)
    pool.start()
    await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await run_pending_tasks()
    await pool.close(0)
    with pytest.raises(DatabaseUnreachable):
        await waiting
