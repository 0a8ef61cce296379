"""The process stays within a documented bound of memory and keeps responding, despite large requests and responses."""

from __future__ import annotations

import json
import socket
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.contract.sqlproxy.harness import TOKEN, run_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.postgres.server import Postgres
    from tests.contract.sqlproxy.harness import Proxy

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the test reads /proc")

MIB = 1024 * 1024
POOL = 4
ANSWER_LIMIT, MEMORY_LIMIT = 4 * MIB, 16 * MIB
# The bound in docs/pooling.md without the part of the HTTP connections, of which these tests open few: the process
# itself; for each connection libpq's buffer, a row, and that row as JSON; and responses and bodies with their copies.
BOUND = 60 * MIB + POOL * 6 * ANSWER_LIMIT + 3 * MEMORY_LIMIT


@pytest.fixture(scope="module")
def bounded_proxy(pg: Postgres) -> Iterator[Proxy]:
    """A proxy with small memory limits and long timeouts."""
    flags = ("--answer-limit", f"{ANSWER_LIMIT}", "--memory-limit", f"{MEMORY_LIMIT}", "--wait-timeout", "30")
    timeouts = ("--statement-timeout", "30", "--total-timeout", "60")
    with run_proxy(pg, "--pool-size", f"{POOL}", *flags, *timeouts) as proxy:
        yield proxy


def peak_memory(proxy: Proxy) -> int:
    """Return the peak resident memory of the process in bytes."""
    status = Path(f"/proc/{proxy.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def flood(proxy: Proxy, body: dict[str, object], number: int) -> tuple[list[httpx.Response], float]:
    """Post a body several times at once; return the responses and the longest response time of /health in seconds."""
    with ThreadPoolExecutor(number) as threads, proxy.client() as client, proxy.client() as health_client:
        client.headers["neon-raw-text-output"] = "false"
        client.timeout = httpx.Timeout(60)
        futures = [threads.submit(client.post, "/sql", json=body) for _ in range(number)]
        longest = 0.0
        while not all(future.done() for future in futures):
            began = time.monotonic()
            assert health_client.get("/health").status_code == 200
            longest = max(longest, time.monotonic() - began)
        return [future.result() for future in futures], longest


SHORT = "SELECT 1 FROM generate_series(1, 1200000)"
WIDE = "SELECT " + ", ".join(f"{number} AS c{number}" for number in range(500)) + " LIMIT 0"


@pytest.mark.parametrize(
    ("body", "statuses"),
    [
        ({"query": "SELECT repeat('x', 40000000)"}, {507}),
        ({"query": "SELECT repeat('x', 3500000) FROM generate_series(1, 40)"}, {507, 503}),
        ({"query": "SELECT repeat('x', 100) FROM generate_series(1, 1500000)"}, {507, 503}),
        ({"query": SHORT}, {507, 503}),
        (
            {"query": "SELECT repeat('x', CASE WHEN n < 257 THEN 1 ELSE 40000000 END) FROM generate_series(1, 258) n"},
            {507},
        ),
        ({"query": "DO $$ BEGIN RAISE '%', repeat('x', 60000000); END $$"}, {507}),
        ({"query": "SELECT repeat('é', 1500000)"}, {200, 503}),
        ({"query": r"SELECT ARRAY[repeat('\"', 1000000)]"}, {200, 503}),
        ({"query": "SELECT ARRAY[repeat('x y', 1000000)]"}, {200, 503}),
        ({"queries": [{"query": WIDE}] * 1000}, {507, 413}),
        ({"queries": [{"query": "SELECT 1"}] * 1001}, {400}),
        ({"query": "SELECT $1::text", "params": [[[[]] * 200] * 200]}, {200, 400}),
    ],
    ids=[
        "one value",
        "large rows",
        "many rows",
        "short rows",
        "a large row behind small ones",
        "an error",
        "two bytes a character",
        "escapes",
        "an array",
        "many columns",
        "many statements",
        "deep JSON",
    ],
)
def test_large_requests_and_responses_stay_within_the_memory_bound(
    bounded_proxy: Proxy, body: dict[str, object], statuses: set[int]
) -> None:
    """Each request gets one of the expected statuses, and `/health` always responds within two seconds."""
    # A million short rows take seconds, so only one request is sent.
    number = 1 if body.get("query") == SHORT else POOL + 1
    responses, longest = flood(bounded_proxy, body, number)
    assert {response.status_code for response in responses} <= statuses, responses[0].text[:300]
    assert peak_memory(bounded_proxy) < BOUND
    assert longest < 2
    assert bounded_proxy.rows("SELECT 1") == [["1"]]


def test_unread_responses_count_toward_the_memory_limit(bounded_proxy: Proxy) -> None:
    """When unread responses have used up the limit, requests get 503. They succeed after the clients disconnect."""
    body = json.dumps({"query": "SELECT repeat('x', 3500000)"}).encode()
    head = f"POST /sql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {len(body)}\r\n\r\n"
    with ExitStack() as stack:
        readers = [stack.enter_context(socket.socket()) for _ in range(12)]
        for reader in readers:
            # Otherwise the whole response would fit into the system's buffers.
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", bounded_proxy.port))
            reader.sendall(head.encode() + body)
        starts = {reader.recv(12) for reader in readers}
        assert starts == {b"HTTP/1.1 200", b"HTTP/1.1 503"}
        assert peak_memory(bounded_proxy) < BOUND
    assert bounded_proxy.sql("SELECT repeat('x', 3500000)").status_code == 200
