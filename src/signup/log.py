"""The events, reasons and fields of the log. docs/logging.md describes them, and a test compares the two.

Log lines contain no values of users or settings. The exception is `MAIL_URL=log:`, which is for development and logs
e-mails.
"""

from collections.abc import Sequence
from traceback import extract_tb
from typing import Literal, Protocol, TypedDict, Unpack

Level = Literal["info", "warning", "error"]

Event = Literal[
    "request",
    "breach_check_skipped",
    "data_proxy_retired",
    "delivery",
    "mail",
    "outbox",
    "rate_limiter_failed",
    "rate_limiter_missing",
]

# The cause of a failure, for codes with several causes. The reason of `misconfigured` and of the event
# `data_proxy_retired` is a sentence instead.
Reason = Literal[
    "circuit_open",
    "database_error",
    "database_unavailable",
    "deadline_exceeded",
    "duplicate_field",
    "hash_queue_full",
    "hash_timeout",
    "incomplete_body",
    "incomplete_response",
    "invalid_form",
    "invalid_json",
    "invalid_response",
    "invalid_signature",
    "invalid_token",
    "invitation_expired",
    "invitation_for_another_address",
    "invitation_used",
    "json_sent_as_form",
    "mismatched_row",
    "nested_too_deeply",
    "no_free_connection",
    "no_response",
    "not_an_object",
    "response_too_large",
    "statement_cancelled",
    "statement_timeout",
    "unknown_user",
    "unreachable",
    "unsupported_type",
    "upstream_error",
    "upstream_timeout",
]


class Details(TypedDict, total=False):
    """The fields of an error besides `code` and `reason`."""

    setting: str
    limit: str
    sqlstate: str
    constraint: str
    upstream_status: int
    upstream_code: str
    exception: str


class Fields(Details, total=False):
    """The fields of a log line besides `level` and `event`."""

    request_id: str
    route: str
    country: str
    colo: str
    code: str
    reason: str
    traceback: Sequence[str]
    status: int
    duration_ms: int
    message: str
    kind: str
    attempts: int
    result: Literal["delivered", "failed", "dead", "unrecorded"]
    error: str
    pending: int
    due: int
    dead: int
    to: str
    subject: str
    text: str


def bug_fields(exc: Exception) -> Fields:
    """Return the class and traceback of an exception that is a bug. Its text is omitted: it may quote a value."""
    lines = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(exc.__traceback__)]
    return {"exception": type(exc).__qualname__, "traceback": lines}


class Log(Protocol):
    """Writes log lines, each of which is a JSON object."""

    def __call__(self, line: str, /) -> None:
        """Write one line."""
        ...


class Warn(Protocol):
    """Logs a warning as a line of its own, without the fields of a request."""

    def __call__(self, event: Event, /, **fields: Unpack[Fields]) -> None:
        """Write one line."""
        ...
