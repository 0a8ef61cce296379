"""The pool, with connections that only pretend."""

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
    """A connection without a server."""

    def __init__(self) -> None:
        self.opened = self.released = monotonic()
        self.alive = True
        self.active = False
        self.reusable = True
        self.needs_reset = self.resetting = False
        self.closed = False
        self.drained = asyncio.Event()
        self.reset_done: Callable[[Any], None] | None = None

    def check(self) -> bool:
        """Whether the server is still there."""
        return self.alive

    def close(self) -> None:
        """Disconnects."""
        self.closed = True

    def reset(self) -> None:
        """Begins a reset, which the test ends."""
        self.needs_reset, self.resetting = False, True

    def when_reset(self, done: Callable[[Any], None]) -> None:
        """Keeps what is called when the reset has ended."""
        self.reset_done = done

    async def drain(self) -> None:
        """Waits until the test lets the statement end."""
        await self.drained.wait()
        self.active = False


class Server:
    """Makes the connections of a pool, or refuses to."""

    def __init__(self) -> None:
        self.made: list[FakeConnection] = []
        self.attempts = 0
        self.down = False
        self.gate = asyncio.Event()
        self.gate.set()
        self.on_lost: Callable[[Any], None] | None = None

    async def open(self, on_lost: Callable[[Connection], None]) -> Connection:
        """One attempt."""
        self.attempts += 1
        self.on_lost = on_lost
        await self.gate.wait()
        if self.down:
            raise DatabaseUnreachable("no")
        self.made.append(FakeConnection())
        return cast("Connection", self.made[-1])

    @property
    def open_connections(self) -> int:
        """How many the server has."""
        return sum(not connection.closed for connection in self.made)


@asynccontextmanager
async def pool_of(server: Server, **settings: Any) -> AsyncIterator[Pool]:
    """A started pool, closed in the end."""
    pool = Pool(server.open, **settings)
    pool.start()
    try:
        yield pool
    finally:
        await pool.close(0)


async def settle() -> None:
    """Lets every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_connections_are_made_when_needed_and_used_again() -> None:
    """The one that was used last comes first: it is the warmest, and the others can age."""
    server = Server()
    async with pool_of(server, size=2) as pool:
        first = await pool.acquire()
        second = await pool.acquire()
        assert (pool.in_use, pool.idle, len(server.made)) == (2, 0, 2)
        pool.release(first)
        pool.release(second)
        assert await pool.acquire() is second
        pool.release(second)
        assert (pool.in_use, pool.idle, len(server.made)) == (0, 2, 2)


async def test_never_more_than_its_size_and_first_come_first_served() -> None:
    """Whoever waits gets the connection in the order of asking."""
    server = Server()
    async with pool_of(server, size=1) as pool:
        connection = await pool.acquire()
        order: list[int] = []

        async def client(number: int) -> None:
            mine = await pool.acquire()
            order.append(number)
            pool.release(mine)

        tasks = [asyncio.create_task(client(number)) for number in range(5)]
        await settle()
        assert pool.waiting == 5
        pool.release(connection)
        await asyncio.gather(*tasks)
        assert order == [0, 1, 2, 3, 4]
        assert len(server.made) == 1


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("fails", [False, True])
async def test_a_used_session_is_reset_before_it_is_lent_again(fails: bool, begun: bool) -> None:
    """Meanwhile its connection counts as in use; when the reset fails another connection takes its place."""
    server = Server()
    async with pool_of(server, size=1) as pool:
        connection = await pool.acquire()
        server.made[0].needs_reset = not begun
        server.made[0].resetting = begun
        waiting = asyncio.create_task(pool.acquire())
        await settle()
        pool.release(connection)
        await settle()
        assert (pool.in_use, pool.idle, waiting.done()) == (1, 0, False)
        server.made[0].reusable = not fails
        server.made[0].resetting = False
        assert server.made[0].reset_done is not None
        server.made[0].reset_done(connection)
        assert (await waiting is connection) is not fails
        assert (server.made[0].closed, len(server.made)) == (fails, 2 if fails else 1)


async def test_a_full_queue_refuses_at_once() -> None:
    """Waiting behind too many others would only end later."""
    async with pool_of(Server(), size=1, queue_length=1) as pool:
        connection = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await settle()
        with pytest.raises(PoolBusy) as caught:
            await pool.acquire()
        assert caught.value.reason == "queue_full"
        pool.release(connection)
        assert await waiting is connection


async def test_a_queue_of_none_still_lets_a_connection_be_made() -> None:
    """The queue is for connections in use, not for those that the pool has room for."""
    async with pool_of(Server(), size=2, queue_length=0) as pool:
        await asyncio.gather(pool.acquire(), pool.acquire())
        with pytest.raises(PoolBusy):
            await pool.acquire()


async def test_the_wait_is_bounded() -> None:
    """Then the client is told that all are busy, and its place in the queue is free again."""
    async with pool_of(Server(), size=1, wait_timeout=0.01) as pool:
        await pool.acquire()
        with pytest.raises(PoolBusy) as caught:
            await pool.acquire()
        assert caught.value.reason == "wait_timeout"
        assert pool.waiting == 0


async def test_without_a_database_the_wait_ends_with_another_error() -> None:
    """Busy and unreachable are told apart; attempts go on meanwhile."""
    server = Server()
    server.down = True
    states: list[DatabaseUnreachable | None] = []
    async with pool_of(server, size=1, wait_timeout=0.2, on_state=states.append) as pool:
        with pytest.raises(DatabaseUnreachable):
            await pool.acquire()
        assert server.attempts > 1
        assert all(isinstance(state, DatabaseUnreachable) for state in states)


async def test_a_waiting_request_outlives_a_restart() -> None:
    """It gets its connection when the database is back."""
    server = Server()
    server.down = True
    async with pool_of(server, size=1) as pool:
        waiting = asyncio.create_task(pool.acquire())
        await settle()
        server.down = False
        assert await waiting is cast("Connection", server.made[0])


async def test_attempts_end_when_nobody_waits() -> None:
    """A client that gave up does not leave an endless loop behind."""
    server = Server()
    server.down = True
    async with pool_of(server, size=1, wait_timeout=0.01) as pool:
        with pytest.raises(DatabaseUnreachable):
            await pool.acquire()
        async with asyncio.timeout(1):
            while pool.connecting:  # noqa: ASYNC110 - the pool has no event for it
                await asyncio.sleep(0.005)


async def test_a_dead_idle_connection_is_not_lent() -> None:
    """It is found dead when it is taken, and another is made."""
    server = Server()
    async with pool_of(server, size=1) as pool:
        connection = await pool.acquire()
        pool.release(connection)
        server.made[0].alive = False
        assert await pool.acquire() is not connection


async def test_an_idle_connection_that_ends_makes_room() -> None:
    """The minimum is restored at once."""
    server = Server()
    async with pool_of(server, size=2, min_size=1) as pool:
        await settle()
        lost = server.made[0]
        assert server.on_lost is not None
        server.on_lost(lost)
        await settle()
        assert (pool.idle, len(server.made)) == (1, 2)


async def test_a_connection_that_is_not_reusable_is_replaced_for_who_waits() -> None:
    """Broken, or with somebody's transaction still open: the next request gets a fresh one."""
    server = Server()
    async with pool_of(server, size=1) as pool:
        first = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await settle()
        server.made[0].reusable = False
        pool.release(first)
        assert await waiting is cast("Connection", server.made[1])
        assert server.made[0].closed
        assert server.open_connections == 1


async def test_a_connection_with_a_statement_under_way_is_drained_first() -> None:
    """It still counts as in use, so that the limit holds, and is lent again when its statement has ended."""
    server = Server()
    async with pool_of(server, size=1) as pool:
        connection = await pool.acquire()
        server.made[0].active = True
        pool.release(connection)
        waiting = asyncio.create_task(pool.acquire())
        await settle()
        assert (pool.in_use, waiting.done()) == (1, False)
        server.made[0].drained.set()
        assert await waiting is connection


async def test_a_request_given_up_while_waiting_leaves_nothing() -> None:
    """Neither a place in the queue nor a lost connection, whenever the cancellation comes."""
    server = Server()
    async with pool_of(server, size=1) as pool:
        connection = await pool.acquire()
        early = asyncio.create_task(pool.acquire())
        late = asyncio.create_task(pool.acquire())
        await settle()
        early.cancel()
        await settle()
        assert pool.waiting == 1
        # The connection is on its way to the second when that one is cancelled.
        pool.release(connection)
        late.cancel()
        await asyncio.gather(early, late, return_exceptions=True)
        assert late.cancelled()
        assert (pool.waiting, pool.in_use, pool.idle) == (0, 0, 1)


async def test_a_connection_made_for_a_client_that_left_is_kept() -> None:
    """The next one needs it."""
    server = Server()
    server.gate.clear()
    async with pool_of(server, size=1) as pool:
        waiting = asyncio.create_task(pool.acquire())
        await settle()
        waiting.cancel()
        server.gate.set()
        await settle()
        assert (pool.idle, pool.connecting) == (1, 0)


async def test_tidying_closes_what_was_idle_or_open_for_too_long() -> None:
    """Down to the minimum; what is too old is replaced even then."""
    server = Server()
    async with pool_of(server, size=3, min_size=1, idle_timeout=10, max_lifetime=100) as pool:
        lent = await asyncio.gather(pool.acquire(), pool.acquire(), pool.acquire())
        for connection in lent:
            pool.release(connection)
        pool.tidy()
        assert pool.idle == 3
        for made in server.made:
            made.released -= 11
        pool.tidy()
        assert pool.idle == 1
        server.made[-1].opened -= 101
        pool.tidy()
        await settle()
        assert (pool.idle, server.open_connections) == (1, 1)
        assert not server.made[-1].closed
        assert len(server.made) == 4


async def test_a_connection_past_its_lifetime_is_not_lent_again() -> None:
    """Also when it is never idle for long enough to be tidied."""
    server = Server()
    async with pool_of(server, size=1, max_lifetime=100) as pool:
        connection = await pool.acquire()
        server.made[0].opened -= 101
        pool.release(connection)
        assert server.made[0].closed


async def test_closing_waits_for_what_is_lent() -> None:
    """Idle connections close at once, lent ones when they come back, those that do not at the end of the time."""
    server = Server()
    pool = Pool(server.open, size=3)
    pool.start()
    idle, back, kept = await asyncio.gather(pool.acquire(), pool.acquire(), pool.acquire())
    pool.release(idle)
    closing = asyncio.create_task(pool.close(0.1))
    await settle()
    assert [connection.closed for connection in server.made] == [True, False, False]
    pool.release(back)
    assert server.made[1].closed
    with pytest.raises(DatabaseUnreachable):
        await pool.acquire()
    await closing
    assert server.made[2].closed
    pool.release(kept)


async def test_closing_ends_the_wait_of_others() -> None:
    """They are told at once."""
    pool = Pool(Server().open, size=1)
    pool.start()
    await pool.acquire()
    waiting = asyncio.create_task(pool.acquire())
    await settle()
    await pool.close(0)
    with pytest.raises(DatabaseUnreachable):
        await waiting
