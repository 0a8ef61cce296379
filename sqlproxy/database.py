"""Runs a request on the pool: its one statement, or its transaction."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from sqlproxy.answer import Answer
from sqlproxy.errors import AnswerTooLarge, DatabaseError, RequestError
from sqlproxy.request import Request, Statement

if TYPE_CHECKING:
    from sqlproxy.connection import Connection
    from sqlproxy.metrics import Metrics
    from sqlproxy.pool import Pool

__all__ = ["Database"]

_COMMIT = Statement(b"COMMIT", [], array_mode=True)
_ROLLBACK = Statement(b"ROLLBACK", [], array_mode=True)
_PING = Request([Statement(b"SELECT 1", [], array_mode=True)], None, raw_text=True)


class Database:
    """What the HTTP side sees of the database.

    Args:
        pool: Lends the connections.
        metrics: Told how long requests waited and ran.
        answer_limit: Most characters of JSON in an answer.
    """

    def __init__(self, pool: Pool, metrics: Metrics, *, answer_limit: int) -> None:
        self._pool = pool
        self._metrics = metrics
        self._answer_limit = answer_limit
        self._pinging: asyncio.Task[str] | None = None

    async def run(self, request: Request) -> str:
        """Runs the request and returns its answer as JSON.

        Raises:
            RequestError: As drawn in ``errors``; ``executed`` tells what became of it.
        """
        asked = monotonic()
        connection = await self._pool.acquire()
        began = monotonic()
        self._metrics.wait.observe(began - asked)
        try:
            try:
                return await self._run(connection, request, prepare=True)
            except DatabaseError as exc:
                if not _is_stale(exc):
                    raise
                # It was rolled back, so it may run again; the session's other prepared statements are suspect too.
                connection.wear()
                return await self._run(connection, request, prepare=False)
        finally:
            self._metrics.statement.observe(monotonic() - began)
            self._pool.release(connection)

    async def ping(self) -> None:
        """One round trip through the pool. Those who ask at the same time share it: asking needs no token.

        Raises:
            RequestError: As for ``run``.
        """
        if self._pinging is None or self._pinging.done():
            self._pinging = asyncio.get_running_loop().create_task(self.run(_PING))
        await asyncio.shield(self._pinging)

    async def _run(self, connection: Connection, request: Request, *, prepare: bool) -> str:
        if request.begin is None:
            answer = self._answer(request, request.statements[0], 0)
            await connection.execute(request.statements[0], answer, prepare=prepare)
            return answer.text()
        await connection.execute(Statement(request.begin, [], array_mode=True), prepare=False)
        results: list[str] = []
        size = 0
        try:
            for statement in request.statements:
                answer = self._answer(request, statement, size)
                await connection.execute(statement, answer, prepare=prepare)
                results.append(answer.text())
                size += answer.size
            await connection.execute(_COMMIT, prepare=False)
        except (DatabaseError, AnswerTooLarge) as exc:
            if isinstance(exc, AnswerTooLarge):
                # Nothing is committed yet, unless a statement did so itself.
                exc.executed = False if connection.in_transaction else None
            if not connection.closed and connection.in_transaction:
                with suppress(RequestError):
                    await connection.execute(_ROLLBACK, prepare=False)
            raise
        return f'{{"results":[{",".join(results)}]}}'

    def _answer(self, request: Request, statement: Statement, used: int) -> Answer:
        return Answer(array_mode=statement.array_mode, raw_text=request.raw_text, limit=self._answer_limit - used)


def _is_stale(error: DatabaseError) -> bool:
    """Whether a prepared statement is out of date (a table was altered) or gone (DEALLOCATE, a pooler in between)."""
    return error.code == "26000" or (error.code == "0A000" and error.others.get("routine") == "RevalidateCachedQuery")
