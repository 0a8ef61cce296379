"""Simulated isolates: each signs users up at its own times, by a database connection of its own or through the pool."""

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

__all__ = ["DatabaseAccess", "Direct", "Isolate", "Pooled", "SignUp", "schedule", "sign_up_all"]

_STATEMENT = INSERT.replace("$1, $2, $3", "%s, %s, %s")


class DatabaseAccess(Protocol):
    """How an isolate reaches the database."""

    async def sign_up(self, address: str) -> str:
        """Signs a user up; returns an empty text, or why it was refused."""
        ...

    async def close(self) -> None:
        """Ends the isolate."""
        ...


class SignUp(NamedTuple):
    """What became of one.

    Attributes:
        due: When it was asked for, in seconds since the run began.
        took: Seconds from then to the answer.
        refused: Why; empty when the user was created.
        first: Whether it was its isolate's first, for which a connection has to be opened.
    """

    due: float
    took: float
    refused: str
    first: bool


class Direct:
    """A connection of its own, opened when it is first needed and kept while the isolate lives.

    That is more than a Worker can do, whose connections end with the request that opened them.

    Args:
        url: Of Postgres.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: psycopg.AsyncConnection | None = None

    async def sign_up(self, address: str) -> str:
        """Connects, if it is not connected, and inserts."""
        try:
            if self._connection is None:
                self._connection = await psycopg.AsyncConnection.connect(self._url, autocommit=True)
            await self._connection.execute(_STATEMENT, [NAME, address, PASSWORD])
        except psycopg.OperationalError as exc:
            return str(exc).rpartition("FATAL:")[2].strip()
        return ""

    async def close(self) -> None:
        """Closes the connection."""
        if self._connection is not None:
            await self._connection.close()


class Pooled:
    """No database connection: one HTTP request to the pooled proxy for each sign-up.

    Args:
        endpoint: Of the proxy.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._connection: client.Connection | None = None

    async def sign_up(self, address: str) -> str:
        """Posts the statement."""
        try:
            if self._connection is None:
                self._connection = await client.connect(self._endpoint)
            status = await self._connection.post(self._endpoint.request(address))
        except OSError as exc:
            return str(exc)
        return "" if status == HTTPStatus.OK else f"status {status}"

    async def close(self) -> None:
        """Closes the HTTP connection."""
        if self._connection is not None:
            self._connection.close()


class Isolate(NamedTuple):
    """When one isolate signs which users up.

    Attributes:
        due: Seconds since the run began, ascending.
        addresses: One for each.
    """

    due: Sequence[float]
    addresses: Sequence[str]


def schedule(isolates: int, sign_ups: int, gap: float, ramp: float) -> list[Isolate]:
    """The same visitors at every call.

    Args:
        isolates: How many.
        sign_ups: Of each.
        gap: Seconds between two of an isolate's, on average; they come at random.
        ramp: Seconds in which the isolates come to life, one after another.
    """
    source = random.Random(1)  # noqa: S311 - it has to be repeatable, not secret
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
    isolates: Sequence[Isolate], connect: Callable[[], DatabaseAccess], done: list[SignUp], linger: float
) -> None:
    """Runs all isolates at once.

    Args:
        isolates: Who signs up when.
        connect: Makes each isolate's way to the database.
        done: Takes what became of each sign-up, as it happens.
        linger: Seconds that the isolates live on after the last of all sign-ups; real ones do so for minutes.
    """
    accesses = [connect() for _ in isolates]
    started_at = time.perf_counter()

    async def run_isolate(isolate: Isolate, access: DatabaseAccess) -> None:
        for count, (due, address) in enumerate(zip(isolate.due, isolate.addresses, strict=True)):
            await asyncio.sleep(started_at + due - time.perf_counter())
            refused = await access.sign_up(address)
            done.append(SignUp(due, time.perf_counter() - started_at - due, refused, count == 0))

    try:
        await asyncio.gather(*map(run_isolate, isolates, accesses))
        await asyncio.sleep(linger)
    finally:
        await asyncio.gather(*(access.close() for access in accesses))
