"""Runs a request on the pool: its one statement, or its transaction."""

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
    """What the HTTP side sees of the database.

    Args:
        pool: Lends the connections.
        metrics: Told how long requests waited and ran.
        answer_limit: Most bytes of JSON in an answer.
        ping_timeout: Seconds for the whole of a ping. Requests have a limit of their own (`http.cancellation`).
    """

    def __init__(self, pool: Pool, metrics: Metrics, *, answer_limit: int, ping_timeout: float = 30.0) -> None:
        self._pool = pool
        self._metrics = metrics
        self._answer_limit = answer_limit
        self._ping_timeout = ping_timeout
        self._pinging: asyncio.Task[None] | None = None

    async def run(self, request: Request, lease: Lease | None = None) -> bytes:
        """Runs the request and returns its answer as JSON.

        Args:
            request: What to run.
            lease: Counts the answer; None where it is known to be small.

        Raises:
            RequestError: As drawn in `errors`; `executed` tells what became of it.
        """
        requested_at = monotonic()
        connection = await self._pool.acquire()
        acquired_at = monotonic()
        self._metrics.wait.observe(acquired_at - requested_at)
        try:
            try:
                return await self._run(connection, request, lease, prepare=True)
            except DatabaseError as exc:
                if not exc.stale or exc.executed is not False:
                    raise
                # Nothing of the request is left, so it may run again. The session's other statements are suspect too.
                connection.discard_after_use()
                return await self._run(connection, request, lease, prepare=False)
        finally:
            self._metrics.statement.observe(monotonic() - acquired_at)
            self._pool.release(connection)

    async def ping(self) -> None:
        """One round trip through the pool. Those who ask at the same time share it: asking needs no token.

        Raises:
            RequestError: As for `run`.
            TotalTimeout: The database did not answer in time.
        """
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.get_running_loop().create_task(self._ping())
        await asyncio.shield(self._pinging)

    def stop(self) -> None:
        """End the ping under way; no request waits for it any more."""
        if self._pinging is not None:
            self._pinging.cancel()

    async def _ping(self) -> None:
        try:
            async with asyncio.timeout(self._ping_timeout):
                await self.run(_PING)
        except TimeoutError:
            raise TotalTimeout("the database did not answer in time") from None

    async def _run(self, connection: Connection, request: Request, lease: Lease | None, *, prepare: bool) -> bytes:
        if request.begin is None:
            (statement,) = request.statements
            answer = self._answer(request, statement, lease)
            try:
                await connection.execute(statement, answer, prepare=prepare, last=True)
            except DatabaseError as exc:
                exc.executed = False if exc.stale or changed_nothing(exc, statement.query) else None
                raise
            except (AnswerTooLarge, MemoryBusy, InternalError) as exc:
                # It was cancelled, and may have committed a part before.
                exc.executed = exc.executed if exc.executed or is_atomic(statement.query) else None
                raise
            return answer.json()
        await connection.execute(Statement(request.begin, [], array_mode=True), prepare=False)
        results: list[bytes] = []
        size = 0
        # Whether the transaction is still ours: a statement of the client's may have committed what came before it.
        intact = True
        try:
            for statement in request.statements:
                answer = self._answer(request, statement, lease, size)
                await connection.execute(statement, answer, prepare=prepare)
                intact = intact and not ends_transaction(answer.command)
                results.append(answer.json())
                size += answer.size
            await connection.execute(_COMMIT, prepare=False, last=True)
        except (DatabaseError, AnswerTooLarge, MemoryBusy, InternalError, UnsupportedStatement) as exc:
            # Our transaction is rolled back, here or because the connection is closed.
            exc.executed = False if intact else None
            if not connection.closed and connection.in_transaction:
                with suppress(RequestError):
                    await connection.execute(_ROLLBACK, prepare=False, last=True)
            raise
        return b'{"results":[' + b",".join(results) + b"]}"

    def _answer(self, request: Request, statement: Statement, lease: Lease | None, used: int = 0) -> Answer:
        limit = self._answer_limit - used
        return Answer(array_mode=statement.array_mode, raw_text=request.raw_text, limit=limit, lease=lease)
