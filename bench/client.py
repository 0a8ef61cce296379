"""A fast HTTP/1.1 client, so that the clients are not the bottleneck of a measurement.

Each connection sends prepared bytes, one request at a time, and parses responses with llhttp. `bench.proxies`
reports the share of a core that its clients used.
"""

import asyncio
import itertools
from hashlib import blake2b
from http import HTTPStatus
from typing import cast

import httptools

# The digest of an idempotency key has this many hexadecimal digits.
KEY_LENGTH = 64
# Serial numbers that make the addresses of a run unique.
NUMBERS = itertools.count()


def address(number: int) -> str:
    """Return the e-mail address for a serial number. Its local part is a hash of the number, of constant length."""
    return f"{blake2b(number.to_bytes(8, 'big'), digest_size=10).hexdigest()}@example.com"


class Endpoint:
    """A server to which sign-ups are posted, with a prepared request in which only the address and the key change.

    Args:
        port: the port on 127.0.0.1.
        pid: the server's process id.
        head: the request line and the headers, without Host and Content-Length.
        body: the body, with the placeholder `{email}`, and optionally `{key}` for the digest of an idempotency key.
        status: the expected status of each response.
    """

    def __init__(self, port: int, pid: int, head: str, body: str, status: int = HTTPStatus.OK) -> None:
        self.port, self.pid, self.status = port, pid, status
        self._body = body.encode()
        size = len(self._fill(address(0)))
        self._head = f"{head}\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {size}\r\n\r\n".encode()

    def request(self, email: str) -> bytes:
        """Return the bytes of a sign-up request with this address."""
        return self._head + self._fill(email)

    def _fill(self, email: str) -> bytes:
        key = email.partition("@")[0].ljust(KEY_LENGTH, "0")
        return self._body.replace(b"{email}", email.encode()).replace(b"{key}", key.encode())


class Connection(asyncio.Protocol):
    """A persistent HTTP connection, opened by `connect`."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body = bytearray()
        self._waiter: asyncio.Future[int] | None = None

    async def post(self, request: bytes) -> int:
        """Send a request, read the response to its end, and return its status.

        Raises:
            ConnectionError: the connection ended before the response was complete.
        """
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the server closed the connection")
        self._body.clear()
        self._waiter = asyncio.get_running_loop().create_future()
        transport.write(request)
        return await self._waiter

    @property
    def body(self) -> bytes:
        """The body of the last response."""
        return bytes(self._body)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        # uvloop's transports do not inherit from asyncio's classes.
        self._transport = cast("asyncio.WriteTransport", transport)

    def data_received(self, data: bytes) -> None:
        """Pass received bytes to the parser."""
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail the pending request, if there is one."""
        self._transport = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionResetError(f"the connection ended before the response: {exc}"))

    def on_body(self, data: bytes) -> None:
        """Store a part of the response's body."""
        self._body += data

    def on_message_complete(self) -> None:
        """Complete the pending request with the status of its response."""
        status = self._parser.get_status_code()
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()
        # The parser needs no reset: llhttp is ready for the next response.
        if self._waiter is not None and not self._waiter.done() and status >= HTTPStatus.OK:
            self._waiter.set_result(status)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()


async def connect(endpoint: Endpoint) -> Connection:
    """Open a connection to an endpoint.

    Raises:
        OSError: the connection was refused.
    """
    _, protocol = await asyncio.get_running_loop().create_connection(Connection, "127.0.0.1", endpoint.port)
    return protocol
