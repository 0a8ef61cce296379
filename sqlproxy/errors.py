"""The exceptions of sqlproxy, and its HTTP error responses.

    SqlProxyError
    ├── SettingError                a setting is missing or wrong; the process does not start
    ├── ClientGone                  the client disconnected; there is no response
    └── RequestError                has a status, a SQLSTATE as `code`, and `executed`
        ├── MalformedRequest        400  08P01  not valid or supported HTTP, or not in Neon's format
        ├── UnsupportedText         400  22021  text that Postgres cannot store (NUL, half a surrogate pair)
        ├── UnsupportedStatement    400  0A000  COPY
        ├── DatabaseError           400  Postgres' own SQLSTATE and fields, as Neon sends them
        ├── Unauthorized            401  28000
        ├── StatementNotAllowed     403  42501  not on the list of `--allow-statements`
        ├── NotFound                404  08P01
        ├── MethodNotAllowed        405  08P01
        ├── BodyTimeout             408  08P01  the body did not arrive in time
        ├── HeadTimeout             408  08P01  the head did not arrive in time
        ├── BodyTooLarge            413  54000
        ├── HeadTooLarge            431  54000
        ├── InternalError           500  XX000  a bug in sqlproxy
        ├── PoolBusy                503  53300  every connection is busy (queue full, or wait timeout)
        ├── TooManyConnections      503  53300  too many HTTP connections to this process
        ├── MemoryBusy              503  53200  the memory budget for bodies and answers is used up
        ├── DatabaseUnreachable     503  08001  no connection to Postgres could be opened in time
        ├── OutcomeUnknown          503  08007  the connection to Postgres was lost during the statement
        ├── TotalTimeout            504  57014  the request took longer than `--total-timeout`
        └── AnswerTooLarge          507  54000

`executed` reports whether the statement took effect. `False`: nothing was changed and a retry is safe. `None` (JSON
`null`): unknown. `True`: it took effect, but its result was lost. `executed` is also `None` if a statement that may
commit half-way, such as `CALL`, fails, or if a transaction fails after a `COMMIT` that the client sent inside it.

Only `postgres.connection` translates libpq's connection errors. sqlproxy's own messages contain no statement,
parameter, token or connection string. The message and fields of a `DatabaseError` are Postgres' own, which may quote
values: they are sent to the client and never logged.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "AnswerTooLarge",
    "BodyTimeout",
    "BodyTooLarge",
    "ClientGone",
    "DatabaseError",
    "DatabaseUnreachable",
    "HeadTimeout",
    "HeadTooLarge",
    "InternalError",
    "MalformedRequest",
    "MemoryBusy",
    "MethodNotAllowed",
    "NotFound",
    "OutcomeUnknown",
    "PoolBusy",
    "RequestError",
    "SettingError",
    "SqlProxyError",
    "StatementNotAllowed",
    "TooManyConnections",
    "TotalTimeout",
    "Unauthorized",
    "UnsupportedStatement",
    "UnsupportedText",
]

# The fields of every error response between `code` and `executed`, in the order of Neon's proxy.
NEON_FIELDS = (
    "detail",
    "hint",
    "position",
    "internalPosition",
    "internalQuery",
    "severity",
    "where",
    "table",
    "column",
    "schema",
    "dataType",
    "constraint",
    "file",
    "line",
    "routine",
)


class SqlProxyError(Exception):
    """The base class of the exceptions in this module."""


class SettingError(SqlProxyError):
    """A setting is missing or wrong. The message names the setting or its value, but never contains a secret."""


class ClientGone(SqlProxyError):
    """The client disconnected before the response; a running statement is cancelled."""


class RequestError(SqlProxyError):
    """An error of a request, which the client receives as a JSON response.

    Args:
        message: the text for the client. Only a `DatabaseError` may quote data of the request.

    Attributes:
        status: the HTTP status.
        code: a SQLSTATE (five characters, Appendix A of the Postgres manual).
        executed: whether the statement took effect; see the module's docstring.
        reason: a stable code for logs and metrics.
        headers: additional headers of the response.
    """

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: str = "XX000"
    reason: str = "internal"
    executed: bool | None = False
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def fields(self) -> dict[str, str | bool | None]:
        """Return the JSON object of the response: `message`, `code`, Neon's other fields, `executed`."""
        body: dict[str, str | bool | None] = {"message": self.message, "code": self.code}
        body.update(dict.fromkeys(NEON_FIELDS))
        body["executed"] = self.executed
        return body


class MalformedRequest(RequestError):
    """The request is not valid HTTP, uses an unsupported feature of HTTP, or is not in Neon's format."""

    status = HTTPStatus.BAD_REQUEST
    code = "08P01"
    reason = "malformed"


class UnsupportedText(RequestError):
    """A text that UTF-8 cannot encode or Postgres cannot store."""

    status = HTTPStatus.BAD_REQUEST
    code = "22021"
    reason = "unsupported_text"


class UnsupportedStatement(RequestError):
    """A statement that needs more than one request and response: COPY."""

    status = HTTPStatus.BAD_REQUEST
    code = "0A000"
    reason = "unsupported_statement"


class DatabaseError(RequestError):
    """Postgres reported an error. `executed` is None if a part of the statement may have been committed.

    Args:
        message: Postgres' primary message.
        code: the error's SQLSTATE.
        others: the other fields that Postgres set, by Neon's names.

    Attributes:
        stale: whether the query did not run because sqlproxy's prepared statement was out of date or missing.
    """

    status = HTTPStatus.BAD_REQUEST
    reason = "database"

    def __init__(self, message: str, code: str, others: Mapping[str, str]) -> None:
        super().__init__(message)
        self.code = code
        self.others = others
        self.stale = False

    def __str__(self) -> str:
        # The message may quote a value ('invalid input syntax for type integer: "..."'), which must not be logged.
        return f"SQLSTATE {self.code}"

    def fields(self) -> dict[str, str | bool | None]:
        """Return the JSON object of the response. Those of Neon's fields that Postgres did not set are `null`."""
        return {**super().fields(), **self.others}


class Unauthorized(RequestError):
    """The token is missing or not valid."""

    status = HTTPStatus.UNAUTHORIZED
    code = "28000"
    reason = "unauthorized"
    headers = ((b"www-authenticate", b'Bearer realm="sqlproxy"'), (b"connection", b"close"))


class StatementNotAllowed(RequestError):
    """The statement is not on the allow-list."""

    status = HTTPStatus.FORBIDDEN
    code = "42501"
    reason = "not_allowed"


class NotFound(RequestError):
    """The path does not exist."""

    status = HTTPStatus.NOT_FOUND
    code = "08P01"
    reason = "not_found"
    headers = ((b"connection", b"close"),)


class MethodNotAllowed(RequestError):
    """The path does not support the method.

    Args:
        allow: the supported methods, as in the header `Allow`.
    """

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "08P01"
    reason = "method"

    def __init__(self, allow: bytes) -> None:
        super().__init__("method not allowed")
        self.headers = ((b"allow", allow), (b"connection", b"close"))


class BodyTimeout(RequestError):
    """The body did not arrive in time. The connection is closed, as after every body that was not read completely."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "08P01"
    reason = "body_timeout"


class HeadTimeout(RequestError):
    """The client did not send a complete head in time; `http.bounds` closes the connection."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "08P01"
    reason = "head_timeout"


class BodyTooLarge(RequestError):
    """The body is larger than the limit; the rest of it is not read."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "54000"
    reason = "body_too_large"
    headers = ((b"connection", b"close"),)


class HeadTooLarge(RequestError):
    """The request line, headers and trailers together are over the limit; `http.bounds` closes the connection."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "54000"
    reason = "head_too_large"


class InternalError(RequestError):
    """A bug in sqlproxy.

    Args:
        message: the text for the client.
        executed: whether the statement took effect anyway.
    """

    def __init__(self, message: str, *, executed: bool | None = None) -> None:
        super().__init__(message)
        self.executed = executed


class PoolBusy(RequestError):
    """All connections of the pool are busy, and the queue is full or no connection became free in time.

    Args:
        reason: `queue_full` (refused at once) or `wait_timeout`.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "53300"
    headers = ((b"retry-after", b"1"),)

    def __init__(self, reason: str) -> None:
        super().__init__("all database connections are busy; try again")
        self.reason = reason


class TooManyConnections(RequestError):
    """The process has too many HTTP connections; `http.bounds` closes the refused or evicted connection."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "53300"
    reason = "too_many_connections"
    headers = ((b"retry-after", b"1"),)


class MemoryBusy(RequestError):
    """The process's memory budget for bodies and answers is used up."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "53200"
    reason = "memory"


class DatabaseUnreachable(RequestError):
    """No connection to Postgres could be opened in time, or sqlproxy is stopping."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "08001"
    reason = "unreachable"
    headers = ((b"retry-after", b"1"),)


class OutcomeUnknown(RequestError):
    """The connection was lost during the statement. No Retry-After is sent: a retry might run the statement twice."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "08007"
    reason = "connection_lost"
    executed = None


class TotalTimeout(RequestError):
    """The request took too long and was cancelled. Its statement may have taken effect before that."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "57014"
    reason = "total_timeout"
    executed = None


class AnswerTooLarge(RequestError):
    """The answer is over the limit.

    Args:
        limit: the largest size in bytes of JSON.
        executed: whether the statement took effect anyway.
    """

    status = HTTPStatus.INSUFFICIENT_STORAGE
    code = "54000"
    reason = "answer_too_large"

    def __init__(self, limit: int, *, executed: bool | None = None) -> None:
        super().__init__(f"response is too large (max is {limit} bytes)")
        self.limit = limit
        self.executed = executed
