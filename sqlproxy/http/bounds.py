"""The bounds of one connection that uvicorn does not set: on the request's head, on what is queued, on what is unread.

uvicorn's protocol waits for ever for the end of a head and for its first byte (slowloris), keeps a head of any size,
queues as many pipelined requests as a client sends, and holds an answer until it is read. What is refused here is
answered as anything else is, in JSON, unless it came behind a request whose answer is still due: lest it
be taken for that one, the connection is cut.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, NoReturn, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from sqlproxy.errors import BodyTooLarge, HeadTimeout, HeadTooLarge, MalformedRequest, TooManyConnections
from sqlproxy.http.admission import Admission
from sqlproxy.http.auth import AUTHENTICATED
from sqlproxy.operations import log

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from sqlproxy.errors import RequestError
    from sqlproxy.operations.metrics import Metrics
    from sqlproxy.operations.settings import Settings

__all__ = ["Bounds", "Protocol", "bounded"]

# Requests behind the one that is answered. A pooled client sends none; HTTP allows it (RFC 9112, section 9.3.2).
_MOST_PIPELINED = 16
# A client that does not take leave of a connection that is being closed (TLS) is cut off after this.
_CLOSING_SECONDS = 2.0
# What chunks cost at most beside their data: "1\r\n", one byte, "\r\n".
_CHUNKING = 6


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a connection may take.

    Args:
        head_timeout: Seconds from the connection, or from a later request's first byte, to the end of the head.
        head_limit: Largest head (and trailer) in bytes.
        body_limit: Largest body in bytes; the application refuses it, this only bounds what its chunks may add.
        answer_timeout: Seconds in which an answer must have been read.
    """

    head_timeout: float
    head_limit: int
    body_limit: int
    answer_timeout: float


class Protocol(HttpToolsProtocol):
    """uvicorn's, with bounds.

    Args:
        bounds: See there.
        on_refused: Told of each refusal.
        admission: Of all connections of the process.
        logger: Of uvicorn's own lines; the refusals have one of their own.
        **uvicorn: What uvicorn gives its protocol.
    """

    def __init__(
        self,
        bounds: Bounds,
        on_refused: Callable[[RequestError], None],
        admission: Admission,
        logger: logging.Logger,
        **uvicorn: Any,  # noqa: ANN401 - handed on
    ) -> None:
        super().__init__(**uvicorn)
        self.logger = logger
        self._bounds = bounds
        self._on_refused = on_refused
        self._admission = admission
        # ASGI's way for a server to offer something of its own.
        self._extensions: dict[str, dict[object, object]] = {AUTHENTICATED: {"call": partial(admission.release, self)}}
        self._close_timer: asyncio.TimerHandle | None = None
        self._head_timer: asyncio.TimerHandle | None = None
        self._unread_timer: asyncio.TimerHandle | None = None
        self._in_head = True
        # Bytes of the head so far, and of all that came since the message before was complete.
        self._head = 0
        self._received = 0
        self._error: RequestError | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        """Takes a connection, unless there are too many."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(self._bounds.head_timeout, self._late)
        if not self._admission.admit(self, len(self.connections)):
            self.evict()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clocks."""
        self._admission.release(self)
        self._stop_head_timer()
        for timer in (self._unread_timer, self._close_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Reads what came, if it is not too much."""
        if self.transport.is_closing():
            # TLS hands over what had arrived before the connection was closed. It is not read as a request.
            return
        if self._head_timer is None and not self._in_flight():
            self._head_timer = self.loop.call_later(self._bounds.head_timeout, self._late)
        self._received += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        # A header is handed on when it is complete, and a trailer too; one that has no end is only counted here.
        if self._in_head and self._received > self._bounds.head_limit:
            self._refuse(_head_too_large())
        elif self._received > self._bounds.head_limit + _CHUNKING * self._bounds.body_limit:
            self._refuse(BodyTooLarge("the body is too large"))

    def on_message_begin(self) -> None:
        """Begins a head."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
        self._head = 0

    def on_url(self, url: bytes) -> None:
        """Takes a part of the request's target."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes a header, or a trailer."""
        self._count(len(name) + len(value) + len(": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, or queue it behind the one in progress.

        After `Connection: upgrade` or `CONNECT` httptools skips the body and reads its bytes as the next request
        (request smuggling), so such a request is refused. So is every version but 1.0 and 1.1.
        """
        self._in_head = False
        self._stop_head_timer()
        if self.parser.should_upgrade():
            self._fail(MalformedRequest("protocols are not switched: send no CONNECT and no Connection: upgrade"))
        if self.parser.get_http_version() not in {"1.0", "1.1"}:
            self._fail(MalformedRequest("sqlproxy speaks HTTP/1.1 and HTTP/1.0 only"))
        super().on_headers_complete()
        if len(self.pipeline) > _MOST_PIPELINED:
            self._fail(MalformedRequest("too many requests at once"))

    def on_message_complete(self) -> None:
        """Ends a request; what comes next is a head."""
        super().on_message_complete()
        self._in_head = True
        self._received = 0

    def on_response_complete(self) -> None:
        """Go on with the next request; a client that does not read its response is given up after a while."""
        super().on_response_complete()
        self._watch_unread()
        if self.transport.is_closing() and not self.transport.get_write_buffer_size():
            self._abort_soon()

    def pause_writing(self) -> None:
        """Wait for the client to read what it got, for a bounded time."""
        super().pause_writing()
        self._watch_unread()

    def is_busy(self) -> bool:
        """Return whether a request of this connection is being answered."""
        return self._in_flight()

    def evict(self) -> None:
        """Close the connection, because there are too many."""
        if self.transport.is_closing():
            self.transport.abort()
            return
        self._refuse(TooManyConnections("too many connections, try again"))

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text
        """Refuses what the parser refused, or what was refused while it parsed."""
        self._refuse(self._error or MalformedRequest("this is not HTTP/1.1"))

    def _count(self, size: int) -> None:
        self._head += size
        if self._head > self._bounds.head_limit:
            self._fail(_head_too_large())

    def _fail(self, error: RequestError) -> NoReturn:
        """Stop the parser; uvicorn then calls `send_400_response`."""
        self._error = error
        raise error

    def _in_flight(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # uvicorn's type says that there always is one
        return cycle is not None and not cycle.response_complete

    def _late(self) -> None:
        self._head_timer = None
        if self._received:
            self._refuse(HeadTimeout("the request's head did not arrive in time"))
        else:
            self.transport.close()

    def _watch_unread(self) -> None:
        if self._unread_timer is not None:
            self._unread_timer.cancel()
            self._unread_timer = None
        if self.transport.get_write_buffer_size():
            self._unread_timer = self.loop.call_later(self._bounds.answer_timeout, self._give_up_unread)

    def _give_up_unread(self) -> None:
        if self.transport.get_write_buffer_size():
            self.transport.abort()

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, error: RequestError) -> None:
        self._on_refused(error)
        if self._in_flight() and (self.pipeline or not self.cycle.more_body):
            self.transport.abort()
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
        self.transport.write(b"\r\n".join([*lines, b"", body]))
        self.transport.close()
        self._abort_soon()

    def _abort_soon(self) -> None:
        if self._close_timer is None:
            self._close_timer = self.loop.call_later(_CLOSING_SECONDS, self.transport.abort)


def bounded(settings: Settings, metrics: Metrics) -> type[asyncio.Protocol]:
    """The protocol with the settings' bounds, as uvicorn makes one for each connection."""
    throttle = log.Throttle()

    def refused(error: RequestError) -> None:
        metrics.rejected[error.reason] += 1
        throttle.event(logging.WARNING, "rejected", reason=error.reason, status=error.status.value)

    bounds = Bounds(
        head_timeout=settings.head_timeout,
        head_limit=settings.head_limit,
        body_limit=settings.body_limit,
        answer_timeout=settings.total_timeout,
    )
    # uvicorn warns of each request that it cannot parse; only its errors are wanted.
    logger = logging.getLogger("sqlproxy.uvicorn")
    logger.setLevel(logging.ERROR)
    return cast(
        "type[asyncio.Protocol]", partial(Protocol, bounds, refused, Admission(settings.max_connections), logger)
    )


def _head_too_large() -> HeadTooLarge:
    return HeadTooLarge("the request's head is too large")
