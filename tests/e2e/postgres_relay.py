"""A relay between the Hyperdrive binding and Postgres that injects faults; each connection carries one statement."""

import contextlib
import random
import select
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# The last message of a statement (Sync), and the beginning of the last message of its response (ReadyForQuery).
SYNC = b"S\x00\x00\x00\x04"
READY = b"Z\x00\x00\x00\x05"


@dataclass
class Connection:
    """A connection of the Worker (`client`), and the connection to Postgres to which it is relayed (`server`)."""

    client: socket.socket
    server: socket.socket

    def relay(self, until: bytes = b"") -> bytes:
        """Forward in both directions until data from the Worker ends with `until`.

        Returns:
            The data that ends with `until`, which is not forwarded, or b"" if a connection was closed.
        """
        while True:
            readable, _, _ = select.select([self.client, self.server], [], [])
            if self.server in readable:
                if not (data := self.server.recv(65536)):
                    return b""
                self.client.sendall(data)
            if self.client in readable:
                data = self.client.recv(65536)
                if not data or (until and data.endswith(until)):
                    return data
                self.server.sendall(data)

    def deliver(self) -> bytes:
        """Relay until a statement is delivered; return its response without sending it to the Worker."""
        self.server.sendall(self.relay(SYNC))
        response = b""
        while READY not in response and (data := self.server.recv(65536)):
            response += data
        return response

    def reset(self) -> None:
        """Make the connection close with RST, as after a crash."""
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


Fault = Callable[[Connection], None]


def forward(connection: Connection) -> None:
    """Forward all bytes in both directions."""
    connection.relay()


def delay(connection: Connection) -> None:
    """Deliver the statement and send the response after 0.3 s."""
    response = connection.deliver()
    time.sleep(0.3)
    connection.client.sendall(response)
    connection.relay()


def reset_at_once(connection: Connection) -> None:
    """Accept the connection and reset it."""
    connection.reset()


def reset_in_the_handshake(connection: Connection) -> None:
    """Reset the connection after the Worker's first bytes."""
    connection.client.recv(65536)
    connection.reset()


def reset_before_delivery(connection: Connection) -> None:
    """Reset the connection before the statement is complete, so that Postgres does not commit it."""
    connection.relay(SYNC)
    connection.reset()


def close_after_delivery(connection: Connection) -> None:
    """Deliver the statement and close the connection without a response."""
    connection.deliver()


def reset_after_delivery(connection: Connection) -> None:
    """Deliver the statement and reset the connection without a response."""
    connection.deliver()
    connection.reset()


def truncate_response(connection: Connection) -> None:
    """Deliver the statement and close the connection after half of the response."""
    response = connection.deliver()
    connection.client.sendall(response[: len(response) // 2])


def send_garbage(connection: Connection) -> None:
    """Deliver the statement and respond with bytes that are not valid in Postgres' protocol."""
    connection.deliver()
    connection.client.sendall(b"\x00\xff\xfe SSH-2.0 nonsense\r\n\r\n")


def hang(connection: Connection) -> None:
    """Deliver the statement and never respond."""
    connection.deliver()
    connection.client.settimeout(30)
    connection.client.recv(1)  # returns when the Worker closes the connection


FAULTS: tuple[Fault, ...] = (
    *(delay, reset_at_once, reset_in_the_handshake, reset_before_delivery),
    *(close_after_delivery, reset_after_delivery, truncate_response, send_garbage, hang),
)


@dataclass
class PostgresRelay:
    """A server that forwards each connection to Postgres, or applies a fault to it.

    Attributes:
        draw: the random generator that chooses the faults.
        port: the port on which the server listens.
        share: the share of connections with a fault.
        counts: the number of occurrences of each fault.
    """

    draw: random.Random
    port: int = 0
    share: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    _target: int = 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Accept connections until the block ends."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
            try:
                yield
            finally:
                # close() alone would leave the thread in accept(), which keeps the port open.
                listener.shutdown(socket.SHUT_RDWR)

    def through(self, url: str) -> str:
        """Set the Postgres server to relay to; return its connection string with the relay's port."""
        self._target = urlsplit(url).port or 0
        return url.replace(f":{self._target}/", f":{self.port}/")

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                fault = self.draw.choice(FAULTS) if self.draw.random() < self.share else forward
                if fault is not forward:
                    self.counts[fault.__name__] += 1
                threading.Thread(target=self._serve, args=(client, fault), daemon=True).start()

    def _serve(self, client: socket.socket, fault: Fault) -> None:
        with contextlib.suppress(OSError), client, socket.create_connection(("127.0.0.1", self._target)) as server:
            for each in (client, server):
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            fault(Connection(client, server))
