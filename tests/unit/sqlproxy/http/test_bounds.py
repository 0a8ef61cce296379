"""Refusals and limits of a bounded connection, without a socket."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from sqlproxy.errors import HeadTooLarge, MalformedRequest, RequestError
from sqlproxy.http.admission import Admission
from sqlproxy.http.bounds import BoundedConnection, Bounds

if TYPE_CHECKING:
    from collections.abc import Callable

    Step = Callable[[BoundedConnection], None]


class FakeTransport(asyncio.Transport):
    """A transport that records the written bytes and how it was closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.end = ""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Record the data."""
        self.written += bytes(data)

    def is_closing(self) -> bool:
        """Return whether the transport was closed."""
        return bool(self.end)

    def get_write_buffer_size(self) -> int:
        """Return 0: the buffer is always empty."""
        return 0

    def close(self) -> None:
        """Record a normal close."""
        self.end = "closed"

    def abort(self) -> None:
        """Record an abort."""
        self.end = "aborted"


def head(connection: BoundedConnection) -> None:
    """Report a request head."""
    connection.head_began()
    connection.check_head("1.1", switches_protocols=False)
    connection.request_began()


def body(connection: BoundedConnection) -> None:
    """Report the end of a request body."""
    connection.message_completed()


def response(connection: BoundedConnection) -> None:
    """Report the end of a response."""
    connection.response_completed()


def wrong_head(connection: BoundedConnection) -> None:
    """Report a request head that is refused."""
    connection.head_began()
    with pytest.raises(MalformedRequest):
        connection.check_head("1.1", switches_protocols=True)
    connection.parsing_failed()


def invalid_http(connection: BoundedConnection) -> None:
    """Report that the parser refused bytes."""
    connection.parsing_failed()


async def refuse(*steps: Step) -> FakeTransport:
    """Return the transport of a connection after these steps, the last of which is refused."""
    bounds = Bounds(head_timeout=9, head_limit=100, body_limit=100, answer_timeout=9)
    refused: list[RequestError] = []
    connection = BoundedConnection(bounds, refused.append, Admission(8), set())
    transport = FakeTransport()
    connection.connection_made(transport)
    for step in steps:
        step(connection)
    assert len(refused) == 1
    connection.connection_lost()
    return transport


@pytest.mark.parametrize(
    ("steps", "end"),
    [
        ((invalid_http,), "closed"),
        ((wrong_head,), "closed"),
        # While a body arrives, the refusal is the response to that request.
        ((head, invalid_http), "closed"),
        ((head, body, response, invalid_http), "closed"),
        ((head, body, response, wrong_head), "closed"),
        ((head, response, invalid_http), "closed"),
        # The client would mistake the refusal for the response to the previous request.
        ((head, body, invalid_http), "aborted"),
        ((head, body, wrong_head), "aborted"),
        ((head, body, head, invalid_http), "aborted"),
        ((head, body, head, body, response, wrong_head), "aborted"),
    ],
)
def test_a_refusal_cannot_be_mistaken_for_another_response(steps: tuple[Step, ...], end: str) -> None:
    """The refusal is sent only if no earlier response is due; otherwise the connection is aborted."""
    transport = asyncio.run(refuse(*steps))
    assert transport.end == end
    assert bool(transport.written) == (end == "closed")
    if transport.written:
        start, _, content = transport.written.partition(b"\r\n\r\n")
        assert start.startswith(b"HTTP/1.1 400 ")
        assert b"connection: close" in start
        assert json.loads(content)["executed"] is False


def test_the_head_limit_applies_to_each_head() -> None:
    """The count starts again with the next head."""

    async def count() -> None:
        bounds = Bounds(head_timeout=9, head_limit=100, body_limit=100, answer_timeout=9)
        connection = BoundedConnection(bounds, lambda _: None, Admission(8), set())
        for _ in range(2):
            connection.head_began()
            connection.head_grew(100)
        with pytest.raises(HeadTooLarge):
            connection.head_grew(1)

    asyncio.run(count())
