"""`/ready` and SIGTERM do not wait long for a Postgres that does not respond."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING

import httpx

from tests.contract.sqlproxy.harness import TOKEN, eventually
from tests.contract.sqlproxy.relay import Relay

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from devstack.postgres.server import Postgres
    from tests.contract.sqlproxy.harness import StartProxy

FLAGS = ("--total-timeout", "1", "--wait-timeout", "0.5", "--connect-timeout", "2", "--stop-timeout", "1")
# Seconds in addition to --stop-timeout: one until the cancellation is given up, and some for the process to exit.
GRACE_SECONDS = 2.5


def test_a_frozen_postgres_does_not_block_ready_or_sigterm(
    start_proxy: StartProxy, pg: Postgres, threads: ThreadPoolExecutor
) -> None:
    """`/ready` gets 504 after --total-timeout, and SIGTERM ends the process although requests wait for Postgres."""
    with Relay(pg.port) as relay:
        proxy = start_proxy(*FLAGS, DATABASE_URL=relay.through(pg.url()))
        assert proxy.rows("SELECT 1") == [["1"]]
        relay.frozen = True
        began = time.monotonic()
        # Simultaneous requests share one check.
        futures = [threads.submit(httpx.get, f"{proxy.url}/ready", timeout=10) for _ in range(3)]
        assert {(future.result().status_code, future.result().json()["code"]) for future in futures} == {(504, "57014")}
        assert time.monotonic() - began < 2.5

        relay.frozen = False
        eventually(lambda: httpx.get(f"{proxy.url}/ready").status_code == 200, "the proxy recovers")
        relay.frozen = True
        for path, method in (("/ready", "GET"), ("/sql", "POST")):
            headers = {"authorization": f"Bearer {TOKEN}"}
            body = b'{"query": "SELECT 1"}' if method == "POST" else b""
            threads.submit(httpx.request, method, proxy.url + path, content=body, headers=headers)
        time.sleep(0.2)
        began = time.monotonic()
        proxy.process.send_signal(signal.SIGTERM)
        assert proxy.process.wait(20) == 0
        assert time.monotonic() - began < 1 + GRACE_SECONDS
        assert not proxy.events("internal_error")
