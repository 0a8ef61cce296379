"""The load: clients with persistent connections that send the next sign-up as soon as they have a response."""

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
_PASSWORD = "correct horse battery staple"  # noqa: S105 - not a secret


class Target(NamedTuple):
    """A running Worker.

    Attributes:
        endpoint: its endpoint.
        pid: workerd's process id.
        success: the expected status of each response.
    """

    endpoint: Endpoint
    pid: int
    success: int


class Sample(NamedTuple):
    """The result of one contender's turn.

    Attributes:
        rate: responses per second.
        p50: median response time in seconds; likewise p95 and p99.
        answered: number of sign-ups.
        cpu: CPU seconds of workerd per sign-up.
        slowest: longest response time in seconds.
    """

    rate: float
    p50: float
    p95: float
    p99: float
    answered: int
    cpu: float
    slowest: float


def address(number: int) -> str:
    """Return an address of `EMAIL_LENGTH` characters that is unique to the number; addresses are in random order."""
    return f"{blake2b(number.to_bytes(8, 'big'), digest_size=10).hexdigest()}@example.com"


def endpoint(port: int, path: str = "/", more: Mapping[str, str] | None = None, name: str = "Ada Lovelace") -> Endpoint:
    """Return the endpoint to which sign-ups with this name are posted as JSON, with `more` headers."""
    lines = {"content-type": "application/json", **(more or {})}
    head = "\r\n".join([f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())])
    fields = {"name": name, "email": "{email}", "password": _PASSWORD}
    return Endpoint(port, head, json.dumps(fields), EMAIL_LENGTH)


async def turn(target: Target, clients: int, seconds: float, numbers: Iterator[int]) -> Sample:
    """Run clients that each send the next sign-up as soon as they have a response.

    Args:
        target: the Worker.
        clients: number of concurrent clients.
        seconds: duration; each client sends at least one sign-up.
        numbers: numbers for new addresses.

    Raises:
        RuntimeError: a sign-up failed.
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
    """Return the medians of a contender's turns, in the units of the tables."""

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
