"""Simulated isolates that sign users up, each on its own database connection or all through the pool."""

from __future__ import annotations

import asyncio
import random
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple, Protocol

import psycopg

from bench import client
from bench.peers import INSERT, NAME, PASSWORD, email

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.client import Endpoint

__all__ = ["Database", "Direct", "Isolate", "Pooled", "SignUp", "schedule", "sign_up_all"]

_STATEMENT = INSERT.replace("$1, $2, $3", "%s, %s, %s")


class Database(Protocol):
    """An isolate's access to the database."""

    async def sign_up(self, address: str) -> str:
        """Sign a user up; return "", or why it was refused."""
        ...

    async def close(self) -> None:
        """Close the connection."""
        ...


class SignUp(NamedTuple):
    """The result of a sign-up.

    Attributes:
        due: its scheduled time, in seconds since the start of the run.
        took: seconds from then to the response.
        refused: why it was refused; "" if the user was created.
        first: whether it was the isolate's first, which opens the connection.
    """

    due: float
    took: float
    refused: str
    first: bool


class Direct:
    """A database connection per isolate, opened by its first sign-up and kept.

    A real Worker cannot even keep it: its connections end with the request that opened them.

    Args:
        url: URL of Postgres.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection | None = None

    async def sign_up(self, address: str) -> str:
        """Insert the user."""
        try:
            if self._connection is None:
                self._connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
            await self._connection.execute(_STATEMENT, [NAME, address, PASSWORD])
        except psycopg.OperationalError as exc:
            return str(exc).rpartition("FATAL:")[2].strip()
        return ""

    async def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            await self._connection.close()


class Pooled:
    """One HTTP request to sqlproxy for each sign-up.

    Args:
        endpoint: sqlproxy's endpoint.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection: client.Connection | None = None

    async def sign_up(self, address: str) -> str:
        """Post the statement."""
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


class Isolate(NamedTuple):
    """The schedule of an isolate.

    Attributes:
        due: times of its sign-ups in seconds since the start of the run, ascending.
        addresses: the e-mail address of each sign-up.
    """

    due: Sequence[float]
    addresses: Sequence[str]


def schedule(isolates: int, sign_ups: int, gap: float, ramp: float) -> list[Isolate]:
    """Return the schedules of all isolates, the same ones at every call.

    Args:
        isolates: number of isolates.
        sign_ups: number of sign-ups per isolate.
        gap: mean seconds between two sign-ups of an isolate, which are exponentially distributed.
        ramp: seconds over which the starts of the isolates are spread.
    """
    source = random.Random(1)  # noqa: S311 - it must be reproducible, not secret
    schedules = []
    for number in range(isolates):
        now = ramp * number / isolates
        due = []
        for _ in range(sign_ups):
            now += gap * source.expovariate(1.0)
            due.append(now)
        schedules.append(Isolate(due, [email(number * sign_ups + count) for count in range(sign_ups)]))
    return schedules


async def sign_up_all(
    isolates: Sequence[Isolate], connect: Callable[[], Database], done: list[SignUp], linger: float
) -> None:
    """Run all isolates concurrently.

    Args:
        isolates: their schedules.
        connect: returns the database access of an isolate.
        done: receives the result of each sign-up.
        linger: seconds to keep the connections open after the last sign-up; real isolates live on for minutes.
    """
    accesses = [connect() for _ in isolates]
    started_at = time.perf_counter()

    async def run_isolate(isolate: Isolate, access: Database) -> None:
        for count, (due, address) in enumerate(zip(isolate.due, isolate.addresses, strict=True)):
            await asyncio.sleep(started_at + due - time.perf_counter())
            refused = await access.sign_up(address)
            done.append(SignUp(due, time.perf_counter() - started_at - due, refused, count == 0))

    try:
        await asyncio.gather(*map(run_isolate, isolates, accesses))
        await asyncio.sleep(linger)
    finally:
        await asyncio.gather(*(access.close() for access in accesses))
