"""Measure the responses of one isolate to 64 clients, with the default hash queue and deadline.

Clients send the next sign-up when they receive a response. After a 503 response, one kind of client waits for a second,
the usual `Retry-After`. The other kind retries at once, so refusals compete with hashes for the thread.
"""

from http import HTTPStatus
from typing import Any

import uvloop

from bench.client import Endpoint, connect
from bench.load import send_sign_ups, turn
from bench.report import percentile, progress
from bench.workers import contenders
from bench.workers.measurement import Options, Result, behind_sqlproxy
from bench.workers.workerd import endpoint, running

CLIENTS = 64
# For each kind of client: the seconds that it waits after a 503, and the duration of its load, relative to `--load`.
KINDS = {"retry after 1 s": (1.0, 1.0), "retry at once": (0.0, 0.25)}


def measure(options: Options) -> Result:
    """Run the clients of each kind, and check that each 201 response has one row in the table.

    The details contain, by kind of client and status, the number of responses, and their median and longest response
    time in seconds.
    """
    details: dict[str, Any] = {}
    with behind_sqlproxy() as (backends, counter):
        worker = contenders.ours(backends, "admission", HASH_QUEUE="0", REQUEST_DEADLINE="10")
        with running(worker) as run:
            target = endpoint(run)
            # The first request starts Python.
            counter.check("User", turn(target, 1, 0).answered, hashed=True)
            for kind, (pause, load_share) in KINDS.items():
                times = uvloop.run(_load(target, options.load * load_share, pause))
                counter.check("User", len(times[HTTPStatus.CREATED]), hashed=True)
                details[kind] = {
                    str(int(status)): {
                        "number": len(each),
                        "p50_s": round(percentile(each, 0.5), 2) if each else 0,
                        "slowest_s": round(max(each, default=0), 2),
                    }
                    for status, each in times.items()
                }
                progress(f"{kind}: {details[kind]}")
    return Result({}, details)


async def _load(target: Endpoint, seconds: float, pause: float) -> dict[int, list[float]]:
    """Run clients that wait for `pause` seconds after a 503; return the response times in seconds, by status."""
    connections = [await connect(target) for _ in range(CLIENTS)]
    pauses: dict[int, float] = {HTTPStatus.CREATED: 0.0, HTTPStatus.SERVICE_UNAVAILABLE: pause}
    return await send_sign_ups(target, connections, seconds, pauses)
