"""The load: clients that keep their connections, and ask again as soon as they have an answer."""

from __future__ import annotations

import asyncio
import json
import time
from hashlib import blake2b
from typing import TYPE_CHECKING, NamedTuple

from bench.client import Endpoint, connect
from bench.report import percentile
from bench.workers.proc import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

EMAIL_LENGTH = 32
_PASSWORD = "correct horse battery staple"  # noqa: S105 - of nobody


class Target(NamedTuple):
    """A Worker that runs.

    Attributes:
        endpoint: Where it is asked.
        pid: workerd's.
        success: The status of each response.
    """

    endpoint: Endpoint
    pid: int
    success: int


class Sample(NamedTuple):
    """What a contender did in one turn.

    Attributes:
        rate: Answers a second.
        p50: Seconds to the answer; p95 and p99 alike.
        answered: How many sign-ups.
        cpu: Seconds of workerd's CPU for each of them.
        slowest: Seconds to the last answer.
    """

    rate: float
    p50: float
    p95: float
    p99: float
    answered: int
    cpu: float
    slowest: float


def address(number: int) -> str:
    """An address of EMAIL_LENGTH characters, another for every number; their order is none, as it is in life."""
    return f"{blake2b(number.to_bytes(8, 'big'), digest_size=10).hexdigest()}@example.com"


def endpoint(port: int, path: str = "/", more: Mapping[str, str] | None = None, name: str = "Ada Lovelace") -> Endpoint:
    """Return where sign-ups are posted as JSON, with further headers if need be."""
    lines = {"content-type": "application/json", **(more or {})}
    head = "\r\n".join([f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())])
    fields = {"name": name, "email": "{email}", "password": _PASSWORD}
    return Endpoint(port, head, json.dumps(fields), EMAIL_LENGTH)


async def turn(target: Target, clients: int, seconds: float, numbers: Iterator[int]) -> Sample:
    """Lets clients sign up as fast as they are answered.

    Args:
        target: Whom they ask.
        clients: How many at a time.
        seconds: How long they begin sign-ups; each makes one at least.
        numbers: For addresses that were never used.

    Raises:
        RuntimeError: A sign-up was not answered with success.
    """
    times: list[float] = []
    connections = [await connect(target.endpoint) for _ in range(clients)]
    cpu_before, started_at = cpu_seconds(target.pid), time.perf_counter()

    async def client(number: int) -> None:
        connection = connections[number]
        sent_at = started_at
        while sent_at < started_at + seconds or sent_at == started_at:
            sent_at = time.perf_counter()
            status = await connection.post(target.endpoint.request(address(next(numbers))))
            times.append(time.perf_counter() - sent_at)
            if status != target.success:
                raise RuntimeError(f"status {status}: {connection.body.decode(errors='replace')}")
            sent_at = time.perf_counter()

    try:
        await asyncio.gather(*map(client, range(clients)))
    finally:
        for connection in connections:
            connection.close()
    elapsed = time.perf_counter() - started_at
    cpu = (cpu_seconds(target.pid) - cpu_before) / len(times)
    p50, p95, p99 = (percentile(times, part) for part in (0.5, 0.95, 0.99))
    return Sample(len(times) / elapsed, p50, p95, p99, len(times), cpu, max(times))


def summary(samples: list[Sample]) -> dict[str, float]:
    """The medians of a contender's turns, in the units that are read."""

    def rounded_median(values: list[float], digits: int) -> float:
        return round(percentile(sorted(values), 0.5), digits)

    return {
        "p50_ms": rounded_median([1000 * sample.p50 for sample in samples], 3),
        "p95_ms": rounded_median([1000 * sample.p95 for sample in samples], 3),
        "p99_ms": rounded_median([1000 * sample.p99 for sample in samples], 3),
        "requests_per_second": rounded_median([sample.rate for sample in samples], 1),
        "cpu_ms": rounded_median([1000 * sample.cpu for sample in samples], 3),
        "sign_ups": sum(sample.answered for sample in samples),
    }
