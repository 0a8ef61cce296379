"""A relay for the HTTP requests of the Worker that injects network and gateway faults."""

import contextlib
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Fault = Callable[["Exchange"], None]

_HTML = b"<html>the page of a gateway</html>"


@dataclass
class Exchange:
    """One connection of the Worker, whose request has been read.

    Args:
        client: the Worker's connection.
        request: the bytes of the request's head and body.
        upstream: the port of sqlproxy.
    """

    client: socket.socket
    request: bytes
    upstream: int

    def forward(self) -> bytes:
        """Deliver the request and return the whole response."""
        with socket.create_connection(("127.0.0.1", self.upstream)) as server:
            server.sendall(self.request)
            return receive(server)

    def respond(self, status: str, body: bytes = b"", *headers: str) -> None:
        """Respond instead of the server."""
        head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers, "", ""]
        self.client.sendall("\r\n".join(head).encode() + body)

    def reset(self) -> None:
        """Make the connection close with RST, as after a crash."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def receive(connection: socket.socket) -> bytes:
    """Read one HTTP message: the head, and the body up to its content-length."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            return data
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    missing = int(lengths[0]) - len(body) if lengths else 0
    while missing > 0 and (more := connection.recv(65536)):
        data += more
        missing -= len(more)
    return data


def forward(exchange: Exchange) -> None:
    """Deliver the request and its response."""
    exchange.client.sendall(exchange.forward())


def delay(exchange: Exchange) -> None:
    """Deliver the request after 0.3 s."""
    time.sleep(0.3)
    forward(exchange)


def hang(exchange: Exchange) -> None:
    """Neither deliver the request nor respond."""
    with contextlib.suppress(OSError):
        exchange.client.settimeout(30)
        exchange.client.recv(1)  # returns when the Worker closes the connection


def reset_before_delivery(exchange: Exchange) -> None:
    """Reset the connection before the request is delivered."""
    exchange.reset()


def close_after_delivery(exchange: Exchange) -> None:
    """Deliver the request and close the connection without a response."""
    exchange.forward()


def reset_after_delivery(exchange: Exchange) -> None:
    """Deliver the request and reset the connection without a response."""
    exchange.forward()
    exchange.reset()


def truncate_response(exchange: Exchange) -> None:
    """Deliver the request and send an incomplete response."""
    response = exchange.forward()
    exchange.client.sendall(response[: len(response) - 20])


def truncate_json(exchange: Exchange) -> None:
    """Deliver the request and send a complete HTTP message with truncated JSON."""
    body = exchange.forward().partition(b"\r\n\r\n")[2]
    exchange.respond("200 OK", body[: len(body) // 2], "content-type: application/json")


def replace_with_502(exchange: Exchange) -> None:
    """Deliver the request and replace the response with a gateway error."""
    exchange.forward()
    exchange.respond("502 Bad Gateway", _HTML, "content-type: text/html")


def send_garbage(exchange: Exchange) -> None:
    """Respond with bytes that are not HTTP."""
    exchange.client.sendall(b"\x00\xff\xfe SSH-2.0 nonsense\r\n\r\n")


def drip(exchange: Exchange) -> None:
    """Send chunks of one byte for 15 s, without a last chunk."""
    exchange.client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(300):
            exchange.client.sendall(b"1\r\n \r\n")
            time.sleep(0.05)


def send_page(exchange: Exchange) -> None:
    """Respond 200 with HTML."""
    exchange.respond("200 OK", _HTML, "content-type: text/html")


def redirect(exchange: Exchange) -> None:
    """Respond with a redirect."""
    exchange.respond("307 Temporary Redirect", b"", "location: /elsewhere")


def respond_with(code: int, body: bytes = b"") -> Fault:
    """Return a fault that responds with a status and does not deliver the request."""

    def respond(exchange: Exchange) -> None:
        exchange.respond(f"{code} Status", body, "content-type: text/html")

    return respond


# Faults after which the statement was executed although the Worker received no valid response.
DELIVERED = (
    "closed after delivery",
    "reset after delivery",
    "truncated response",
    "truncated JSON",
    "replaced with 502",
)
FAULTS: dict[str, Fault | None] = {
    "connection refused": None,
    "delayed by 0.3 s": delay,
    "no response": hang,
    "reset before delivery": reset_before_delivery,
    "closed after delivery": close_after_delivery,
    "reset after delivery": reset_after_delivery,
    "truncated response": truncate_response,
    "truncated JSON": truncate_json,
    "replaced with 502": replace_with_502,
    **{f"{code} without a body": respond_with(code) for code in (500, 502, 503, 504)},
    **{f"{code} with HTML": respond_with(code, _HTML) for code in (500, 502, 503, 504)},
    "garbage": send_garbage,
    "endless response": drip,
    "200 with HTML": send_page,
    "redirect": redirect,
}


@dataclass
class Relay:
    """A server that applies its next fault to each exchange, and forwards exchanges when no fault is left."""

    upstream: int
    port: int = 0
    faults: Iterator[Fault] = field(default_factory=lambda: iter(()))
    paths: list[bytes] = field(default_factory=list)
    _listener: socket.socket | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def inject(self, fault: Fault | None, times: int) -> None:
        """Apply a fault to the next `times` exchanges; None refuses connections until `heal` is called."""
        if fault is None:
            self.close()
        else:
            self.faults = itertools.repeat(fault, times)

    def heal(self) -> None:
        """Forward every exchange again."""
        self.faults = iter(())
        if self._listener is None:
            self.open()

    def open(self) -> None:
        """Start listening."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # close() alone would leave the thread in accept(), which keeps the port open.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            # Serve one exchange per connection, so that each fault affects exactly one exchange.
            request = receive(client)
            self.paths.append(request.split(b" ", 2)[1] if request else b"")
            with self._lock:
                fault = next(self.faults, forward)
            head, _, body = request.partition(b"\r\n\r\n")
            exchange = Exchange(client, head + b"\r\nconnection: close\r\n\r\n" + body, self.upstream)
            fault(exchange)


@contextlib.contextmanager
def relaying(upstream: int) -> Iterator[Relay]:
    """Run a relay to a local port."""
    relay = Relay(upstream)
    relay.open()
    try:
        yield relay
    finally:
        relay.close()
