"""The bounds of an HTTP connection: on heads, bodies, queued requests, and unread responses.

uvicorn has documented options for other limits, `timeout_keep_alive` and `timeout_graceful_shutdown`, which
`sqlproxy.server` sets. It has none for the bounds here. `limit_concurrency` does not distinguish clients that have sent
a valid token. `h11_max_incomplete_event_size` bounds the size of a head only with the slower parser h11. No option
bounds the time in which a head arrives (slowloris), the number of pipelined requests, or the time in which a client
reads a response. So `sqlproxy.http.uvicorn_adapter` reports the events of uvicorn's protocol to a `BoundedConnection`.

A refused request gets a JSON response. If the response to an earlier request is still pending, the client would mistake
the refusal for that response, so the connection is aborted instead.
"""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, NoReturn

from sqlproxy.errors import BodyTooLarge, HeadTimeout, HeadTooLarge, MalformedRequest, TooManyConnections
from sqlproxy.http.admission import Admission
from sqlproxy.http.auth import AUTHENTICATED
from sqlproxy.operations import log

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlproxy.errors import RequestError
    from sqlproxy.operations.metrics import Metrics
    from sqlproxy.operations.settings import Settings

__all__ = ["BoundedConnection", "Bounds", "bounded_connections"]

# The largest number of pipelined requests behind the current one. HTTP allows pipelining (RFC 9112, section 9.3.2), but
# clients with a connection pool do not use it.
_MAX_PIPELINED = 16
# Seconds after which a closing connection is aborted, for example because the client does not confirm the end of TLS.
_CLOSING_SECONDS = 2.0
# The bytes that a client needs at most to send one byte of a body, as a chunk of one byte: "1\r\n", the byte, "\r\n".
_MAX_BYTES_PER_BODY_BYTE = 6


@dataclass(frozen=True, slots=True)
class Bounds:
    """The bounds of a connection.

    Args:
        head_timeout: the seconds from the start of the connection, or from the first byte of a later request, to the
            end of the head.
        head_limit: the largest head, including trailers, in bytes.
        body_limit: the largest body in bytes, which the application enforces. Here it bounds the overhead of chunks.
        answer_timeout: the seconds that a client has to read the sent data.
    """

    head_timeout: float
    head_limit: int
    body_limit: int
    answer_timeout: float


class BoundedConnection:
    """Enforces the bounds of one HTTP connection. The server reports events by calling the methods.

    Args:
        bounds: the bounds to enforce.
        on_refused: called with the error of each refused request or connection.
        admission: the admission control of the process.
        connections: all open connections of the process, which include this one from `connection_made` on.

    Attributes:
        extensions: the extensions of the ASGI scope that the server offers.
        error: the error that stopped the parser; None if there is none.
    """

    def __init__(
        self,
        bounds: Bounds,
        on_refused: Callable[[RequestError], None],
        admission: Admission,
        connections: set[BoundedConnection],
    ) -> None:
        self.extensions: dict[str, dict[object, object]] = {AUTHENTICATED: {"call": partial(admission.release, self)}}
        self.error: RequestError | None = None
        self._bounds = bounds
        self._on_refused = on_refused
        self._admission = admission
        self._connections = connections
        self._loop = asyncio.get_running_loop()
        self._close_timer: asyncio.TimerHandle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        # The number of requests with a complete head but without a complete response.
        self._unanswered = 0
        # Whether the next bytes belong to a head or a body. Both are false while a head is checked or if it is refused.
        self._in_head = True
        self._in_body = False
        # Bytes of the current head, and all bytes since the previous message ended.
        self._head_bytes = 0
        self._received_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Accept a connection, unless there are too many."""
        self._transport = transport
        self._connections.add(self)
        self._start_head_timer()
        if not self._admission.admit(self, len(self._connections)):
            self.evict()

    def connection_lost(self) -> None:
        """Stop the timers, and stop counting the connection."""
        self._connections.discard(self)
        self._admission.release(self)
        self._stop_head_timer()
        for timer in (self._unread_timer, self._close_timer):
            if timer is not None:
                timer.cancel()

    def accepts_data(self, size: int) -> bool:
        """Count data, start the timeout of a new head, and return whether to parse the data.

        TLS also delivers data after the connection was closed; such data is not parsed.
        """
        if self._transport.is_closing():
            return False
        if self._head_timer is None and not self._unanswered:
            self._start_head_timer()
        self._received_bytes += size
        return True

    def data_parsed(self) -> None:
        """Refuse a head or a body that has grown too large.

        The parser reports only complete headers and trailers, so an endless header or trailer is detected here.
        """
        if self._transport.is_closing():
            return
        if self._in_head and self._received_bytes > self._bounds.head_limit:
            self._refuse(_head_too_large())
        elif self._received_bytes > self._bounds.head_limit + _MAX_BYTES_PER_BODY_BYTE * self._bounds.body_limit:
            self._refuse(BodyTooLarge("the body is too large"))

    def head_began(self) -> None:
        """Start to count the bytes of a head."""
        self._head_bytes = 0

    def head_grew(self, size: int) -> None:
        """Count the bytes of a part of a head or trailer.

        Raises:
            HeadTooLarge: the head is too large.
        """
        self._head_bytes += size
        if self._head_bytes > self._bounds.head_limit:
            self._fail(_head_too_large())

    def check_head(self, version: str, *, switches_protocols: bool) -> None:
        """Check a complete head.

        After `Connection: upgrade` or `CONNECT` httptools skips the body and reads its bytes as the next request
        (request smuggling), so such a request is refused. Versions other than 1.0 and 1.1 are refused too.

        Raises:
            MalformedRequest: the request must be refused.
        """
        self._in_head = False
        self._stop_head_timer()
        if switches_protocols:
            self._fail(MalformedRequest("CONNECT and Connection: upgrade are not supported"))
        if version not in {"1.0", "1.1"}:
            self._fail(MalformedRequest("only HTTP/1.1 and HTTP/1.0 are supported"))

    def request_began(self) -> None:
        """Count a request, which is processed now or queued behind the current one.

        Raises:
            MalformedRequest: too many requests are queued.
        """
        self._unanswered += 1
        self._in_body = True
        if self._unanswered > 1 + _MAX_PIPELINED:
            self._fail(MalformedRequest("too many requests at once"))

    def message_completed(self) -> None:
        """Record the end of a request; the next bytes belong to a head."""
        self._in_head = True
        self._in_body = False
        self._received_bytes = 0

    def response_completed(self) -> None:
        """Record the end of a response. A client that does not read it in time is disconnected."""
        self._unanswered -= 1
        self.watch_unread()
        if self._transport.is_closing() and not self._transport.get_write_buffer_size():
            self._abort_soon()

    def watch_unread(self) -> None:
        """Limit the time in which the client must read the sent data."""
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
        if self._transport.get_write_buffer_size():
            self._unread_timer = self._loop.call_later(self._bounds.answer_timeout, self._give_up_unread)

    def parsing_failed(self) -> None:
        """Refuse a request that could not be parsed, or that exceeded a bound while it was parsed."""
        self._refuse(self.error or MalformedRequest("the request is not valid HTTP/1.1"))

    def is_busy(self) -> bool:
        """Return whether a request of this connection is being processed."""
        return self._unanswered > 0

    def evict(self) -> None:
        """Close the connection with a refusal, because there are too many; abort it if it is already closing."""
        if self._transport.is_closing():
            self._transport.abort()
            return
        self._refuse(TooManyConnections("too many connections; try again"))

    def _fail(self, error: RequestError) -> NoReturn:
        """Raise an error that stops the parser; the server then calls `parsing_failed`."""
        self.error = error
        raise error

    def _on_head_timeout(self) -> None:
        self._head_timer = None
        if self._received_bytes:
            self._refuse(HeadTimeout("the request's head did not arrive in time"))
        else:
            self._transport.close()

    def _give_up_unread(self) -> None:
        if self._transport.get_write_buffer_size():
            self._transport.abort()

    def _start_head_timer(self) -> None:
        self._head_timer = self._loop.call_later(self._bounds.head_timeout, self._on_head_timeout)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, error: RequestError) -> None:
        self._on_refused(error)
        # The refusal can be the response to the pending request only while that request's body arrives.
        if self._unanswered > 1 or (self._unanswered and not self._in_body):
            self._transport.abort()
            return
        body = json.dumps(error.fields(), separators=(",", ":")).encode()
        status = HTTPStatus(error.status)
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
            *error.headers,
        ]
        lines = [b"HTTP/1.1 %d %s" % (status.value, status.phrase.encode()), *(b": ".join(pair) for pair in headers)]
        self._transport.write(b"\r\n".join([*lines, b"", body]))
        self._transport.close()
        self._abort_soon()

    def _abort_soon(self) -> None:
        if self._close_timer is None:
            self._close_timer = self._loop.call_later(_CLOSING_SECONDS, self._transport.abort)


def bounded_connections(settings: Settings, metrics: Metrics) -> Callable[[], BoundedConnection]:
    """Return the factory of a process's bounded connections."""
    throttle = log.Throttle()

    def on_refused(error: RequestError) -> None:
        metrics.rejected[error.reason] += 1
        throttle.event(logging.WARNING, "request_rejected", reason=error.reason, status=error.status.value)

    bounds = Bounds(
        head_timeout=settings.head_timeout,
        head_limit=settings.head_limit,
        body_limit=settings.body_limit,
        answer_timeout=settings.total_timeout,
    )
    return partial(BoundedConnection, bounds, on_refused, Admission(settings.max_connections), set())


def _head_too_large() -> HeadTooLarge:
    return HeadTooLarge("the request's head is too large")
