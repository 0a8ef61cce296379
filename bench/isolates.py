"""Simulated isolates that sign up users, each over its own database connection or all through sqlproxy's pool."""

import asyncio
import random
import sys
import time
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import NamedTuple

import psycopg
import uvloop

from bench import client
from bench.peers import NAME, PASSWORD, SIGN_UP
from bench.report import percentile

# Connections of the superuser are not counted, because they belong to the benchmark. Connections that are still logging
# in are counted, although their role is not known yet. Their process ids are not collected.
_COUNT = """\
SELECT count(*), array_agg(pid) FILTER (WHERE usename IS NOT NULL AND state <> 'starting') FROM pg_stat_activity
WHERE backend_type = 'client backend' AND usename IS DISTINCT FROM current_user
"""
_SAMPLE_SECONDS = 0.025
# Connections stay open this long after the last sign-up. Real isolates live for minutes.
_LINGER_SECONDS = 0.5
_SETTLE_SECONDS = 10.0


class Direct:
    """A database connection of one isolate, opened by the first sign-up and reused by later ones.

    A real Worker cannot reuse connections: they end with the request that opened them.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection | None = None

    async def sign_up(self, address: str) -> str:
        """Insert a user. Return "", or the error if the connection is refused or lost."""
        try:
            if self._connection is None:
                self._connection = await psycopg.AsyncConnection.connect(
                    self._url, autocommit=True, cursor_factory=psycopg.AsyncRawCursor
                )
            await self._connection.execute(SIGN_UP, [NAME, address, PASSWORD, None])
        except psycopg.OperationalError as exc:
            return str(exc).rpartition("FATAL:")[2].strip()
        return ""

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()


class Pooled:
    """An HTTP connection of one isolate to sqlproxy, with one request for each sign-up."""

    def __init__(self, endpoint: client.Endpoint) -> None:
        self._endpoint = endpoint
        self._connection: client.Connection | None = None

    async def sign_up(self, address: str) -> str:
        """Insert a user through sqlproxy. Return "", or the error."""
        try:
            if self._connection is None:
                self._connection = await client.connect(self._endpoint)
            status = await self._connection.post(self._endpoint.request(address))
        except OSError as exc:
            return str(exc)
        return "" if status == HTTPStatus.OK else f"status {status}"

    async def close(self) -> None:
        """Close the HTTP connection."""
        if self._connection is not None:
            self._connection.close()


class SignUp(NamedTuple):
    """The result of a sign-up.

    Attributes:
        took: seconds from the scheduled time to the response.
        refused: the error; "" if the user was created.
        first: whether this was the isolate's first sign-up, which opens the connection.
    """

    took: float
    refused: str
    first: bool


class Run(NamedTuple):
    """The results of a run with or without the pool.

    Attributes:
        name: the run's name in the report.
        sign_ups: the results of all sign-ups.
        most: maximum number of simultaneous connections, sampled every 25 ms.
        opened: number of different connections in these samples.
        stored: number of users in the database after the run.
    """

    name: str
    sign_ups: Sequence[SignUp]
    most: int
    opened: int
    stored: int

    @property
    def refused(self) -> int:
        """Number of failed sign-ups."""
        return sum(1 for sign_up in self.sign_ups if sign_up.refused)

    @property
    def answered(self) -> int:
        """Number of sign-ups that created a user."""
        return len(self.sign_ups) - self.refused

    @property
    def reasons(self) -> set[str]:
        """The distinct errors of failed sign-ups."""
        return {sign_up.refused for sign_up in self.sign_ups if sign_up.refused}

    def milliseconds(self, part: float, *, first: bool | None = None) -> float:
        """Return a percentile of the response times of successful sign-ups, in milliseconds.

        Args:
            part: the percentile, from 0 to 1.
            first: True selects the isolates' first sign-ups, False the later ones, None both.
        """
        took = [s.took for s in self.sign_ups if not s.refused and (first is None or s.first is first)]
        return 1000 * percentile(took, part)


def schedule(isolates: int, sign_ups: int, gap: float, ramp: float) -> list[list[float]]:
    """Return the times of each isolate's sign-ups in seconds since the start. The result is reproducible.

    Args:
        isolates: number of isolates.
        sign_ups: number of sign-ups per isolate.
        gap: mean seconds between two sign-ups of an isolate, with an exponential distribution.
        ramp: seconds over which the isolates start.
    """
    draws = random.Random(1)  # noqa: S311 - it must be reproducible, not secret
    schedules = []
    for number in range(isolates):
        now, times = ramp * number / isolates, []
        for _ in range(sign_ups):
            now += gap * draws.expovariate(1.0)
            times.append(now)
        schedules.append(times)
    return schedules


def run(name: str, admin_url: str, isolates: Sequence[Sequence[float]], connect: Callable[[], Direct | Pooled]) -> Run:
    """Run all isolates concurrently, starting with an empty table, and count their connections.

    Args:
        name: the run's name in the report.
        admin_url: URL of Postgres with its superuser, for whom Postgres reserves connections.
        isolates: the times of each isolate's sign-ups.
        connect: returns the object for an isolate's connection, which its first sign-up opens.
    """
    return uvloop.run(_run(name, admin_url, isolates, connect))


def wait_until_closed(admin_url: str) -> None:
    """Wait until the isolates' connections are closed, so that the next run does not count them.

    Raises:
        TimeoutError: a connection is still open after 10 s.
    """
    deadline = time.monotonic() + _SETTLE_SECONDS
    with psycopg.connect(admin_url, autocommit=True) as admin:
        while (admin.execute(_COUNT).fetchone() or (0,))[0]:
            if time.monotonic() > deadline:
                raise TimeoutError("the isolates' connections are still open")
            time.sleep(0.05)


async def _run(
    name: str, admin_url: str, isolates: Sequence[Sequence[float]], connect: Callable[[], Direct | Pooled]
) -> Run:
    sign_ups: list[SignUp] = []
    counts: list[int] = [0]
    backend_pids: set[int] = set()
    total = sum(map(len, isolates))
    finished = asyncio.Event()

    async def count(admin: psycopg.AsyncConnection) -> int:
        row = await (await admin.execute(_COUNT)).fetchone()
        connections, pids = row or (0, None)
        backend_pids.update(pids or ())
        return int(connections)

    async def watch() -> None:
        shown_at = 0.0
        while not finished.is_set():
            counts.append(await count(admin))
            # On a terminal, update one line; in a log, write one line per second.
            if time.monotonic() - shown_at >= (0.1 if sys.stdout.isatty() else 1.0):
                refused = sum(1 for sign_up in sign_ups if sign_up.refused)
                line = f"{name}: {len(sign_ups):5} of {total} sign-ups, {refused:5} refused, {counts[-1]:3} connections"
                sys.stdout.write(f"\r{line}" if sys.stdout.isatty() else f"{line}\n")
                sys.stdout.flush()
                shown_at = time.monotonic()
            await asyncio.sleep(_SAMPLE_SECONDS)

    async with await psycopg.AsyncConnection.connect(admin_url, autocommit=True) as admin:
        await admin.execute('TRUNCATE "User"')
        async with asyncio.TaskGroup() as group:
            group.create_task(watch())
            await _sign_up_all(isolates, connect, sign_ups)
            finished.set()
        sys.stdout.write("\n")
        row = await (await admin.execute('SELECT count(*) FROM "User"')).fetchone() or (0,)
    return Run(name, sign_ups, max(counts), len(backend_pids), row[0])


async def _sign_up_all(
    isolates: Sequence[Sequence[float]], connect: Callable[[], Direct | Pooled], sign_ups: list[SignUp]
) -> None:
    connections = [connect() for _ in isolates]
    started_at = time.perf_counter()

    async def run_isolate(times: Sequence[float], connection: Direct | Pooled) -> None:
        for number, due in enumerate(times):
            await asyncio.sleep(started_at + due - time.perf_counter())
            error = await connection.sign_up(client.address(next(client.NUMBERS)))
            sign_ups.append(SignUp(time.perf_counter() - started_at - due, error, number == 0))

    try:
        await asyncio.gather(*map(run_isolate, isolates, connections))
        await asyncio.sleep(_LINGER_SECONDS)
    finally:
        await asyncio.gather(*(connection.close() for connection in connections))
