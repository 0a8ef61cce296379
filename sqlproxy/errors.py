"""Everything that can go wrong, as one tree, and how each reads over HTTP.

    SqlProxyError
    ├── SettingError                a setting is missing or wrong: the process does not start
    ├── ClientGone                  nobody is left to answer
    └── RequestError                has a status, a SQLSTATE-like ``code`` and ``executed``
        ├── MalformedRequest        400  08P01  not JSON, not the dialect's shape
        ├── UnsupportedText         400  22021  a text that Postgres cannot hold (NUL, half a surrogate pair)
        ├── UnsupportedStatement    400  0A000  COPY, which has no place in a request and its answer
        ├── DatabaseError           400  Postgres' own SQLSTATE and fields, as Neon sends them
        ├── Unauthorized            401  28000
        ├── StatementNotAllowed     403  42501  not on the list of ``--allow-statements``
        ├── NotFound                404  08P01
        ├── MethodNotAllowed        405  08P01
        ├── BodyTimeout             408  08P01  the body did not arrive in time
        ├── HeadTimeout             408  08P01  nor did the head
        ├── BodyTooLarge            413  54000
        ├── HeadTooLarge            431  54000
        ├── InternalError           500  XX000  a defect of this program
        ├── PoolBusy                503  53300  every connection is busy (queue full, or waited long enough)
        ├── TooManyConnections      503  53300  of HTTP clients, to this process
        ├── MemoryBusy              503  53200  the process holds as many bodies and answers as it may
        ├── DatabaseUnreachable     503  08001  no connection could be made in time
        ├── OutcomeUnknown          503  08007  the connection ended while the statement was under way
        ├── TotalTimeout            504  57014  the request took longer than ``--total-timeout``
        └── AnswerTooLarge          507  54000

``executed`` answers the question a client has after an error: ``False``: nothing was changed, trying again is safe.
``None`` (JSON ``null``): it may or may not have been. ``True``: it was, and only the answer is missing. Statements that
may commit half-way, such as ``CALL`` or ``COMMIT`` within a transaction of the client's, make it ``None``.

Errors of libpq are translated in ``postgres.connection``, and nowhere else. No message holds a statement, a parameter,
a token or a connection string; the fields of a ``DatabaseError`` go to the client and never into a log.
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

# The order in which Neon's proxy writes them; a client finds every field in every error.
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
    """The root: everything this package raises on purpose."""


class SettingError(SqlProxyError):
    """A setting is missing or wrong; the message names it and never shows a secret's value."""


class ClientGone(SqlProxyError):
    """The client closed the connection before its answer; what it had begun is cancelled."""


class RequestError(SqlProxyError):
    """A request that ends without its result.

    Args:
        message: What to tell the client; never holds anything that a client sent.

    Attributes:
        status: The HTTP status.
        code: A SQLSTATE (five characters, Appendix A of the Postgres manual).
        executed: Whether the statement took effect; see the module's docstring.
        reason: A short stable word for logs and metrics.
        headers: Further headers of the answer.
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
        """The JSON object of the answer: ``message``, ``code``, Neon's other fields, ``executed``."""
        body: dict[str, str | bool | None] = {"message": self.message, "code": self.code}
        body.update(dict.fromkeys(NEON_FIELDS))
        body["executed"] = self.executed
        return body


class MalformedRequest(RequestError):
    """The request is not what the dialect says."""

    status = HTTPStatus.BAD_REQUEST
    code = "08P01"
    reason = "malformed"


class UnsupportedText(RequestError):
    """A text that UTF-8 or Postgres cannot hold."""

    status = HTTPStatus.BAD_REQUEST
    code = "22021"
    reason = "unsupported_text"


class UnsupportedStatement(RequestError):
    """A statement that needs more than a request and an answer."""

    status = HTTPStatus.BAD_REQUEST
    code = "0A000"
    reason = "unsupported_statement"


class DatabaseError(RequestError):
    """Postgres refused the statement. ``executed`` is set to None where it may have committed a part of it.

    Args:
        message: Postgres' primary message.
        code: Its SQLSTATE.
        others: Those of Neon's other fields that Postgres set.

    Attributes:
        stale: Whether it is about a prepared statement of ours that is out of date or gone, and so did not run.
    """

    status = HTTPStatus.BAD_REQUEST
    reason = "database"

    def __init__(self, message: str, code: str, others: Mapping[str, str]) -> None:
        super().__init__(message)
        self.code = code
        self.others = others
        self.stale = False

    def __str__(self) -> str:
        # The message may quote a value ('invalid input syntax for type integer: "..."'); whoever logs this must not.
        return f"SQLSTATE {self.code}"

    def fields(self) -> dict[str, str | bool | None]:
        """Neon's fields as Postgres set them, the others ``null``."""
        return {**super().fields(), **self.others}


class Unauthorized(RequestError):
    """No valid token."""

    status = HTTPStatus.UNAUTHORIZED
    code = "28000"
    reason = "unauthorized"
    headers = ((b"www-authenticate", b'Bearer realm="sqlproxy"'), (b"connection", b"close"))


class StatementNotAllowed(RequestError):
    """The allow-list does not have this statement."""

    status = HTTPStatus.FORBIDDEN
    code = "42501"
    reason = "not_allowed"


class NotFound(RequestError):
    """No such path."""

    status = HTTPStatus.NOT_FOUND
    code = "08P01"
    reason = "not_found"
    headers = ((b"connection", b"close"),)


class MethodNotAllowed(RequestError):
    """The path exists; the method does not.

    Args:
        allow: The methods that do, as in the header ``Allow``.
    """

    status = HTTPStatus.METHOD_NOT_ALLOWED
    code = "08P01"
    reason = "method"

    def __init__(self, allow: bytes) -> None:
        super().__init__("method not allowed")
        self.headers = ((b"allow", allow), (b"connection", b"close"))


class BodyTimeout(RequestError):
    """The client stopped sending. As after any body that was not read to its end, the connection is closed."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "08P01"
    reason = "body_timeout"


class HeadTimeout(RequestError):
    """The client did not send a whole head; `protocol` closes the connection."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "08P01"
    reason = "head_timeout"


class BodyTooLarge(RequestError):
    """The body is over the limit; the rest of it is not read."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "54000"
    reason = "body_too_large"
    headers = ((b"connection", b"close"),)


class HeadTooLarge(RequestError):
    """Request line, headers and trailers are over the limit; `protocol` closes the connection."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "54000"
    reason = "head_too_large"


class InternalError(RequestError):
    """A defect of this program.

    Args:
        message: As for every request error.
        executed: Whether the statement took effect all the same.
    """

    def __init__(self, message: str, *, executed: bool | None = None) -> None:
        super().__init__(message)
        self.executed = executed


class PoolBusy(RequestError):
    """No connection became free.

    Args:
        reason: ``queue_full`` (refused at once) or ``wait_timeout``.
    """

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "53300"
    headers = ((b"retry-after", b"1"),)

    def __init__(self, reason: str) -> None:
        super().__init__("all database connections are busy, try again")
        self.reason = reason


class TooManyConnections(RequestError):
    """There are as many clients as there may be; `protocol` closes the connection."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "53300"
    reason = "too_many_connections"
    headers = ((b"retry-after", b"1"),)


class MemoryBusy(RequestError):
    """The process holds as many bodies and answers as it may."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "53200"
    reason = "memory"


class DatabaseUnreachable(RequestError):
    """No connection to Postgres could be made."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "08001"
    reason = "unreachable"
    headers = ((b"retry-after", b"1"),)


class OutcomeUnknown(RequestError):
    """The connection ended under the statement. No Retry-After: a second try might do it twice."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "08007"
    reason = "connection_lost"
    executed = None


class TotalTimeout(RequestError):
    """The request as a whole took too long, and its statement was cancelled, perhaps too late."""

    status = HTTPStatus.GATEWAY_TIMEOUT
    code = "57014"
    reason = "total_timeout"
    executed = None


class AnswerTooLarge(RequestError):
    """The rows are more than the limit.

    Args:
        limit: In bytes of JSON.
        executed: Whether the statement had taken effect all the same.
    """

    status = HTTPStatus.INSUFFICIENT_STORAGE
    code = "54000"
    reason = "answer_too_large"

    def __init__(self, limit: int, *, executed: bool | None = None) -> None:
        super().__init__(f"response is too large (max is {limit} bytes)")
        self.limit = limit
        self.executed = executed
