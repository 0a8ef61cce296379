"""A connection to Postgres: libpq (psycopg.pq) on asyncio. Only this module translates libpq's connection errors.

psycopg's cursors are not used. They convert every value to a Python object, which would have to be converted back to
text, and they register the socket with the event loop for each statement. Here the socket stays registered, so that the
end of an idle connection is noticed at once, and rows are read in chunks, so that an answer over the limit is stopped
before it fills the memory.
"""

from __future__ import annotations

import asyncio
import json
import math
import select
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import psycopg
from psycopg import pq, sql

from sqlproxy.dialect.request import Statement
from sqlproxy.errors import (
    AnswerTooLarge,
    DatabaseError,
    DatabaseUnreachable,
    OutcomeUnknown,
    RequestError,
    UnsupportedStatement,
)
from sqlproxy.operations.memory import address_space
from sqlproxy.postgres.outcome import is_stale
from sqlproxy.postgres.results import COPY, ROWS, changes_session, database_error, is_fatal, survives_reset, unreadable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from psycopg.pq.abc import PGconn, PGresult

    from sqlproxy.postgres.prepared_statements import PreparedStatements

__all__ = ["Connection", "SessionNotReset"]

_BROKEN = select.POLLERR | select.POLLHUP
# Seconds to send a cancellation. The connection is closed if the statement has not ended after twice this time.
_CANCEL_SECONDS = 1.0

_CHUNK_ROWS = 256
# The number of libpq results (chunks of rows) that are read before other tasks run.
_RESULTS_PER_TURN = 16
# If libpq's memory grows by more than this number of bytes, the connection is replaced after the request.
_KEPT_BUFFER_GROWTH = 1024 * 1024
_RESET_SECONDS = 2.0
# This query sets the settings that the start-up options did not set. `reset_val` is the value after RESET ALL.
_CONFIGURE = (
    b"SELECT name, set_config(name, $1::json->>name, false) FROM pg_settings"
    b" WHERE name IN (SELECT json_object_keys($1::json)) AND reset_val <> $1::json->>name"
)


class SessionNotReset(Exception):
    """The statement did not run, because the reset before it failed."""


class Rows(Protocol):
    """Receives the rows of a statement.

    Attributes:
        limit: the largest size of the rows in bytes.
    """

    limit: int

    def add(self, result: PGresult) -> None:
        """Take the next rows of the statement, and its command tag if it has ended."""
        ...


class _FirstColumn:
    """Collects the values of the first column."""

    limit = 0

    def __init__(self) -> None:
        self.values: list[str] = []

    def add(self, result: PGresult) -> None:
        self.values += [(result.get_value(row, 0) or b"").decode() for row in range(result.ntuples)]


class Connection:
    """A connection in autocommit mode that runs one statement at a time.

    Args:
        raw: an open, idle connection, which this object owns from now on.
        on_lost: called once if the connection ends while it is idle.
        prepared: the connection's prepared statements.
        reset: the queries that reset the session; empty if all statements are trusted, so no reset is needed.
        max_buffer_growth: bytes by which libpq's memory may grow during one statement.

    Attributes:
        opened: the time at which the connection was opened, in seconds on the monotonic clock.
        released: the time at which the connection last became idle, on the same clock.
    """

    def __init__(
        self,
        raw: psycopg.AsyncConnection,
        on_lost: Callable[[Connection], None],
        prepared: PreparedStatements,
        reset: tuple[bytes, ...] = (),
        max_buffer_growth: float = math.inf,
    ) -> None:
        self._raw = raw
        self._reset = reset
        self._max_buffer_growth = max_buffer_growth
        self._buffer_growth = 0
        self._pgconn: PGconn = raw.pgconn
        self._on_lost = on_lost
        self._prepared = prepared
        self._loop = asyncio.get_running_loop()
        self._fd = self._pgconn.socket
        self._poll = select.poll()
        self._poll.register(self._fd, select.POLLIN)
        self._loop.add_reader(self._fd, self._on_readable)
        self._writing = False
        self._active = False
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._answer: Rows | None = None
        self._error: PGresult | None = None
        self._failure: Exception | None = None
        self._cancelling: asyncio.Task[None] | None = None
        # Whether a statement has run since the last reset, and whether a statement may have changed the session.
        self._used = self._tainted = False
        self._must_discard = False
        # Whether a command tag shows that the session was changed since its last reset.
        self._changed = False
        # Whether a reset is sent before the next statement, and whether the reset failed.
        self._reset_first = self._reset_failed = False
        # The number of messages that reset the session before a statement and are not answered yet.
        self._reset_messages = 0
        # Outstanding pipeline syncs: one for a statement with a reset, or one for each query of a separate reset.
        self._pending_syncs = 0
        self._completed = self._resetting = False
        self._on_reset: Callable[[Connection], None] | None = None
        self.opened = self.released = monotonic()

    @classmethod
    async def open(  # noqa: PLR0913 - keyword arguments
        cls,
        conninfo: str,
        settings: Mapping[str, str],
        on_lost: Callable[[Connection], None],
        prepared: PreparedStatements,
        *,
        reset_after_use: bool = False,
        max_buffer_growth: float = math.inf,
        setup_timeout: float = 5.0,
    ) -> Connection:
        """Connect to Postgres.

        Args:
            conninfo: libpq's connection string.
            settings: server settings of the session, in the server's base units. Settings that the options of
                `conninfo` have set to the same value, and settings unknown to the server, are skipped.
            on_lost: called once if the connection ends while it is idle.
            prepared: the connection's prepared statements.
            reset_after_use: whether clients may send statements that are not trusted, so the session must be reset.
            max_buffer_growth: bytes by which libpq's memory may grow during one statement.
            setup_timeout: seconds for the server to apply the settings; `conninfo` limits the time to connect.

        Raises:
            DatabaseUnreachable: the connection failed. `__cause__` is the reason; its text may contain secrets.
        """
        connection = None
        try:
            raw = await psycopg.AsyncConnection.connect(conninfo, autocommit=True, prepare_threshold=None)
            connection = cls(raw, on_lost, prepared, max_buffer_growth=max_buffer_growth)
            configure = Statement(_CONFIGURE, [json.dumps(dict(settings)).encode()], array_mode=True)
            late_settings = _FirstColumn()
            # psycopg's `execute` is not used: after a cancellation, it still waits for an unresponsive server.
            async with asyncio.timeout(setup_timeout):
                await connection.execute(configure, late_settings, prepare=False)
            if reset_after_use:
                connection._reset = _reset_queries({name: settings[name] for name in late_settings.values}, raw)
                connection._used = False
        except BaseException as exc:
            if connection is not None:
                connection.close()
            # A host name that cannot be encoded raises UnicodeError.
            if isinstance(exc, (psycopg.Error, OSError, UnicodeError, RequestError)):
                raise DatabaseUnreachable("the database cannot be reached; try again") from exc
            raise
        return connection

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open, a statement is running, or the connection is broken."""
        return self._pgconn.transaction_status != pq.TransactionStatus.IDLE

    @property
    def active(self) -> bool:
        """Whether a statement is running."""
        return self._active

    @property
    def closed(self) -> bool:
        """Whether the connection is closed."""
        return self._fd < 0

    @property
    def reusable(self) -> bool:
        """Whether another request may use the connection: it is open and idle, and is not marked to be replaced."""
        return not (self._active or self._must_discard or self.closed or self.in_transaction)

    @property
    def needs_reset(self) -> bool:
        """Whether a statement may have changed the session since it was opened or last reset."""
        return self._tainted

    @property
    def can_reset_first(self) -> bool:
        """Whether the reset may be sent with the next statement: it is one query, and no command tag shows a change."""
        return len(self._reset) == 1 and not self._changed

    @property
    def resetting(self) -> bool:
        """Whether the session is being reset; `when_reset` registers a callback for the end of the reset."""
        return self._resetting

    def check(self) -> bool:
        """Return whether the connection is still open, as far as is known without a round trip."""
        while self._fd >= 0 and self._poll.poll(0):
            self._on_readable()
        return self._fd >= 0

    async def execute(self, statement: Statement, answer: Rows | None = None, *, prepare: bool = True) -> None:
        """Run a single statement; the extended query protocol does not allow several.

        If the task is cancelled, the statement keeps running until it ends or `drain` cancels it. The attribute
        `executed` of an `AnswerTooLarge`, `MemoryBusy` or `InternalError` reports whether the statement took effect.

        Args:
            statement: the statement.
            answer: receives the rows.
            prepare: whether the statement may be prepared on the server.

        Raises:
            DatabaseError: Postgres reported an error. `stale` is set if the statement did not run because its prepared
                statement is out of date or missing.
            OutcomeUnknown: the connection was lost.
            AnswerTooLarge: the answer is over the limit.
            MemoryBusy: the memory for answers is used up.
            InternalError: the rows could not be read.
            UnsupportedStatement: the statement is a COPY; the connection is closed.
            SessionNotReset: the statement did not run, and the connection must not be used again.
        """
        pgconn = self._pgconn
        self._used = True
        try:
            reset_first = self._reset_first
            # A statement that is not trusted could replace a prepared statement. A reset deallocates all of them.
            prepare = prepare and not (self._tainted or reset_first)
            name = self._prepared.name(statement.query) if prepare else None
            if name is None and prepare and (name := self._prepared.wanted(statement.query)):
                pgconn.send_prepare(name, statement.query)
                try:
                    await self._exchange(None)
                except asyncio.CancelledError:
                    # The server may have prepared the statement under a name that would never be used.
                    self._must_discard = True
                    raise
                self._prepared.add(statement.query, name)
            if reset_first:
                self._prepared.clear()
                pgconn.enter_pipeline_mode()
                # Postgres commits the reset at once, so the statement gets a separate transaction.
                pgconn.send_query_params(self._reset[0], None)
                # If the last client's statement timeout expires at the end of the reset, Postgres reports an error for
                # the next message, so an empty statement is parsed before the client's statement.
                pgconn.send_prepare(b"", b"")
                self._reset_messages = 2
            if name is None:
                pgconn.send_query_params(statement.query, statement.params)
            else:
                pgconn.send_query_prepared(name, statement.params)
            if reset_first:
                pgconn.pipeline_sync()
                self._pending_syncs = 1
            elif answer is not None:
                _read_in_chunks(pgconn)
        except psycopg.Error as exc:
            self.close()
            raise OutcomeUnknown("the connection to the database was lost") from exc
        try:
            await self._exchange(answer)
        except DatabaseError as exc:
            exc.stale = name is not None and is_stale(exc, name)
            raise

    def begin_request(self, *, trusted: bool) -> None:
        """Begin a request. If the session must be reset, the reset is sent with the first statement of the request.

        A trusted request leaves nothing in the session that affects another trusted request. Its INSERT sets the last
        value of a sequence, which no trusted request reads.

        Args:
            trusted: whether all statements of the request are trusted.
        """
        if not self._reset:
            return
        # Only a reset of one query can be sent with a statement.
        trusted = trusted and len(self._reset) == 1
        self._reset_first = self._tainted or (self._used and not trusted)
        self._tainted = not trusted

    def reset(self) -> None:
        """Start to reset the session. The connection is closed if that fails or takes too long."""
        self._reset_first = False
        self._prepared.clear()
        self._begin()
        try:
            self._pgconn.enter_pipeline_mode()
            for query in self._reset:
                self._pgconn.send_query_params(query, None)
                self._pgconn.pipeline_sync()
                self._pending_syncs += 1
        except psycopg.Error:
            self.close()
        else:
            self._resetting = True
            self._reset_timer = self._loop.call_later(_RESET_SECONDS, self.close)
            self._flush()

    def when_reset(self, callback: Callable[[Connection], None]) -> None:
        """Call `callback` once when the current reset has succeeded or failed."""
        self._on_reset = callback

    async def drain(self) -> None:
        """Cancel the running statement, if any, and wait for its end; disconnect if that takes too long."""
        if not self._active:
            return
        # Wait for the cancellation as well as the statement: a late cancellation would hit the next statement.
        drained = self._drained = self._loop.create_future()
        try:
            async with asyncio.timeout(2 * _CANCEL_SECONDS):
                await self._cancel()
                await drained
        except TimeoutError:
            self.close()

    def discard_after_use(self) -> None:
        """Mark the connection to be replaced when it is released."""
        self._must_discard = True

    def close(self) -> None:
        """Disconnect at once; Postgres rolls back an open transaction."""
        if self._fd < 0:
            return
        self._loop.remove_reader(self._fd)
        if self._writing:
            self._loop.remove_writer(self._fd)
        self._fd = -1
        self._pgconn.finish()
        self._finish()

    async def _cancel(self) -> None:
        try:
            await self._raw.cancel_safe(timeout=_CANCEL_SECONDS)
        except (psycopg.Error, OSError):
            self.close()

    async def _exchange(self, answer: Rows | None) -> None:
        """Send what libpq has queued and wait until the server is ready for the next statement."""
        self._begin()
        self._answer = answer
        waiter = self._waiter = self._loop.create_future()
        self._flush()
        await waiter
        # Drop the references, which would keep the rows in memory.
        error, failure = self._error, self._failure
        self._answer = self._error = self._failure = None
        if self._reset_failed:
            raise SessionNotReset
        if error is not None and error.status in COPY:
            unsupported = UnsupportedStatement("COPY is not supported over HTTP")
            # COPY (INSERT … RETURNING …) TO STDOUT may have changed rows.
            unsupported.executed = False if error.status == pq.ExecStatus.COPY_IN else None
            raise unsupported
        if failure is not None:
            raise unreadable(failure, executed=error is None if self._completed else None) from failure
        if not self._completed:
            raise OutcomeUnknown("the connection to the database was lost")
        if error is not None:
            raise database_error(error)

    def _flush(self) -> None:
        try:
            pending = self._pgconn.flush()
        except psycopg.Error:
            self._on_disconnect()
            return
        if pending and not self._writing:
            self._loop.add_writer(self._fd, self._flush)
        elif self._writing and not pending:
            self._loop.remove_writer(self._fd)
        self._writing = bool(pending)

    def _on_readable(self) -> None:
        if self._fd < 0:
            return
        try:
            self._read()
            # uvloop reports a reset connection only once, so all remaining data must be read now.
            while self._fd >= 0 and any(events & _BROKEN for _, events in self._poll.poll(0)):
                self._read()
        except psycopg.Error:
            self._on_disconnect()

    def _read(self) -> None:
        pgconn = self._pgconn
        pgconn.consume_input()
        for _ in range(_RESULTS_PER_TURN):
            if not self._active or self._is_busy():
                return
            result = pgconn.get_result()
            if result is None:
                self._on_results_end()
            elif result.status == pq.ExecStatus.PIPELINE_SYNC:
                self._on_sync()
            elif not self._resetting:
                self._collect(result)
            elif result.status not in ROWS:
                self.close()
        # Let other requests run before the rest of the rows is read.
        self._loop.call_soon(self._on_readable)

    def _is_busy(self) -> bool:
        """Return whether libpq waits for more data; close the connection if its buffers have grown too large.

        libpq reads the length of a message, enlarges its buffer to hold all of it, and then reads as much as it can. It
        also keeps a chunk of rows until it is complete. Both enlarge the address space: the buffer when it is
        allocated, the chunk as rows are added.
        """
        if self._resetting or self._reset_first:
            return bool(self._pgconn.is_busy())
        size_before = address_space()
        if not self._pgconn.is_busy():
            # The result was already complete in the buffer.
            return False
        self._buffer_growth += max(0, address_space() - size_before)
        if self._buffer_growth > _KEPT_BUFFER_GROWTH:
            # libpq never shrinks its buffer.
            self._must_discard = True
        if self._buffer_growth > self._max_buffer_growth and not self.closed:
            self._failure = AnswerTooLarge(self._answer.limit if self._answer else int(self._max_buffer_growth))
            self.close()
        return True

    def _on_disconnect(self) -> None:
        idle = not self._active
        if self._reset_first and not self._pgconn.is_busy():
            # The server may have ended the session before the reset was sent, and libpq may have received the reason.
            result = self._pgconn.get_result()
            self._reset_failed = result is not None and is_fatal(result)
        self.close()
        if idle:
            self._on_lost(self)

    def _collect(self, result: PGresult) -> None:
        status = result.status
        if self._reset_first:
            if status not in ROWS:
                self._reset_failed = self._must_discard = True
                if is_fatal(result):
                    self.close()
        elif status in ROWS:
            if self._answer is not None and self._failure is None:
                try:
                    self._answer.add(result)
                except Exception as exc:  # noqa: BLE001 - the event loop would only log it
                    self._failure = exc.with_traceback(None)
                    # The cancellation may arrive late; the connection must not run another statement.
                    self._must_discard = True
                    self._cancelling = self._loop.create_task(self._cancel())
            if changes_session(result):
                self._changed = self._tainted = True
                self._must_discard |= not self._reset or survives_reset(result)
        elif self._error is None:
            # An error may follow the rows: deferred constraints are checked at the commit.
            self._error = result
            if status in COPY or is_fatal(result):
                self.close()

    def _on_results_end(self) -> None:
        if self._pgconn.status != pq.ConnStatus.OK:
            self.close()
        elif self._reset_first:
            self._reset_messages -= 1
            if self._reset_messages:
                return
            self._reset_first = self._changed = False
            if self._answer is not None and not self._reset_failed:
                _read_in_chunks(self._pgconn)
        elif not self._pending_syncs:
            self._completed = True
            self._finish()

    def _on_sync(self) -> None:
        """Handle the end of a statement that was sent with a reset, or the end of a query of a separate reset."""
        self._completed = True
        self._pending_syncs -= 1
        if self._pending_syncs:
            return
        self._pgconn.exit_pipeline_mode()
        # Drop the notifications of a LISTEN that the client sent.
        while self._pgconn.notifies() is not None:
            pass
        if self._resetting:
            self._used = self._tainted = self._changed = False
        self._finish()

    def _begin(self) -> None:
        self._answer = self._error = self._failure = None
        self._active = True
        self._completed = False
        self._buffer_growth = 0

    def _finish(self) -> None:
        self._active = False
        self._pending_syncs = 0
        self._wake()
        if self._drained is not None and not self._drained.done():
            self._drained.set_result(None)
        self._drained = None
        if self._resetting:
            self._resetting = False
            self._reset_timer.cancel()
            on_reset, self._on_reset = self._on_reset, None
            if on_reset is not None:
                on_reset(self)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
        self._waiter = None


def _reset_queries(settings: Mapping[str, str], raw: psycopg.AsyncConnection) -> tuple[bytes, ...]:
    """Return the queries that reset a session and restore the settings that its start-up options do not restore."""
    if not settings:
        return (b"DISCARD ALL",)
    calls = [
        sql.SQL("pg_catalog.set_config({}, {}, false)").format(name, value) for name, value in sorted(settings.items())
    ]
    return b"DISCARD ALL", sql.SQL("SELECT {}").format(sql.SQL(", ").join(calls)).as_bytes(raw)


def _read_in_chunks(pgconn: PGconn) -> None:
    if psycopg.capabilities.has_stream_chunked():
        pgconn.set_chunked_rows_mode(_CHUNK_ROWS)
    else:  # pragma: no cover - libpq before 17; psycopg's wheels include a newer one
        pgconn.set_single_row_mode()
