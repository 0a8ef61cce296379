"""A fake mail provider or webhook receiver that can inject faults."""

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.e2e.relay import Exchange, Relay, hang, reset_before_delivery, respond_with


@dataclass
class Delivered:
    """A request that the receiver accepted; its response may have been lost.

    Args:
        headers: the request's headers, with names in lower case.
        content: the request's parsed JSON body.
    """

    headers: dict[str, str]
    content: dict[str, Any]


@dataclass
class Receiver:
    """A receiver on a local port, and the requests that it accepted."""

    relay: Relay = field(default_factory=lambda: Relay(0))
    accepted: list[Delivered] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def keys(self, header: str) -> list[str]:
        """Return the value of a header for each accepted request."""
        with self._lock:
            return [each.headers[header] for each in self.accepted]

    def accept(self, exchange: Exchange) -> None:
        """Record the request, and respond with success."""
        self._record(exchange)
        exchange.respond("200 OK", b'{"id":"1"}', "content-type: application/json")

    def accept_with_an_incomplete_response(self, exchange: Exchange) -> None:
        """Record the request, and respond 200 with half of a 4 MiB body, the rest of which never arrives."""
        self._record(exchange)
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 4194304\r\n\r\n"
        with contextlib.suppress(ConnectionError):
            exchange.client.sendall(head + b" " * 2**21)
            exchange.client.recv(1)

    def accept_without_a_response(self, exchange: Exchange) -> None:
        """Record the request, and reset the connection without a response."""
        self._record(exchange)
        exchange.reset()

    def faults(self) -> dict[str, Callable[[Exchange], None]]:
        """Return the faults that the receiver can inject, by name."""
        return {
            "refused": reset_before_delivery,
            "no response": hang,
            "500": respond_with(500),
            "429": lambda exchange: exchange.respond("429 Too Many Requests", b"", "retry-after: 1"),
            "accepted, response lost": self.accept_without_a_response,
        }

    def _record(self, exchange: Exchange) -> None:
        head, _, body = exchange.request.partition(b"\r\n\r\n")
        pairs = (line.split(":", 1) for line in head.decode().split("\r\n")[1:])
        headers = {name.lower(): value.strip() for name, value in pairs}
        with self._lock:
            self.accepted.append(Delivered(headers, json.loads(body)))


@contextlib.contextmanager
def receiving(outcomes: Callable[[Receiver], Iterator[Callable[[Exchange], None]]] | None = None) -> Iterator[Receiver]:
    """Run a receiver.

    Args:
        outcomes: takes the receiver, and returns an iterator over the outcomes of its requests; by default all
            requests succeed.
    """
    receiver = Receiver()
    receiver.relay.faults = outcomes(receiver) if outcomes else iter(lambda: receiver.accept, None)
    receiver.relay.open()
    try:
        yield receiver
    finally:
        receiver.relay.close()
