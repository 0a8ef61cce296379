"""Run requests, each a single statement or a transaction, on connections of the pool."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from sqlproxy.dialect.answer import Answer
from sqlproxy.dialect.request import Request, Statement
from sqlproxy.errors import (
    AnswerTooLarge,
    DatabaseError,
    InternalError,
    MemoryBusy,
    RequestError,
    TotalTimeout,
    UnsupportedStatement,
)
from sqlproxy.postgres.connection import SessionNotReset
from sqlproxy.postgres.outcome import changed_nothing, ends_transaction, is_atomic

if TYPE_CHECKING:
    from sqlproxy.operations.memory import Lease
    from sqlproxy.operations.metrics import Metrics
    from sqlproxy.postgres.connection import Connection
    from sqlproxy.postgres.pool import Pool

__all__ = ["Database"]

_COMMIT = Statement(b"COMMIT", [], array_mode=True)
_ROLLBACK = Statement(b"ROLLBACK", [], array_mode=True)
_PING = Request([Statement(b"SELECT 1", [], array_mode=True)], None, raw_text=True)


class Database:
    """Runs requests on connections of the pool.

    Args:
        pool: the connection pool.
        metrics: records how long requests wait and run.
        answer_limit: the largest answer in bytes of JSON.
        trusted: statements that do not change the session, so no reset is needed between them.
        ping_timeout: the longest duration of a ping in seconds. `http.cancellation` limits requests.
    """

    def __init__(
        self,
        pool: Pool,
        metrics: Metrics,
        *,
        answer_limit: int,
        trusted: frozenset[bytes] = frozenset(),
        ping_timeout: float = 30.0,
    ) -> None:
        self._pool = pool
        self._metrics = metrics
        self._answer_limit = answer_limit
        self._trusted = trusted
        self._ping_timeout = ping_timeout
        self._pinging: asyncio.Task[None] | None = None

    async def run(self, request: Request, lease: Lease | None = None) -> bytes:
        """Run the request and return its answer as JSON.

        Args:
            request: the statements to run.
            lease: counts the memory of the answer; None if the answer is known to be small.

        Raises:
            RequestError: see `errors`; `executed` reports whether the request took effect.
        """
        trusted = all(statement.query in self._trusted for statement in request.statements)
        while True:
            requested_at = monotonic()
            connection = await self._pool.acquire()
            acquired_at = monotonic()
            self._metrics.wait.observe(acquired_at - requested_at)
            connection.begin_request(trusted=trusted)
            try:
                return await self._attempt(connection, request, lease)
            except SessionNotReset:
                # The session could not be reset after an earlier request. This request runs on another connection.
                continue
            finally:
                self._metrics.statement.observe(monotonic() - acquired_at)
                self._pool.release(connection)

    async def ping(self) -> None:
        """Make one round trip through the pool. Concurrent calls share it, because `GET /ready` needs no token.

        Raises:
            RequestError: the round trip failed; see `run`.
            TotalTimeout: the database did not answer in time.
        """
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.get_running_loop().create_task(self._ping())
        await asyncio.shield(self._pinging)

    def stop(self) -> None:
        """Cancel the ping if one is running. Call this when no request waits for it."""
        if self._pinging is not None:
            self._pinging.cancel()

    async def _ping(self) -> None:
        try:
            async with asyncio.timeout(self._ping_timeout):
                await self.run(_PING)
        except TimeoutError:
            raise TotalTimeout("the database did not answer in time") from None

    async def _attempt(self, connection: Connection, request: Request, lease: Lease | None) -> bytes:
        try:
            return await self._run(connection, request, lease, prepare=True)
        except DatabaseError as exc:
            if not exc.stale or exc.executed is not False:
                raise
            # Nothing was changed, so the request may run again. Other prepared statements may be stale too.
            connection.discard_after_use()
            return await self._run(connection, request, lease, prepare=False)

    async def _run(self, connection: Connection, request: Request, lease: Lease | None, *, prepare: bool) -> bytes:
        if request.begin is None:
            (statement,) = request.statements
            answer = self._answer(request, statement, lease)
            try:
                await connection.execute(statement, answer, prepare=prepare)
            except DatabaseError as exc:
                exc.executed = False if exc.stale or changed_nothing(exc, statement.query) else None
                raise
            except (AnswerTooLarge, MemoryBusy, InternalError) as exc:
                # The cancelled statement may have committed a part of its changes.
                exc.executed = exc.executed if exc.executed or is_atomic(statement.query) else None
                raise
            return answer.json()
        await connection.execute(Statement(request.begin, [], array_mode=True), prepare=False)
        results: list[bytes] = []
        size = 0
        # Whether a failure undoes all statements. A COMMIT from the client may have committed earlier statements.
        failure_undoes_all = True
        try:
            for statement in request.statements:
                answer = self._answer(request, statement, lease, size)
                try:
                    await connection.execute(statement, answer, prepare=prepare)
                finally:
                    # The statement may have succeeded although its answer is too large.
                    failure_undoes_all = failure_undoes_all and not ends_transaction(answer.command)
                results.append(answer.json())
                size += answer.size
            await connection.execute(_COMMIT, prepare=False)
        except (DatabaseError, AnswerTooLarge, MemoryBusy, InternalError, UnsupportedStatement) as exc:
            # The transaction is rolled back, here or because the connection is closed.
            exc.executed = False if failure_undoes_all else None
            if not connection.closed and connection.in_transaction:
                with suppress(RequestError):
                    await connection.execute(_ROLLBACK, prepare=False)
            raise
        return b'{"results":[' + b",".join(results) + b"]}"

    def _answer(self, request: Request, statement: Statement, lease: Lease | None, used_bytes: int = 0) -> Answer:
        limit = self._answer_limit - used_bytes
        return Answer(array_mode=statement.array_mode, raw_text=request.raw_text, limit=limit, lease=lease)
