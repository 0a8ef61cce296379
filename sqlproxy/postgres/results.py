"""Interpret libpq's results: rows, errors and COPY."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg import pq

from sqlproxy.errors import AnswerTooLarge, DatabaseError, InternalError, MemoryBusy

if TYPE_CHECKING:
    from psycopg.pq.abc import PGresult

    from sqlproxy.errors import RequestError

__all__ = ["COPY", "ROWS", "changes_session", "database_error", "is_fatal", "survives_reset", "unreadable"]

ROWS = frozenset(
    {
        pq.ExecStatus.TUPLES_CHUNK,
        pq.ExecStatus.SINGLE_TUPLE,
        pq.ExecStatus.TUPLES_OK,
        pq.ExecStatus.COMMAND_OK,
        pq.ExecStatus.EMPTY_QUERY,
    }
)
COPY = frozenset({pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT, pq.ExecStatus.COPY_BOTH})

_FIELDS = {
    "detail": pq.DiagnosticField.MESSAGE_DETAIL,
    "hint": pq.DiagnosticField.MESSAGE_HINT,
    "position": pq.DiagnosticField.STATEMENT_POSITION,
    "internalPosition": pq.DiagnosticField.INTERNAL_POSITION,
    "internalQuery": pq.DiagnosticField.INTERNAL_QUERY,
    "severity": pq.DiagnosticField.SEVERITY,
    "where": pq.DiagnosticField.CONTEXT,
    "table": pq.DiagnosticField.TABLE_NAME,
    "column": pq.DiagnosticField.COLUMN_NAME,
    "schema": pq.DiagnosticField.SCHEMA_NAME,
    "dataType": pq.DiagnosticField.DATATYPE_NAME,
    "constraint": pq.DiagnosticField.CONSTRAINT_NAME,
    "file": pq.DiagnosticField.SOURCE_FILE,
    "line": pq.DiagnosticField.SOURCE_LINE,
    "routine": pq.DiagnosticField.SOURCE_FUNCTION,
}
# Command tags that indicate no change of the session. A SELECT can still change it through a function such as
# set_config; that is not detected here. After any other command (SET, LISTEN, PREPARE, …) the session is reset, or the
# connection is replaced.
_SESSION_NEUTRAL = frozenset(
    {
        b"",
        *(b"SELECT", b"INSERT", b"UPDATE", b"DELETE", b"MERGE", b"BEGIN", b"COMMIT", b"ROLLBACK", b"SHOW", b"EXPLAIN"),
    }
)


def changes_session(result: PGresult) -> bool:
    """Return whether the command tag shows that the session may have changed."""
    return (result.command_status or b"").partition(b" ")[0] not in _SESSION_NEUTRAL


def survives_reset(result: PGresult) -> bool:
    """Return whether a reset does not undo the command, which is true for LOAD."""
    return result.command_status == b"LOAD"


def is_fatal(error: PGresult) -> bool:
    """Return whether Postgres ended the session with this error."""
    return error.error_field(pq.DiagnosticField.SEVERITY_NONLOCALIZED) in {b"FATAL", b"PANIC"}


def database_error(error: PGresult) -> DatabaseError:
    """Return Postgres' error with all its fields."""
    fields = {name: text for name, field in _FIELDS.items() if (text := _text(error, field)) is not None}
    message = _text(error, pq.DiagnosticField.MESSAGE_PRIMARY) or ""
    return DatabaseError(message, _text(error, pq.DiagnosticField.SQLSTATE) or "XX000", fields)


def unreadable(failure: Exception, *, executed: bool | None) -> RequestError:
    """Return the error for a statement whose rows could not be read."""
    if isinstance(failure, AnswerTooLarge | MemoryBusy):
        failure.executed = executed
        return failure
    return InternalError("the database's response could not be read", executed=executed)


def _text(error: PGresult, field: pq.DiagnosticField) -> str | None:
    value = error.error_field(field)
    # libpq does not check the encoding of messages.
    return None if value is None else value.decode(errors="replace")
