"""The pool with a real Postgres: its limits, disconnected clients, and lost connections."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import psycopg
import pytest

from tests.contract.sqlproxy.harness import TOKEN, connections, eventually, running_statements
from tests.contract.sqlproxy.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import ThreadPoolExecutor

    import httpx

    from devstack.postgres.server import Postgres
    from tests.contract.sqlproxy.harness import Proxy, StartProxy


class Response(NamedTuple):
    """An HTTP response, and the seconds until it was complete."""

    status: int
    head: str
    body: Any
    seconds: float


async def post_all(proxy: Proxy, clients: int, requests: int, body: dict[str, Any]) -> list[Response]:
    """Run simultaneous clients that each post the same body several times; httpx is too slow for 64 clients."""
    data = json.dumps(body).encode()
    head = f"POST /sql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {len(data)}\r\n\r\n"

    async def client() -> list[Response]:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        responses = []
        for _ in range(requests):
            began = time.monotonic()
            writer.write(head.encode() + data)
            head_text = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head_text.partition("content-length: ")[2].split()[0])
            text = await reader.readexactly(length)
            responses.append(Response(int(head_text.split()[1]), head_text, json.loads(text), time.monotonic() - began))
        writer.close()
        await writer.wait_closed()
        return responses

    async with asyncio.timeout(20):
        return [
            response
            for responses in await asyncio.gather(*(client() for _ in range(clients)))
            for response in responses
        ]


class Sampler:
    """A thread that samples the number of a proxy's connections in Postgres."""

    def __init__(self, pg: Postgres, proxy: Proxy) -> None:
        self.most = 0
        self.samples = 0
        self._stop = threading.Event()
        self._pg = pg
        self._proxy = proxy
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        with psycopg.connect(self._pg.url(), autocommit=True) as admin:
            while not self._stop.is_set():
                self.most = max(self.most, connections(admin, self._proxy))
                self.samples += 1
                self._stop.wait(0.002)


@pytest.mark.anyio
async def test_64_clients_never_exceed_the_pool_size(start_proxy: StartProxy, pg: Postgres) -> None:
    """Every request succeeds while Postgres never has more than five connections."""
    proxy = start_proxy("--pool-size", "5")
    with Sampler(pg, proxy) as sampler:
        body = {"query": "SELECT pg_sleep(0.002)::text, $1::int AS v", "params": [7]}
        responses = await post_all(proxy, 64, 10, body)
    assert [response.status for response in responses] == [200] * 640
    assert all(response.body["rows"][0]["v"] == 7 for response in responses)
    assert sampler.most == 5
    assert sampler.samples > 20
    assert proxy.metric("sqlproxy_wait_seconds_count") == 640
    assert proxy.metric('sqlproxy_connections{state="in_use"}') == 0
    assert proxy.metric('sqlproxy_connections{state="idle"}') == 5


@pytest.mark.anyio
async def test_a_full_queue_gets_503_at_once_and_a_long_wait_at_the_timeout(start_proxy: StartProxy) -> None:
    """Each 503 has Retry-After, and reports that nothing was executed."""
    flags = ("--pool-size", "1", "--queue-length", "2", "--wait-timeout", "0.3")
    proxy = start_proxy(*flags)
    responses = await post_all(proxy, 8, 1, {"query": "SELECT pg_sleep(2)"})
    refused = [response for response in responses if response.status == 503]
    assert len(refused) == 7
    for response in refused:
        assert "\r\nretry-after: 1\r\n" in response.head
        assert (response.body["code"], response.body["executed"]) == ("53300", False)
    assert proxy.metric('sqlproxy_rejected_total{reason="queue_full"}') == 5
    assert proxy.metric('sqlproxy_rejected_total{reason="wait_timeout"}') == 2
    seconds = sorted(response.seconds for response in refused)
    assert seconds[4] < seconds[5]
    assert seconds[5] > 0.25


@pytest.mark.parametrize("state", ["running", "waiting"])
def test_a_disconnect_cancels_the_statement(
    start_proxy: StartProxy, admin: psycopg.Connection, threads: ThreadPoolExecutor, state: str
) -> None:
    """A running statement is cancelled and its connection becomes available; a waiting statement never starts."""
    proxy = start_proxy("--pool-size", "1")
    holder = threads.submit(proxy.sql, "SELECT pg_sleep(1)") if state == "waiting" else None
    if holder:
        eventually(lambda: running_statements(admin, proxy, "%pg_sleep(1)%"), "the holder runs")
    body = b'{"query":"SELECT pg_sleep(12)"}'
    head = f"POST /sql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\ncontent-length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", proxy.port)) as client:
        client.sendall(head.encode() + body)
        if holder:
            eventually(lambda: proxy.metric("sqlproxy_waiting_requests") == 1, "the request waits")
        else:
            eventually(lambda: running_statements(admin, proxy, "%pg_sleep(12)%"), "the statement runs")
    if holder:
        eventually(lambda: proxy.metric("sqlproxy_waiting_requests") == 0, "the request has left the queue")
        assert holder.result().status_code == 200
        assert running_statements(admin, proxy) == 0
    else:
        eventually(lambda: not running_statements(admin, proxy), "the statement is cancelled")
        eventually(lambda: proxy.metric('sqlproxy_connections{state="in_use"}') == 0, "the connection is available")
    ((pid,),) = proxy.rows("SELECT pg_backend_pid()")
    assert connections(admin, proxy) == 1
    assert pid
    assert proxy.metric('sqlproxy_requests_total{status="gone"}') == 1


def test_a_request_over_the_total_timeout_gets_504_and_is_cancelled(
    start_proxy: StartProxy, admin: psycopg.Connection
) -> None:
    """Each statement is fast, but all together exceed the timeout. The next request succeeds."""
    proxy = start_proxy("--total-timeout", "0.4", "--pool-size", "1")
    response = proxy.batch(*["SELECT pg_sleep(0.15)"] * 20)
    assert (response.status_code, response.json()["code"], response.json()["executed"]) == (504, "57014", None)
    eventually(lambda: not running_statements(admin, proxy), "the statement is cancelled")
    assert proxy.rows("SELECT 1") == [["1"]]


def test_a_killed_connection_has_an_unknown_outcome_and_is_replaced(
    proxy: Proxy, admin: psycopg.Connection, threads: ThreadPoolExecutor
) -> None:
    """A running statement gets 503 with an unknown outcome; a killed idle connection does not fail a request."""
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"
    future = threads.submit(proxy.sql, "SELECT pg_sleep(0.9)")
    eventually(lambda: running_statements(admin, proxy, "%pg_sleep%"), "the statement runs")
    admin.execute(kill, [proxy.name])
    response = future.result()
    assert (response.status_code, response.json()["code"], response.json()["executed"]) == (503, "08007", None)
    assert "retry-after" not in response.headers
    for _ in range(5):
        assert proxy.rows("SELECT 1") == [["1"]]
        admin.execute(kill, [proxy.name])


@pytest.mark.parametrize("fault", ["restart", "kill"])
def test_a_restart_of_postgres_fails_only_running_statements(
    start_proxy: StartProxy, pg: Postgres, threads: ThreadPoolExecutor, fault: str
) -> None:
    """At most the running statements fail, with an unknown outcome; all others wait for the restart."""
    proxy = start_proxy("--pool-size", "4", "--wait-timeout", "20")
    with psycopg.connect(pg.url(), autocommit=True) as admin:
        admin.execute("CREATE TABLE restarted (id text PRIMARY KEY)")
    stop = threading.Event()
    outcomes: dict[str, httpx.Response] = {}

    def load(number: int) -> None:
        with proxy.client() as client:
            for count in range(1_000_000):
                if stop.is_set():
                    return
                body = {"query": "INSERT INTO restarted VALUES ($1)", "params": [f"{number}-{count}"]}
                outcomes[body["params"][0]] = client.post("/sql", json=body)

    clients = [threads.submit(load, number) for number in range(8)]
    try:
        eventually(lambda: len(outcomes) > 100, "the load runs")
        if fault == "kill":
            pg.kill()
            pg.start()
        else:
            pg.restart()
        outcomes_before = len(outcomes)
        eventually(lambda: len(outcomes) > outcomes_before + 100, "the load continues")
    finally:
        stop.set()
    for client in clients:
        client.result()
    failed = {key: response for key, response in outcomes.items() if response.status_code != 200}
    assert {(response.status_code, response.json()["code"]) for response in failed.values()} <= {(503, "08007")}
    assert len(failed) <= 4
    with psycopg.connect(pg.url(), autocommit=True) as admin:
        stored = {row[0] for row in admin.execute("SELECT id FROM restarted")}
        admin.execute("DROP TABLE restarted")
    # The outcome of failed statements is unknown.
    assert outcomes.keys() - failed.keys() <= stored <= outcomes.keys()


def test_without_postgres_requests_get_503_and_are_not_executed(start_proxy: StartProxy, pg: Postgres) -> None:
    """`/health` succeeds and `/ready` fails. When Postgres is back, requests succeed without a restart of the proxy."""
    proxy = start_proxy("--wait-timeout", "0.3")
    assert proxy.rows("SELECT 1") == [["1"]]
    pg.stop()
    try:
        eventually(lambda: proxy.metric('sqlproxy_connections{state="idle"}') == 0, "the dead connection is detected")
        response = proxy.sql("SELECT 1")
        assert (response.status_code, response.json()["code"], response.json()["executed"]) == (503, "08001", False)
        assert response.headers["retry-after"] == "1"
        with proxy.client() as client:
            assert client.get("/health").status_code == 200
            assert client.get("/ready").status_code == 503
    finally:
        pg.start()
    assert eventually(lambda: proxy.sql("SELECT 1").status_code == 200, "the proxy recovers")
    with proxy.client() as client:
        assert client.get("/ready").status_code == 200
    assert len(proxy.events("database_unreachable")) == 1
    assert "<host>" in proxy.events("database_unreachable")[0]["cause"]
    assert len(proxy.events("database_reachable")) == 1


@pytest.fixture
def relayed(start_proxy: StartProxy, pg: Postgres) -> Iterator[tuple[Proxy, Relay]]:
    """Start a proxy with one connection, which goes through a relay."""
    with Relay(pg.port) as relay:
        flags = ("--pool-size", "1", "--total-timeout", "1", "--wait-timeout", "0.8")
        yield start_proxy(*flags, DATABASE_URL=relay.through(pg.url())), relay


def test_a_connection_cut_during_a_response_never_causes_a_success(relayed: tuple[Proxy, Relay]) -> None:
    """The outcome is unknown wherever the response is cut."""
    proxy, relay = relayed
    statuses = []
    for response_bytes_left in range(1, 200, 9):
        assert proxy.rows("SELECT 1") == [["1"]]
        eventually(lambda: proxy.metric('sqlproxy_connections{state="in_use"}') == 0, "the connection is idle")
        relay.response_bytes_left = response_bytes_left
        response = proxy.sql("SELECT 'the answer' AS column_name")
        statuses.append(response.status_code)
        if response.status_code == 200:
            break
        assert (response.status_code, response.json()["code"], response.json()["executed"]) == (503, "08007", None)
    assert statuses[-1] == 200
    assert len(statuses) > 5


def test_a_reset_connection_is_replaced(
    relayed: tuple[Proxy, Relay], threads: ThreadPoolExecutor, admin: psycopg.Connection
) -> None:
    """The reset of an idle connection does not fail a request; a running statement has an unknown outcome."""
    proxy, relay = relayed
    before = proxy.rows("SELECT pg_backend_pid()")
    relay.cut()
    assert proxy.rows("SELECT pg_backend_pid()") != before
    future = threads.submit(proxy.sql, "SELECT pg_sleep(0.9)")
    running = "SELECT 1 FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(0.9)'"
    eventually(lambda: admin.execute(running).fetchone(), "the statement runs")
    relay.cut()
    assert future.result().json()["code"] == "08007"
    assert proxy.rows("SELECT 1") == [["1"]]


@pytest.mark.parametrize("unread", ["fatal error", "part of a response"])
def test_a_reset_behind_unread_data_is_detected(
    relayed: tuple[Proxy, Relay], threads: ThreadPoolExecutor, admin: psycopg.Connection, unread: str
) -> None:
    """The event loop reports the reset only once. The request still gets its error before the timeout."""
    proxy, relay = relayed
    future = threads.submit(proxy.sql, "SELECT pg_sleep(0.4)")
    running = "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(0.4)' AND state = 'active'"
    row = eventually(lambda: admin.execute(running).fetchone(), "the statement runs")
    proxy.process.send_signal(signal.SIGSTOP)
    try:
        if unread == "fatal error":
            relay.resets = True
            admin.execute("SELECT pg_terminate_backend(%s)", row)
        else:
            relay.response_bytes_left = 20
        eventually(lambda: relay.connections == 0, "the reset is sent")
    finally:
        proxy.process.send_signal(signal.SIGCONT)
    response = future.result()
    assert (response.status_code, response.json()["code"], response.json()["executed"]) == (503, "08007", None)


def test_a_silent_network_causes_504_at_the_timeout(relayed: tuple[Proxy, Relay]) -> None:
    """Even the cancellation gets no response. The connection is closed, and replaced once Postgres responds."""
    proxy, relay = relayed
    assert proxy.rows("SELECT 1") == [["1"]]
    relay.frozen = True
    response = proxy.sql("SELECT 1")
    assert (response.status_code, response.json()["code"], response.json()["executed"]) == (504, "57014", None)
    assert proxy.sql("SELECT 1").json()["executed"] is False
    relay.frozen = False
    relay.cut()
    eventually(lambda: proxy.sql("SELECT 1").status_code == 200, "the proxy recovers")
