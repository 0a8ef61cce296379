"""Bounds on the time, memory and connections that a malicious client can take from a real proxy."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.contract.sqlproxy.harness import TOKEN, eventually, run_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.postgres import server
    from tests.contract.sqlproxy.harness import Proxy, StartProxy

TIMEOUT_SECONDS = 10
HEALTH = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
SELECT = b'{"query": "SELECT 1"}'
POST = f"POST /sql HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {TOKEN}\r\n".encode()
STATEMENT = POST + b"content-length: %d\r\n\r\n" % len(SELECT) + SELECT


@pytest.fixture(scope="module")
def strict_proxy(pg: server.Postgres) -> Iterator[Proxy]:
    """A proxy with short timeouts and small limits."""
    flags = ("--head-timeout", "0.4", "--head-limit", "2048", "--body-limit", "1000", "--total-timeout", "1")
    with run_proxy(pg, *flags, "--keep-alive", "1", "--pool-size", "2") as running:
        yield running


@contextlib.contextmanager
def connected(proxy: Proxy) -> Iterator[socket.socket]:
    """Connect to the proxy."""
    with socket.create_connection(("127.0.0.1", proxy.port), timeout=TIMEOUT_SECONDS) as client:
        yield client


def receive_all(client: socket.socket) -> bytes:
    """Return the bytes that the proxy sends until it closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionResetError):
        while part := client.recv(65536):
            received += part
    return received


def parse_refusal(response: bytes) -> tuple[int, dict[str, Any]]:
    """Return the status and the JSON body of a refusal, which must close the connection."""
    head, _, body = response.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    fields: dict[str, Any] = json.loads(body)
    assert fields["executed"] is False
    return int(head.split()[1]), fields


def is_served(client: socket.socket) -> bool:
    """Return whether a statement with the token gets 200 on this connection, which must not be closed."""
    client.sendall(STATEMENT)
    response = b""
    while not response.endswith(b"}"):
        part = client.recv(65536)
        assert part, "the connection was closed"
        response += part
    return response.startswith(b"HTTP/1.1 200")


def drip(client: socket.socket, data: bytes, seconds: float = 0.05) -> float:
    """Send single bytes until the connection is closed or all are sent; return the duration in seconds."""
    began = time.monotonic()
    with contextlib.suppress(OSError):
        for byte in data:
            client.sendall(bytes([byte]))
            time.sleep(seconds)
    return time.monotonic() - began


def still_serves(proxy: Proxy) -> bool:
    """Return whether a new client with the token gets 200."""
    return proxy.sql("SELECT 1").status_code == 200


@pytest.mark.parametrize("sent", [b"", b"GET /health HTTP/1.1\r\n"])
def test_an_incomplete_head_times_out(strict_proxy: Proxy, sent: bytes) -> None:
    """A silent connection is closed. A connection that stops within the head gets 408 first."""
    with connected(strict_proxy) as client:
        client.sendall(sent)
        began = time.monotonic()
        response = receive_all(client)
        assert 0.3 < time.monotonic() - began < 5
    assert not response if not sent else parse_refusal(response)[0] == 408


@pytest.mark.parametrize("reused", [False, True])
@pytest.mark.parametrize("sent", [HEALTH[:-2] + b"x-a: " + b"a" * 200, b"\r\n" * 200])
def test_a_slow_head_times_out(strict_proxy: Proxy, reused: bool, sent: bytes) -> None:
    """Single bytes do not extend the timeout (slowloris), on a new and on a reused connection."""
    with connected(strict_proxy) as client:
        if reused:
            assert is_served(client)
        assert drip(client, sent) < 5


def test_a_slow_body_times_out(strict_proxy: Proxy) -> None:
    """The request is refused at the total timeout, even if bytes arrive regularly."""
    with connected(strict_proxy) as client:
        client.sendall(POST + b"content-length: 900\r\n\r\n")
        assert drip(client, b" " * 900) < 5
    assert strict_proxy.metric('sqlproxy_rejected_total{reason="body_timeout"}') >= 1


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"a" * 4000 + b" HTTP/1.1\r\nhost: x\r\n\r\n",
        HEALTH[:-2] + b"x-a: " + b"a" * 4000 + b"\r\n\r\n",
        HEALTH[:-2] + b"x: y\r\n" * 500 + b"\r\n",
        HEALTH[:-2] + b"x-a: " + b"a" * 4000,
        POST + b"transfer-encoding: chunked\r\n\r\n0\r\nx-a: " + b"a" * 4000 + b"\r\n\r\n",
    ],
    ids=["target", "header", "many headers", "header without end", "trailer"],
)
def test_a_large_head_is_refused(strict_proxy: Proxy, sent: bytes) -> None:
    """The response is 431, even for an endless head or a large trailer; the connection is closed."""
    with connected(strict_proxy) as client:
        client.sendall(sent)
        status, fields = parse_refusal(receive_all(client))
    assert (status, fields["code"]) == (431, "54000")


def test_an_endless_trailer_is_refused(strict_proxy: Proxy) -> None:
    """The bytes of a trailer count toward the limit, although they are neither head nor body."""
    with connected(strict_proxy) as client, contextlib.suppress(ConnectionError):
        client.sendall(POST + b"transfer-encoding: chunked\r\n\r\n0\r\nx-a: ")
        sent = 0
        while sent < 10_000_000:
            sent += client.send(b"a" * 1000)
    assert sent < 5_000_000


def test_a_large_body_is_refused(strict_proxy: Proxy) -> None:
    """The response is 413, with content-length and with chunks."""
    chunk = b"3e8\r\n" + b" " * 1000 + b"\r\n"
    for framing in (b"content-length: 1001\r\n\r\n", b"transfer-encoding: chunked\r\n\r\n" + chunk * 2):
        with connected(strict_proxy) as client:
            client.sendall(POST + framing)
            assert parse_refusal(receive_all(client))[0] == 413


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        POST + b"content-length: -1\r\n\r\n",
        POST + b"content-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        POST + b"content-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        HEALTH[:-2] + b"x-\x00: a\r\n\r\n",
        HEALTH[:-2] + b" folded: a\r\n\r\n",
    ],
)
def test_invalid_http_is_refused(strict_proxy: Proxy, sent: bytes) -> None:
    """The response is a JSON 400, and the connection is closed, so that parsers cannot disagree (smuggling)."""
    with connected(strict_proxy) as client:
        client.sendall(sent)
        status, fields = parse_refusal(receive_all(client))
    assert (status, fields["code"]) == (400, "08P01")
    assert not [entry for entry in strict_proxy.events("request_rejected") if entry["logger"] != "sqlproxy"]


SMUGGLED = b"GET /health HTTP/1.1\r\nhost: smuggled\r\n\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ready HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: x\r\ncontent-length: %d\r\n\r\n",
        b"GET /ready HTTP/1.1\r\nhost: x\r\nconnection: close, Upgrade\r\nupgrade: h2c\r\ncontent-length: %d\r\n\r\n",
        b"POST /sql HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\ncontent-length: %d\r\n\r\n",
        b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n",
        b"GET /health HTTP/2.0\r\nhost: x\r\ncontent-length: %d\r\n\r\n",
        b"GET /health HTTP/0.9\r\nhost: x\r\ncontent-length: %d\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n%.0d",
    ],
    ids=["upgrade", "h2c", "websocket", "CONNECT", "HTTP/2.0", "HTTP/0.9", "preface"],
)
@pytest.mark.parametrize("pause", [0, 0.3], ids=["one packet", "two packets"])
def test_a_body_is_never_read_as_a_request(strict_proxy: Proxy, head: bytes, pause: float) -> None:
    """A request that switches the protocol or has another HTTP version is refused; its body gets no response."""
    with connected(strict_proxy) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.sendall(head % len(SMUGGLED) + (b"" if pause else SMUGGLED))
        time.sleep(pause)
        with contextlib.suppress(ConnectionError):
            client.sendall(SMUGGLED if pause else b"")
        status, fields = parse_refusal(receive_all(client))
    assert (status, fields["code"]) == (400, "08P01")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HEALTH, 200),
        (b"POST /sql HTTP/1.1\r\nhost: x\r\n\r\n", 401),
        (POST.replace(b"/sql", b"/nowhere") + b"\r\n", 404),
    ],
    ids=["health", "no token", "nowhere"],
)
@pytest.mark.parametrize(
    "framing", [b"content-length: 40\r\n", b"transfer-encoding: chunked\r\n"], ids=["length", "chunks"]
)
def test_an_early_response_ends_the_connection(strict_proxy: Proxy, head: bytes, status: int, framing: bytes) -> None:
    """The rest of the body may never arrive, and the next request must not be read as the body.

    The response has `connection: close`, because a reverse proxy that reused the connection would respond to another
    client with 502.
    """
    with connected(strict_proxy) as client:
        client.sendall(head[:-2] + b"expect: 100-continue\r\n" + framing + b"\r\n")
        response = receive_all(client)
    assert response.startswith(b"HTTP/1.1 %d" % status)
    assert b"connection: close" in response
    assert response.count(b"HTTP/1.1") == 1


def test_a_refusal_does_not_replace_a_pending_response(strict_proxy: Proxy) -> None:
    """Invalid bytes during a statement close the connection: a response with "executed": false would be wrong."""
    body = json.dumps({"query": "SELECT pg_sleep(0.5)", "params": []}).encode()
    with connected(strict_proxy) as client:
        client.sendall(POST + b"content-length: %d\r\n\r\n" % len(body) + body + b"nonsense\r\n\r\n")
        assert receive_all(client) == b""


def test_too_many_pipelined_requests_close_the_connection(strict_proxy: Proxy) -> None:
    """Ten pipelined requests are served. Of 5,000, fewer than 100 get a response, and the connection is closed."""
    with connected(strict_proxy) as client:
        client.sendall(STATEMENT * 10)
        received = b""
        while received.count(b"HTTP/1.1 200") < 10:
            received += client.recv(65536)
    with connected(strict_proxy) as client:
        with contextlib.suppress(ConnectionError):
            client.sendall(STATEMENT * 5000)
        assert receive_all(client).count(b"HTTP/1.1 200") < 100
    assert still_serves(strict_proxy)


def test_a_connection_beyond_the_limit_is_refused(start_proxy: StartProxy) -> None:
    """The connection gets 503 at once. Existing connections continue, and the end of one allows a new one."""
    proxy = start_proxy("--max-connections", "2")
    with connected(proxy) as honest:
        with connected(proxy) as second:
            assert is_served(honest)
            assert is_served(second)
            with connected(proxy) as client:
                response = receive_all(client)
            assert parse_refusal(response)[0] == 503
            assert b"retry-after: 1" in response
        assert is_served(honest)
        eventually(lambda: still_serves(proxy), "a connection is allowed")
        assert proxy.metric('sqlproxy_rejected_total{reason="too_many_connections"}') >= 1


@pytest.fixture(scope="module")
def small_proxy(pg: server.Postgres) -> Iterator[Proxy]:
    """A proxy with at most eight connections, of which a quarter may be without a token."""
    with run_proxy(pg, "--max-connections", "8", "--pool-size", "2") as running:
        yield running


@pytest.mark.parametrize("sent", [b"", HEALTH[:-2]], ids=["silent", "in the head"])
def test_connections_without_a_token_do_not_block_clients(small_proxy: Proxy, sent: bytes) -> None:
    """A new connection replaces the oldest one without a token. `/health` and `/ready` need no token."""
    with contextlib.ExitStack() as stack:
        honest = stack.enter_context(connected(small_proxy))
        assert is_served(honest)
        for _ in range(30):
            stack.enter_context(connected(small_proxy)).sendall(sent)
        assert still_serves(small_proxy)
        assert is_served(honest)
        for path in ("/health", "/ready"):
            assert httpx.get(small_proxy.url + path).status_code == 200
        late = stack.enter_context(connected(small_proxy))
        for _ in range(7):
            stack.enter_context(connected(small_proxy)).sendall(sent)
        # Of the connections without a token, `late` is now the oldest.
        stack.enter_context(connected(small_proxy))
        assert parse_refusal(receive_all(late))[0] == 503
        assert is_served(honest)


def test_connections_without_a_token_are_limited(small_proxy: Proxy) -> None:
    """Two of eight connections may be without a token. A further one closes the oldest if that is over a second old."""
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(connected(small_proxy)) for _ in range(3)]
        time.sleep(1.2)
        stack.enter_context(connected(small_proxy))
        assert parse_refusal(receive_all(clients[0]))[0] == 503
        assert is_served(clients[2])


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_health_and_ready_close_the_connection(small_proxy: Proxy, path: str) -> None:
    """The header `connection: close` tells the client or reverse proxy not to send another request."""
    with connected(small_proxy) as client:
        client.sendall(HEALTH.replace(b"/health", path.encode()))
        response = receive_all(client)
    assert response.startswith(b"HTTP/1.1 200")
    assert b"\r\nconnection: close\r\n" in response


@pytest.mark.parametrize("ending", [b"", b"connection: close\r\n"])
def test_an_unread_response_times_out(start_proxy: StartProxy, ending: bytes) -> None:
    """After the total timeout the connection is closed, and a new one is allowed."""
    proxy = start_proxy("--total-timeout", "2", "--max-connections", "1")
    body = json.dumps({"query": "SELECT repeat('x', 9000000)", "params": []}).encode()
    with connected(proxy) as client:
        client.sendall(POST + ending + b"content-length: %d\r\n\r\n" % len(body) + body)
        assert client.recv(100).startswith(b"HTTP/1.1 200")
        assert not still_serves(proxy)
        eventually(lambda: still_serves(proxy), "a connection is allowed")


def test_many_refusals_cause_few_log_lines(strict_proxy: Proxy) -> None:
    """200 refusals cause fewer than 20 log lines, so an attack does not fill the disk."""
    before = len(strict_proxy.lines)
    for _ in range(200):
        with connected(strict_proxy) as client:
            client.sendall(b"nonsense\r\n\r\n")
            receive_all(client)
    assert len(strict_proxy.lines) - before < 20
    assert still_serves(strict_proxy)
