"""Attackers without a token who try to desynchronise sqlproxy or a reverse proxy (request smuggling).

Each attack is a request with a body that could be read as the next request.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator

__all__ = ["ATTACKS", "Attack", "Attackers"]

# Seconds to wait: between head and body, for a response, and for further bytes.
GAPS = (0.0, 0.005, 0.012)
WAIT = 0.2
AFTER = 0.02

_SWITCHES = {
    "upgrade": b"connection: upgrade\r\nupgrade: x\r\n",
    "h2c": b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
    "websocket": b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    "two headers": b"connection: keep-alive\r\nconnection: Upgrade\r\nupgrade: h2c, websocket\r\n",
}
_SMUGGLED = {
    # Each response takes a round trip to Postgres, during which a reverse proxy may reuse the connection.
    "requests": b"GET /ready HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n" * 3,
    "a statement": b'POST /sql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 13\r\n\r\n{"query":"x"}',
    # After these, the next client's request would be read as a header or as the body.
    "half a head": b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\nx-a: ",
    "a head": b"POST /sql HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 400\r\n\r\n",
}


@dataclass(frozen=True)
class Attack:
    """A request whose body could be read as the next request.

    Args:
        name: the name in messages.
        head: the head of the request.
        body: bytes that could be read as another request.
        most: the maximum number of responses; above 1 if a reverse proxy may read the body as further requests.
    """

    name: str
    head: bytes
    body: bytes
    most: int = 1


def _attacks() -> Iterator[Attack]:
    for title, body in _SMUGGLED.items():
        chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        length = b"content-length: %d\r\n\r\n" % len(body)
        for name, switch in _SWITCHES.items():
            yield Attack(f"{name}, {title}", b"GET /ready HTTP/1.1\r\nhost: 127.0.0.1\r\n" + switch + length, body)
        yield Attack(
            f"statement, {title}", b"POST /sql HTTP/1.1\r\nhost: 127.0.0.1\r\n" + _SWITCHES["upgrade"] + length, body
        )
        yield Attack(
            f"upgrade in chunks, {title}",
            b"GET /ready HTTP/1.1\r\nhost: 127.0.0.1\r\n"
            + _SWITCHES["upgrade"]
            + b"transfer-encoding: chunked\r\n\r\n",
            chunked,
        )
        yield Attack(f"CONNECT, {title}", b"CONNECT x:80 HTTP/1.1\r\nhost: 127.0.0.1\r\n" + length, body)
        two_lengths = (
            b"GET /ready HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\ncontent-length: %d\r\n\r\n"
        )
        yield Attack(f"length of chunks, {title}", two_lengths % len(chunked), chunked)
        yield Attack(f"length beyond chunks, {title}", two_lengths % (len(body) + 5), b"0\r\n\r\n" + body, most=4)
        yield Attack(
            f"awaited, {title}", b"GET /ready HTTP/1.1\r\nhost: 127.0.0.1\r\nexpect: 100-continue\r\n" + length, body
        )


ATTACKS = (*_attacks(),)


@dataclass
class Attackers:
    """Threads that attack a port of 127.0.0.1 until they are stopped.

    Args:
        port: the port of sqlproxy or of a reverse proxy.
        number: the number of threads.
        tls: the TLS context; None for plain HTTP.
        attacks: the number of attacks by name.
        wrong: attacks that got too many responses, or the rows of another client.
    """

    port: int
    number: int = 8
    tls: ssl.SSLContext | None = None
    attacks: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    _stopping: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Attack until the block ends."""
        threads = [threading.Thread(target=self._attack, args=[each]) for each in range(self.number)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()

    def _attack(self, first: int) -> None:
        connection: socket.socket | None = None
        for number in itertools.count(first, self.number):
            if self._stopping.is_set():
                break
            attack, gap = ATTACKS[number % len(ATTACKS)], GAPS[number // len(ATTACKS) % len(GAPS)]
            received = b""
            try:
                connection = connection or self._connect()
                connection.sendall(attack.head + (b"" if gap else attack.body))
                time.sleep(gap)
                connection.sendall(attack.body if gap else b"")
                received = _receive(connection)
            except OSError:
                received += b"connection: close"
            self.attacks[attack.name] += 1
            count = received.count(b"HTTP/1.1 ") - received.count(b"HTTP/1.1 100 ")
            if count > attack.most or b'"rows"' in received:
                self.wrong.append(f"{attack}, {gap} s: {received!r}")
            is_over = count != 1 or attack.most > 1 or b"connection: close" in received.lower()
            if connection is not None and is_over:
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _connect(self) -> socket.socket:
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.tls is None:
            return connection
        return self.tls.wrap_socket(connection, server_hostname="127.0.0.1")


def _receive(connection: socket.socket) -> bytes:
    """Return the bytes received until a pause. At the end of the connection, append `connection: close`."""
    received = b""
    connection.settimeout(WAIT)
    with contextlib.suppress(TimeoutError):
        while part := connection.recv(65536):
            received += part
            connection.settimeout(AFTER)
        received += b"connection: close"
    return received
