"""A relay between the Worker and sqlproxy that does to an HTTP exchange what networks and proxies do to one."""

import contextlib
import itertools
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Fault = Callable[["Exchange"], None]

_HTML = b"<html>a page of somebody else's</html>"


@dataclass
class Exchange:
    """One connection of the Worker's, whose request has been read.

    Args:
        client: the connection.
        request: the bytes of head and body.
        upstream: the port of the real proxy.
    """

    client: socket.socket
    request: bytes
    upstream: int

    def forward(self) -> bytes:
        """Deliver the request, and return the whole answer."""
        with socket.create_connection(("127.0.0.1", self.upstream)) as server:
            server.sendall(self.request)
            return receive(server)

    def answer(self, status: str, body: bytes = b"", *headers: str) -> None:
        """Answer without asking anybody."""
        head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", "connection: close", *headers, "", ""]
        self.client.sendall("\r\n".join(head).encode() + body)

    def reset(self) -> None:
        """End the connection with RST, as a crash does."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def receive(connection: socket.socket) -> bytes:
    """Read one HTTP message: the head, and as much body as content-length says."""
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


def passed(exchange: Exchange) -> None:
    """Do nothing to it."""
    exchange.client.sendall(exchange.forward())


def delayed(exchange: Exchange) -> None:
    """Deliver it late."""
    time.sleep(0.3)
    passed(exchange)


def never_answered(exchange: Exchange) -> None:
    """Take the request, and say nothing."""
    with contextlib.suppress(OSError):
        exchange.client.settimeout(30)
        exchange.client.recv(1)  # returns when the Worker has given up


def reset_before(exchange: Exchange) -> None:
    """Crash before it is delivered."""
    exchange.reset()


def dropped_after_delivery(exchange: Exchange) -> None:
    """Deliver it, and lose the answer."""
    exchange.forward()


def reset_after_delivery(exchange: Exchange) -> None:
    """Deliver it, and crash."""
    exchange.forward()
    exchange.reset()


def cut_in_the_answer(exchange: Exchange) -> None:
    """Deliver it, and send half of the answer."""
    answer = exchange.forward()
    exchange.client.sendall(answer[: len(answer) - 20])


def half_json(exchange: Exchange) -> None:
    """Deliver it, and answer with a whole HTTP message whose JSON is cut."""
    body = exchange.forward().partition(b"\r\n\r\n")[2]
    exchange.answer("200 OK", body[: len(body) // 2], "content-type: application/json")


def replaced_by_502(exchange: Exchange) -> None:
    """Deliver it, and put an error of a gateway in the answer's place."""
    exchange.forward()
    exchange.answer("502 Bad Gateway", _HTML, "content-type: text/html")


def garbage(exchange: Exchange) -> None:
    """Answer with what is not HTTP."""
    exchange.client.sendall(b"\x00\xff\xfe SSH-2.0 nonsense\r\n\r\n")


def dripped(exchange: Exchange) -> None:
    """Answer for ever, a byte at a time."""
    exchange.client.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n")
    with contextlib.suppress(OSError):
        for _ in range(300):
            exchange.client.sendall(b"1\r\n \r\n")
            time.sleep(0.05)


def wrong_type(exchange: Exchange) -> None:
    """Answer 200 with somebody else's page."""
    exchange.answer("200 OK", _HTML, "content-type: text/html")


def redirected(exchange: Exchange) -> None:
    """Send it elsewhere."""
    exchange.answer("307 Temporary Redirect", b"", "location: /elsewhere")


def status(code: int, body: bytes = b"") -> Fault:
    """Answer with a status, without delivering it."""

    def answered(exchange: Exchange) -> None:
        exchange.answer(f"{code} Status", body, "content-type: text/html")

    answered.__doc__ = f"Answer {code} {'with a page' if body else 'without a body'}, and do not deliver it."
    return answered


# Those after which the statement was carried out although the Worker heard nothing of it.
DELIVERED = ("dropped after delivery", "reset after delivery", "cut in the answer", "half JSON", "replaced by 502")
FAULTS: dict[str, Fault | None] = {
    "connection refused": None,
    "delayed by 0.3 s": delayed,
    "never answered": never_answered,
    "reset before delivery": reset_before,
    "dropped after delivery": dropped_after_delivery,
    "reset after delivery": reset_after_delivery,
    "cut in the answer": cut_in_the_answer,
    "half JSON": half_json,
    "replaced by 502": replaced_by_502,
    **{f"{code} without a body": status(code) for code in (500, 502, 503, 504)},
    **{f"{code} with a page": status(code, _HTML) for code in (500, 502, 503, 504)},
    "garbage": garbage,
    "an endless drip": dripped,
    "200 with a page": wrong_type,
    "a redirect": redirected,
}


@dataclass
class Relay:
    """Listens on a port of its own, and does to each exchange the next of its faults, if there is one."""

    upstream: int
    port: int = 0
    faults: Iterator[Fault] = field(default_factory=lambda: iter(()))
    paths: list[bytes] = field(default_factory=list)
    _listener: socket.socket | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def inject(self, fault: Fault | None, times: int) -> None:
        """Do this to the next exchanges; None refuses connections until `heal`."""
        if fault is None:
            self.close()
        else:
            self.faults = itertools.repeat(fault, times)

    def heal(self) -> None:
        """Hand everything on again."""
        self.faults = iter(())
        if self._listener is None:
            self.open()

    def open(self) -> None:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # Closing alone would leave the thread in accept, and the port open with it.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            # One exchange a connection: each is met by the fault, or by none.
            request = receive(client)
            self.paths.append(request.split(b" ", 2)[1] if request else b"")
            with self._lock:
                fault = next(self.faults, passed)
            head, _, body = request.partition(b"\r\n\r\n")
            exchange = Exchange(client, head + b"\r\nconnection: close\r\n\r\n" + body, self.upstream)
            fault(exchange)


@contextlib.contextmanager
def relaying(upstream: int) -> Iterator[Relay]:
    """Run a relay to a port of this machine."""
    relay = Relay(upstream)
    relay.open()
    try:
        yield relay
    finally:
        relay.close()
