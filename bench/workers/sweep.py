"""sqlproxy, Prisma's executor and psycopg itself, from one client to 256: the same INSERT over as many connections."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import psycopg
import uvloop

from bench import peers, proxies
from bench.report import percentile, spread
from bench.workers.rounds import order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from devstack.postgres.server import Postgres

__all__ = ["CLIENTS", "detail", "measure", "ratios"]

CLIENTS = (1, 4, 16, 64, 256)
_LIMIT = "psycopg"
_WARM_UP_CLIENTS, _WARM_UP_SECONDS = 64, 6.0
_STATEMENT = peers.INSERT.replace("$1, $2, $3", "%s, %s, %s")

Samples = dict[tuple[str, int], list[proxies.Sample]]


async def limit(url: str, clients: int, seconds: float, numbers: Iterator[int]) -> proxies.Sample:
    """What is possible without a proxy: the connections of the pool, each busy all the time, from one process.

    Clients beyond them would wait, here as in a pool.
    """
    connections = [
        await psycopg.AsyncConnection.connect(url, autocommit=True) for _ in range(min(clients, proxies.POOL_SIZE))
    ]
    times: list[float] = []
    began, used = time.perf_counter(), time.process_time()

    async def work(connection: psycopg.AsyncConnection) -> None:
        while (asked := time.perf_counter()) < began + seconds:
            await connection.execute(_STATEMENT, [peers.NAME, peers.email(next(numbers)), peers.PASSWORD])
            times.append(time.perf_counter() - asked)

    await asyncio.gather(*map(work, connections))
    lasted, used = time.perf_counter() - began, time.process_time() - used
    for connection in connections:
        await connection.close()
    return proxies.Sample(len(times) / lasted, percentile(times, 0.99), len(times), used / lasted)


def measure(server: Postgres, rounds: int, seconds: float, say: Callable[[str], None]) -> Samples:
    """Lets the three take turns.

    Raises:
        RuntimeError: A sign-up failed, or the table does not hold exactly those that were answered.
    """
    samples: Samples = {}
    numbers = itertools.count()
    answered = 0
    with ExitStack() as stack:
        endpoints = {
            "sqlproxy": stack.enter_context(peers.sqlproxy(server.url(), proxies.POOL_SIZE)),
            "executor": stack.enter_context(peers.executor(server.url())),
        }
        for endpoint in endpoints.values():
            warm = proxies.turn(endpoint, _WARM_UP_CLIENTS, _WARM_UP_SECONDS, numbers)
            answered += uvloop.run(warm).answered
        for number, clients in itertools.product(range(rounds), CLIENTS):
            for name in order([*endpoints, _LIMIT], number):
                if name == _LIMIT:
                    sample = uvloop.run(limit(server.url(), clients, seconds, numbers))
                else:
                    sample = uvloop.run(proxies.turn(endpoints[name], clients, seconds, numbers))
                samples.setdefault((name, clients), []).append(sample)
                answered += sample.answered
            found = ", ".join(f"{name} {samples[name, clients][-1].rate:.0f}" for name in (*endpoints, _LIMIT))
            say(f"round {number + 1} of {rounds}, {clients:3} clients, statements a second: {found}")
        with psycopg.connect(server.url()) as admin:
            (stored,) = admin.execute('SELECT count(*) FROM "User"').fetchone() or (0,)
    if stored != answered:
        raise RuntimeError(f"{answered} statements were answered, and {stored} rows are in the table")
    return samples


def ratios(samples: Mapping[tuple[str, int], Sequence[proxies.Sample]]) -> dict[str, dict[str, float]]:
    """How many times better sqlproxy is than the executor at 16 clients."""
    pairs = list(zip(samples["sqlproxy", 16], samples["executor", 16], strict=True))
    return {
        "sqlproxy_rps16_vs_executor": spread([mine.rate / other.rate for mine, other in pairs]),
        "sqlproxy_p99_16_vs_executor": spread([other.p99 / mine.p99 for mine, other in pairs]),
    }


def detail(samples: Mapping[tuple[str, int], Sequence[proxies.Sample]]) -> dict[str, Any]:
    """The medians, by contender and number of clients."""
    found: dict[str, Any] = {}
    for (name, clients), turns in samples.items():
        found.setdefault(name, {})[f"{clients}"] = {
            "per_second": round(percentile([each.rate for each in turns], 0.5), 1),
            "p99_ms": round(1000 * percentile([each.p99 for each in turns], 0.5), 3),
        }
    return found
