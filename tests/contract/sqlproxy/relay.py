"""A TCP relay for connections to Postgres. A test can delay their data, freeze them, or cut them in a response."""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from collections import deque
from typing import Self

_RESET = struct.pack("ii", 1, 0)


class Relay:
    """A thread that forwards TCP connections to a port on 127.0.0.1.

    Args:
        target: the port to forward to.
        delay: seconds by which data from the client is delayed. Responses and the end of a connection are not delayed.

    Attributes:
        port: the port on which the relay listens.
        frozen: whether the relay stops forwarding, with all connections open.
        resets: whether the end of one side of a connection resets the other side.
        refused: bytes that close the connection of a client that sends them, or None.
        response_bytes_left: number of response bytes to forward before all connections are reset; None for no limit.
    """

    def __init__(self, target: int, delay: float = 0.0) -> None:
        self._target = target
        self._delay = delay
        # The pieces of delayed data, each with the time to send it and the receiving socket.
        self._delayed: deque[tuple[float, socket.socket, bytes]] = deque()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.frozen = False
        self.resets = False
        self.refused: bytes | None = None
        self.response_bytes_left: int | None = None
        self._peers: dict[socket.socket, tuple[socket.socket, bool]] = {}
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._stopping = threading.Event()
        self._cut = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._reset()
        self._listener.close()
        self._selector.close()

    @property
    def connections(self) -> int:
        """The number of connections from clients."""
        return len(self._peers) // 2

    def through(self, url: str) -> str:
        """Return the target's connection string with the relay's port."""
        return url.replace(f":{self._target}/", f":{self.port}/")

    def cut(self) -> None:
        """Reset every connection (RST), as a restarted router does, and wait until that is done."""
        self._cut.set()
        while self._cut.is_set():
            self._stopping.wait(0.001)

    def _run(self) -> None:
        while not self._stopping.is_set():
            for key, _ in self._selector.select(self._seconds_to_wait()):
                if isinstance(key.fileobj, socket.socket):
                    self._serve(key.fileobj)
            while self._delayed and self._delayed[0][0] <= time.monotonic():
                _, peer, data = self._delayed.popleft()
                if peer in self._peers:
                    self._send(peer, data)
            if self._cut.is_set():
                self._reset()
                self._cut.clear()
            if self.frozen:
                self._stopping.wait(0.01)

    def _seconds_to_wait(self) -> float:
        due = self._delayed[0][0] - time.monotonic() if self._delayed else 0.01
        return min(max(due, 0.0), 0.01)

    def _serve(self, readable: socket.socket) -> None:
        if readable is self._listener:
            self._accept()
        elif not self.frozen and readable in self._peers:
            try:
                data = readable.recv(65_536)
            except ConnectionResetError:
                # For example, a server process ended before it read a message.
                data = b""
            self._forward(readable, data)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._target))
        for endpoint, peer, is_server in ((client, server, False), (server, client, True)):
            endpoint.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._peers[endpoint] = (peer, is_server)
            self._selector.register(endpoint, selectors.EVENT_READ)

    def _forward(self, sender: socket.socket, data: bytes) -> None:
        peer, from_server = self._peers[sender]
        if not from_server and self.refused is not None and self.refused in data:
            self._forget(sender, peer)
            return
        if not data:
            if self.resets:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._forget(sender, peer)
            return
        if from_server and self.response_bytes_left is not None:
            data = data[: self.response_bytes_left]
            self.response_bytes_left -= len(data)
        if from_server or not self._delay:
            self._send(peer, data)
        else:
            self._delayed.append((time.monotonic() + self._delay, peer, data))
        if self.response_bytes_left == 0:
            self.response_bytes_left = None
            self._reset()

    def _send(self, receiver: socket.socket, data: bytes) -> None:
        try:
            receiver.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            self._forget(receiver, self._peers[receiver][0])

    def _reset(self) -> None:
        for endpoint in list(self._peers):
            endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._forget(*self._peers)

    def _forget(self, *sockets: socket.socket) -> None:
        for endpoint in sockets:
            self._selector.unregister(endpoint)
            del self._peers[endpoint]
            endpoint.close()
