"""The ASGI application. Its four routes need no framework.

`POST /sql` and `GET /metrics` need a token, which is checked before the body is read. `GET /health` (liveness) and
`GET /ready` (the database is reachable) need no token and close the connection, because only clients with a token may
keep a connection open.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Protocol

from sqlproxy.dialect.request import parse
from sqlproxy.errors import (
    AnswerTooLarge,
    BodyTimeout,
    BodyTooLarge,
    ClientGone,
    DatabaseError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    RequestError,
    StatementNotAllowed,
    TotalTimeout,
)
from sqlproxy.http.auth import AUTHENTICATED
from sqlproxy.http.cancellation import Canceller
from sqlproxy.operations import log
from sqlproxy.operations.memory import Budget, Lease
from sqlproxy.operations.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, MutableMapping
    from typing import Any

    from sqlproxy.dialect.request import Request
    from sqlproxy.http.auth import Authenticator
    from sqlproxy.operations.metrics import Gauges

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]
    Handler = Callable[[dict[bytes, bytes], Receive, Lease], Awaitable[bytes]]

__all__ = ["App", "Runner"]

_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")
_OK = b'{"status":"ok"}'
_PUBLIC_PATHS = {"/health", "/ready"}


class Runner(Protocol):
    """Runs requests on the database."""

    async def run(self, request: Request, lease: Lease | None = None, /) -> bytes:
        """Run a request and return its answer as JSON; the lease counts the answer's bytes."""
        ...

    async def ping(self) -> None:
        """Make one round trip to the database."""
        ...


class App:
    """The ASGI application.

    Args:
        runner: runs the statements.
        authenticator: checks the tokens.
        metrics: counts the outcomes of requests.
        gauges: returns the pool's current state, for `/metrics`.
        body_limit: the largest body in bytes.
        total_timeout: the longest duration of a request in seconds.
        budget: the memory for bodies and answers.
        allowed: the statements that may run; None allows all statements.
    """

    def __init__(  # noqa: PLR0913 - keyword arguments
        self,
        runner: Runner,
        authenticator: Authenticator,
        metrics: Metrics,
        *,
        gauges: Callable[[], Gauges] = dict,
        body_limit: int,
        total_timeout: float,
        budget: Budget,
        allowed: frozenset[bytes] | None = None,
    ) -> None:
        self._runner = runner
        self._authenticator = authenticator
        self._metrics = metrics
        self._gauges = gauges
        self._body_limit = body_limit
        self._total_timeout = total_timeout
        self._budget = budget
        self._allowed = allowed
        self._throttle = log.Throttle()
        self._routes: dict[str, tuple[tuple[str, ...], Handler]] = {
            "/sql": (("POST",), self._sql),
            "/health": (("GET", "HEAD"), self._health),
            "/ready": (("GET", "HEAD"), self._ready),
            "/metrics": (("GET", "HEAD"), self._render_metrics),
        }

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        lease = Lease(self._budget)
        try:
            await self._answer(scope, receive, send, lease)
        finally:
            lease.end()

    async def _answer(self, scope: Message, receive: Receive, send: Send, lease: Lease) -> None:
        """Answer one HTTP request, and count its memory in the lease.

        A response that is sent before the whole body was read closes the connection: a client that waits for
        `100 Continue` may omit the body, and its next request would be read as that body.
        """
        path: str = scope["path"]
        status = 200
        headers: tuple[tuple[bytes, bytes], ...] = ()
        body_is_unread = any(
            name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
            for name, value in scope["headers"]
        )

        async def read() -> Message:
            nonlocal body_is_unread
            message = await receive()
            body_is_unread = message.get("more_body", False)
            return message

        try:
            body = await self._dispatch(path, scope, read, lease)
        except ClientGone:
            if path == "/sql":
                self._metrics.requests["gone"] += 1
            return
        except RequestError as exc:
            status = exc.status.value
            headers = exc.headers
            body = json.dumps(exc.fields(), ensure_ascii=False, separators=(",", ":")).encode()
            self._record_error(exc)
        if path == "/sql":
            self._metrics.requests[str(status)] += 1
        content_type = (b"content-type", CONTENT_TYPE) if path == "/metrics" and status == 200 else _JSON  # noqa: PLR2004 - the HTTP status
        length = (b"content-length", b"%d" % len(body))
        if (body_is_unread or path in _PUBLIC_PATHS) and _CLOSE not in headers:
            headers = (*headers, _CLOSE)
        await send({"type": "http.response.start", "status": status, "headers": [content_type, length, *headers]})
        await send({"type": "http.response.body", "body": body, "more_body": True})
        del body
        # This `send` waits until the client has read most of the body, so the body's memory is counted until then.
        await send({"type": "http.response.body"})

    async def _dispatch(self, path: str, scope: Message, receive: Receive, lease: Lease) -> bytes:
        route = self._routes.get(path)
        if route is None:
            raise NotFound("path not found; send SQL to POST /sql")
        methods, handle = route
        if scope["method"] not in methods:
            raise MethodNotAllowed(", ".join(methods).encode())
        try:
            headers = dict(scope["headers"])
            if path not in _PUBLIC_PATHS:
                self._authenticator.check(headers)
                if AUTHENTICATED in scope.get("extensions", ()):
                    scope["extensions"][AUTHENTICATED]["call"]()
            return await handle(headers, receive, lease)
        except (RequestError, ClientGone):
            raise
        except Exception as exc:
            log.event(logging.ERROR, "internal_error", error=exc)
            raise InternalError("internal error") from exc

    async def _sql(self, headers: dict[bytes, bytes], receive: Receive, lease: Lease) -> bytes:
        canceller = Canceller(receive, asyncio.get_running_loop().time() + self._total_timeout)
        body = None
        try:
            body = await self._read_body(headers, receive, lease)
            canceller.listen()
            request = parse(body, headers)
            if self._allowed is not None and not all(item.query in self._allowed for item in request.statements):
                raise StatementNotAllowed("this statement is not on the list of allowed statements")
            return await self._runner.run(request, lease)
        except asyncio.CancelledError:
            if canceller.client_gone:
                raise ClientGone from None
            if canceller.timed_out and body is None:
                raise BodyTimeout("the body did not arrive in time") from None
            if canceller.timed_out:
                raise TotalTimeout("the request took too long and was cancelled") from None
            raise
        finally:
            canceller.stop()

    async def _read_body(self, headers: Mapping[bytes, bytes], receive: Receive, lease: Lease) -> bytes | bytearray:
        content_length = headers.get(b"content-length", b"").strip(b" \t")
        if content_length.isdigit() and int(content_length) > self._body_limit:
            raise BodyTooLarge(f"the body is larger than {self._body_limit} bytes")
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            if len(body) + len(chunk) > self._body_limit:
                raise BodyTooLarge(f"the body is larger than {self._body_limit} bytes")
            lease.take(len(chunk))
            body += chunk
            if not message.get("more_body", False):
                return body

    async def _health(self, *_: object) -> bytes:
        return _OK

    async def _ready(self, *_: object) -> bytes:
        await self._runner.ping()
        return _OK

    async def _render_metrics(self, *_: object) -> bytes:
        return self._metrics.render(self._gauges()).encode()

    def _record_error(self, error: RequestError) -> None:
        if isinstance(error, DatabaseError):
            self._metrics.errors[error.code[:2]] += 1
            # Constraint violations are expected. The text of an error may quote values, so only the code is logged.
            log.event(logging.DEBUG, "database_error", code=error.code)
        elif error.executed is False and not isinstance(error, AnswerTooLarge):
            self._metrics.rejected[error.reason] += 1
            self._throttle.event(logging.WARNING, "request_rejected", reason=error.reason, status=error.status.value)
        else:
            self._metrics.errors[error.code[:2]] += 1
            self._throttle.event(
                logging.ERROR, "request_failed", reason=error.reason, status=error.status.value, executed=error.executed
            )
