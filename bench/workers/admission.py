"""Measure the responses of one isolate to 64 clients, with the default hash queue and deadline.

Clients send the next sign-up as soon as they have a response. After a 503 one kind waits for a second, the usual
`Retry-After`, and the other retries at once, so that refusals compete with hashes for the thread.
"""

from __future__ import annotations

import asyncio
import time
from http import HTTPStatus
from typing import TYPE_CHECKING

import uvloop

from bench.client import connect
from bench.report import percentile
from bench.workers.load import Target, address, endpoint
from bench.workers.rounds import NUMBERS
from bench.workers.workerd import running

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.workers.config import Worker
    from bench.workers.row_counts import RowCounter

CLIENTS = 64
# Seconds that each kind of client waits after a 503, and its share of the duration.
KINDS = {"retry after 1 s": (1.0, 1.0), "retry at once": (0.0, 0.25)}

Times = dict[int, list[float]]


async def load(target: Target, clients: int, seconds: float, pause: float) -> Times:
    """Run clients that wait for `pause` seconds after a 503; return the response times in seconds, by status.

    Raises:
        RuntimeError: a response was neither 201 nor 503.
    """
    times: Times = {HTTPStatus.CREATED: [], HTTPStatus.SERVICE_UNAVAILABLE: []}
    end = time.perf_counter() + seconds

    async def client() -> None:
        connection = await connect(target.endpoint)
        while (sent_at := time.perf_counter()) < end:
            status = await connection.post(target.endpoint.request(address(next(NUMBERS))))
            if status not in times:
                raise RuntimeError(f"status {status}: {connection.body.decode(errors='replace')}")
            times[status].append(time.perf_counter() - sent_at)
            if status == HTTPStatus.SERVICE_UNAVAILABLE:
                await asyncio.sleep(pause)
        connection.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return times


def measure(worker: Worker, counter: RowCounter, seconds: float, log: Callable[[str], None]) -> dict[str, object]:
    """Run the clients of each kind, and check that each 201 is in the table once.

    Returns:
        By kind of client: the number of each response, and the median and the longest time in seconds.
    """
    found: dict[str, object] = {}
    with running(worker) as run:
        target = Target(endpoint(run.port), run.pid, HTTPStatus.CREATED)
        # The first request starts Python.
        counter.check("User", len(uvloop.run(load(target, 1, 0.01, 0))[HTTPStatus.CREATED]), hashed=True)
        for kind, (pause, share) in KINDS.items():
            times = uvloop.run(load(target, CLIENTS, seconds * share, pause))
            counter.check("User", len(times[HTTPStatus.CREATED]), hashed=True)
            found[kind] = {
                str(int(status)): {
                    "number": len(each),
                    "p50_s": round(percentile(each, 0.5), 2) if each else 0,
                    "slowest_s": round(max(each, default=0), 2),
                }
                for status, each in times.items()
            }
            log(f"{kind}: {found[kind]}")
    return found
