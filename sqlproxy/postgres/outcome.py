"""Decide whether a failed statement may have changed anything, and whether it may run again."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlproxy.errors import DatabaseError

__all__ = ["changed_nothing", "ends_transaction", "is_atomic", "is_stale"]

# Statements that Postgres rolls back as a whole if they fail. CALL and DO may commit while they run, and so do VACUUM,
# CREATE INDEX CONCURRENTLY and similar commands. A statement after a nested comment does not match.
_ATOMIC = re.compile(
    rb"(?:\s|--[^\r\n]*[\r\n]|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/|\()*+"
    rb"(?:select|insert|update|delete|merge|with|values|table|show|explain)\b",
    re.IGNORECASE,
)
# The first words of the tags of commands that end a transaction. PREPARE (without TRANSACTION) and ROLLBACK TO
# SAVEPOINT have the same first words, but do not end a transaction.
_ENDING_COMMANDS = frozenset({"COMMIT", "ROLLBACK", "PREPARE"})


def changed_nothing(error: DatabaseError, query: bytes) -> bool:
    """Return whether a statement that failed outside a transaction is known to have changed nothing.

    Args:
        error: Postgres' error.
        query: the statement.
    """
    return is_atomic(query) or _failed_before_it_ran(error)


def is_atomic(query: bytes) -> bool:
    """Return whether a statement is known to take effect as a whole or not at all."""
    return _ATOMIC.match(query) is not None


def ends_transaction(command: str) -> bool:
    """Return whether a statement with this command tag (its first word) may have ended its transaction."""
    return command in _ENDING_COMMANDS


def is_stale(error: DatabaseError, name: bytes) -> bool:
    """Return whether the statement did not run because its prepared statement is out of date or missing.

    The reason is that a table was altered or the statement was deallocated. Postgres raises the same SQLSTATEs inside
    functions and procedures, but such an error has a context.

    Args:
        error: Postgres' error.
        name: the name of the prepared statement.
    """
    if "where" in error.others:
        return False
    routine = error.others.get("routine")
    if error.code == "26000":
        return routine == "FetchPreparedStatement" and f'"{name.decode()}"' in error.message
    return error.code == "0A000" and routine == "RevalidateCachedQuery"


def _failed_before_it_ran(error: DatabaseError) -> bool:
    # Errors of parsing and analysis have a position in the query. Later errors have a context, or no position.
    return "position" in error.others and "where" not in error.others
