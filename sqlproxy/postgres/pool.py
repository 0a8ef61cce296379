"""The connection pool: at most N connections, each used by one request at a time, and a bounded queue of requests.

psycopg_pool is not used: its check of a connection would double the round trips of a request, and its single timeout
does not distinguish "all connections are busy" from "the database is unreachable".

Connections are opened by tasks of the pool and not by requests, so that a connection is not wasted if the client that
needed it disconnects. The tasks retry while requests wait: during a restart of Postgres, requests wait and fail
only at their timeout.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING

from sqlproxy.errors import DatabaseUnreachable, PoolBusy

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from sqlproxy.errors import RequestError
    from sqlproxy.postgres.connection import Connection

    Opener = Callable[[Callable[["Connection"], None]], Awaitable["Connection"]]

__all__ = ["Pool"]

_FIRST_RETRY_SECONDS = 0.05
_LAST_RETRY_SECONDS = 1.0
_CLOSE_POLL_SECONDS = 0.02
_MAINTENANCE_SECONDS = 5.0
# An unused session that needs a reset is reset separately after at most this time, so that it holds no locks. A request
# that uses the session earlier sends the reset together with its statement, in one round trip.
_RESET_AFTER_SECONDS = 0.02


class Pool:
    """A pool of connections.

    Args:
        opener: opens a connection or raises `DatabaseUnreachable`. Its argument is called if the connection ends while
            it is idle.
        size: the largest number of connections.
        min_size: the number of connections that are kept open when idle.
        queue_length: the largest number of requests that wait for a connection in use. Requests for which a connection
            is being opened do not count.
        wait_timeout: the longest wait of a request in seconds.
        idle_timeout: seconds after which an unused connection above `min_size` is closed.
        max_lifetime: seconds after which a connection is replaced.
        on_state: called with None after a connection is opened, or with the error if that fails.
    """

    def __init__(  # noqa: PLR0913 - keyword arguments
        self,
        opener: Opener,
        *,
        size: int,
        min_size: int = 0,
        queue_length: int = 100,
        wait_timeout: float = 5.0,
        idle_timeout: float = 300.0,
        max_lifetime: float = 3600.0,
        on_state: Callable[[DatabaseUnreachable | None], None] = lambda _: None,
    ) -> None:
        self._opener = opener
        self._size = size
        self._min_size = min_size
        self._queue_length = queue_length
        self._wait_timeout = wait_timeout
        self._idle_timeout = idle_timeout
        self._max_lifetime = max_lifetime
        self._on_state = on_state
        self._idle: deque[Connection] = deque()
        self._lent: set[Connection] = set()
        self._waiters: deque[asyncio.Future[Connection]] = deque()
        self._connecting: set[asyncio.Task[None]] = set()
        self._draining: set[asyncio.Task[None]] = set()
        self._maintenance: set[asyncio.Task[None]] = set()
        self._reset_timer: asyncio.TimerHandle | None = None
        self._unreachable = False
        self._closed = False

    @property
    def in_use(self) -> int:
        """The number of connections that are in use or being cleaned up after a request."""
        return len(self._lent)

    @property
    def idle(self) -> int:
        """The number of idle connections."""
        return len(self._idle)

    @property
    def connecting(self) -> int:
        """The number of connections being opened."""
        return len(self._connecting)

    @property
    def waiting(self) -> int:
        """The number of requests in the queue."""
        return len(self._waiters)

    def start(self) -> None:
        """Start to open the `min_size` connections and to maintain idle connections."""
        for _ in range(self._min_size):
            self._add_connection()
        _spawn(self._maintenance, self._maintain())

    async def acquire(self) -> Connection:
        """Return an open connection, which the caller gives back with `release`.

        Raises:
            PoolBusy: the queue is full, or the wait was too long.
            DatabaseUnreachable: the wait was too long, and no connection could be opened; or the pool is closed.
        """
        while True:
            connection = self._idle.pop() if self._idle else await self._wait()
            if connection.check():
                self._lent.add(connection)
                return connection
            # The connection was lost while it was idle, or before this task resumed.
            self._lent.discard(connection)

    async def _wait(self) -> Connection:
        """Wait in the queue for a connection, which then counts as in use."""
        if self._closed:
            raise DatabaseUnreachable("the proxy is stopping")
        if len(self._waiters) >= self.connecting:
            self._add_connection()
        if len(self._waiters) >= self._queue_length + self.connecting:
            raise PoolBusy("queue_full")
        waiter: asyncio.Future[Connection] = asyncio.get_running_loop().create_future()
        timer = waiter.get_loop().call_later(self._wait_timeout, self._expire, waiter)
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self.release(waiter.result())
            raise
        finally:
            timer.cancel()
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def release(self, connection: Connection) -> None:
        """Take a connection back in any state, without blocking."""
        if connection.resetting:
            # The connection counts as in use until the reset has ended.
            connection.when_reset(self.release)
            return
        if connection.active:
            _spawn(self._draining, self._drain(connection))
            return
        self._lent.discard(connection)
        connection.released = monotonic()
        is_expired = connection.released - connection.opened > self._max_lifetime
        if self._closed or is_expired or not connection.reusable:
            connection.close()
            self._replenish()
        elif connection.needs_reset and not connection.can_reset_first:
            self._reset(connection)
        else:
            self._offer(connection)
            if connection.needs_reset and self._reset_timer is None:
                self._reset_timer = asyncio.get_running_loop().call_later(_RESET_AFTER_SECONDS, self._reset_idle)

    async def close(self, timeout: float) -> None:  # noqa: ASYNC109 - one deadline for all connections
        """Close idle connections at once, and the others when they are released or after `timeout` seconds.

        Waiting and new requests fail.
        """
        self._closed = True
        if self._reset_timer is not None:
            self._reset_timer.cancel()
        for task in (*self._connecting, *self._maintenance):
            task.cancel()
        while self._idle:
            self._idle.pop().close()
        for waiter in list(self._waiters):
            self._fail(waiter, DatabaseUnreachable("the proxy is stopping"))
        deadline = monotonic() + timeout
        while self._lent and monotonic() < deadline:  # noqa: ASYNC110 - a stopping process may poll
            await asyncio.sleep(_CLOSE_POLL_SECONDS)
        for connection in list(self._lent):
            connection.close()
        await asyncio.gather(*self._connecting, *self._maintenance, *self._draining, return_exceptions=True)

    @property
    def _total(self) -> int:
        return len(self._idle) + len(self._lent) + len(self._connecting)

    def _offer(self, connection: Connection) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._lent.add(connection)
                waiter.set_result(connection)
                return
        self._idle.append(connection)

    def _reset(self, connection: Connection) -> None:
        """Reset a session; the connection counts as in use until the reset has ended."""
        self._lent.add(connection)
        connection.reset()
        self.release(connection)

    def _reset_idle(self) -> None:
        """Reset the sessions of connections that no request has used since they were released."""
        self._reset_timer = None
        for connection in [each for each in self._idle if each.needs_reset]:
            self._idle.remove(connection)
            self._reset(connection)

    def _expire(self, waiter: asyncio.Future[Connection]) -> None:
        # While connections are in use, the pool counts as busy, even if further connections cannot be opened.
        if self._unreachable and not self._lent:
            self._fail(waiter, DatabaseUnreachable("the database cannot be reached; try again"))
        else:
            self._fail(waiter, PoolBusy("wait_timeout"))

    @staticmethod
    def _fail(waiter: asyncio.Future[Connection], error: RequestError) -> None:
        if not waiter.done():
            waiter.set_exception(error)

    def _on_lost(self, connection: Connection) -> None:
        """Remove an idle connection that has ended, and open another if it is needed."""
        if connection in self._idle:
            self._idle.remove(connection)
        self._replenish()

    def _replenish(self) -> None:
        """Open a connection if too few are being opened for the waiting requests, or if fewer than `min_size` exist."""
        if len(self._waiters) > len(self._connecting) or self._total < self._min_size:
            self._add_connection()

    def _add_connection(self) -> None:
        if not self._closed and self._total < self._size:
            _spawn(self._connecting, self._connect())

    async def _connect(self) -> None:
        pause = _FIRST_RETRY_SECONDS
        while True:
            try:
                connection = await self._opener(self._on_lost)
            except DatabaseUnreachable as exc:
                self._unreachable = True
                self._on_state(exc)
            else:
                self._unreachable = False
                self._on_state(None)
                self._connecting.discard(_current_task())
                self._offer(connection)
                return
            # If no request waits, the next request or the next maintenance run tries again.
            if not self._waiters:
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LAST_RETRY_SECONDS)

    async def _drain(self, connection: Connection) -> None:
        await connection.drain()
        self.release(connection)

    async def _maintain(self) -> None:
        while True:
            await asyncio.sleep(_MAINTENANCE_SECONDS)
            self.tidy()

    def tidy(self) -> None:
        """Close idle connections that were unused or open for too long; open one if fewer than `min_size` exist."""
        now = monotonic()
        for connection in list(self._idle):
            is_unused = now - connection.released > self._idle_timeout and self._total > self._min_size
            if is_unused or now - connection.opened > self._max_lifetime:
                self._idle.remove(connection)
                connection.close()
        while self._total < self._min_size and not self._connecting:
            self._add_connection()


def _current_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - called from a coroutine
    return task


def _spawn(tasks: set[asyncio.Task[None]], coroutine: Coroutine[None, None, None]) -> None:
    # The event loop holds only weak references to tasks.
    task = asyncio.get_running_loop().create_task(coroutine)
    tasks.add(task)
    task.add_done_callback(tasks.discard)
