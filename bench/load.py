"""Generate load: clients with persistent connections that send the next sign-up when they receive a response."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import uvloop

from bench.client import NUMBERS, Connection, Endpoint, address, connect
from bench.report import percentile


class Sample(NamedTuple):
    """The measurements of one turn, in which clients send sign-ups to one contender for a while.

    Attributes:
        rate: responses per second.
        p50: median response time in seconds.
        p95: 95th percentile of the response times in seconds.
        p99: 99th percentile of the response times in seconds.
        answered: number of responses.
        cpu: CPU seconds of the server's process per response.
        slowest: longest response time in seconds.
        generator: share of one core that the clients used.
    """

    rate: float
    p50: float
    p95: float
    p99: float
    answered: int
    cpu: float
    slowest: float
    generator: float = 0.0


# One sample per round, by contender and number of clients.
Samples = dict[tuple[str, int], list[Sample]]


def turn(endpoint: Endpoint, clients: int, seconds: float) -> Sample:
    """Run clients for `seconds`, and return the measurements. Each client sends at least one sign-up.

    Raises:
        RuntimeError: a response does not have the endpoint's expected status.
    """
    return uvloop.run(_turn(endpoint, clients, seconds))


async def _turn(endpoint: Endpoint, clients: int, seconds: float) -> Sample:
    connections = [await connect(endpoint) for _ in range(clients)]
    cpu, own_cpu, started_at = cpu_seconds(endpoint.pid), time.process_time(), time.perf_counter()
    times = (await send_sign_ups(endpoint, connections, seconds, {endpoint.status: 0}))[endpoint.status]
    elapsed = time.perf_counter() - started_at
    cpu, own_cpu = cpu_seconds(endpoint.pid) - cpu, time.process_time() - own_cpu
    p50, p95, p99 = (percentile(times, part) for part in (0.5, 0.95, 0.99))
    count = len(times)
    return Sample(count / elapsed, p50, p95, p99, count, cpu / count, max(times), own_cpu / elapsed)


async def send_sign_ups(
    endpoint: Endpoint, connections: Sequence[Connection], seconds: float, pauses: Mapping[int, float]
) -> dict[int, list[float]]:
    """Send sign-ups on all connections, close the connections, and return the response times in seconds, by status.

    Args:
        endpoint: the server.
        connections: the connections to the server, one per client.
        seconds: the duration; each client sends at least one sign-up.
        pauses: the expected statuses, each with the seconds that a client waits after such a response.

    Raises:
        RuntimeError: a response has a status that is not in `pauses`.
    """
    times: dict[int, list[float]] = {status: [] for status in pauses}
    end = time.perf_counter() + seconds

    async def send(connection: Connection) -> None:
        while True:
            sent_at = time.perf_counter()
            status = await connection.post(endpoint.request(address(next(NUMBERS))))
            if status not in times:
                raise RuntimeError(f"status {status}: {connection.body.decode(errors='replace')}")
            times[status].append(time.perf_counter() - sent_at)
            if pauses[status]:
                await asyncio.sleep(pauses[status])
            if time.perf_counter() >= end:
                return

    try:
        await asyncio.gather(*map(send, connections))
    finally:
        for connection in connections:
            connection.close()
    return times


def summary(samples: Sequence[Sample]) -> dict[str, float]:
    """Return the medians of a contender's turns, in milliseconds or per second, and the total number of responses."""

    def median(values: list[float], digits: int = 3) -> float:
        return round(percentile(values, 0.5), digits)

    return {
        "p50_ms": median([1000 * sample.p50 for sample in samples]),
        "p95_ms": median([1000 * sample.p95 for sample in samples]),
        "p99_ms": median([1000 * sample.p99 for sample in samples]),
        "requests_per_second": median([sample.rate for sample in samples], 1),
        "cpu_ms": median([1000 * sample.cpu for sample in samples]),
        "sign_ups": sum(sample.answered for sample in samples),
    }


def parse_cpu(stat: str, ticks: int) -> float:
    """Return the CPU seconds, user and system, from the text of `/proc/PID/stat` (proc(5)).

    Args:
        stat: the text of the file.
        ticks: clock ticks per second.
    """
    # The second field is the program's name, which may contain any character.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that all threads of a process have used."""
    return parse_cpu(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"), os.sysconf("SC_CLK_TCK"))
