"""What an error of Postgres says about the statement that caused it: was anything changed, and may it run again?"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlproxy.errors import DatabaseError

__all__ = ["changed_nothing", "ends_transaction", "is_atomic", "is_stale"]

# Statements that Postgres rolls back as a whole when they fail. CALL and DO may commit in between, and so do VACUUM,
# CREATE INDEX CONCURRENTLY and their like. Behind nested comments nothing is looked for.
_ATOMIC = re.compile(
    rb"(?:\s|--[^\r\n]*[\r\n]|/\*(?:[^*/]|\*(?!/)|/(?!\*))*\*/|\()*+"
    rb"(?:select|insert|update|delete|merge|with|values|table|show|explain)\b",
    re.IGNORECASE,
)
# Command tags after which what ran before is committed or rolled back, whatever comes next.
_ENDING_COMMANDS = frozenset({"COMMIT", "ROLLBACK", "PREPARE"})


def changed_nothing(error: DatabaseError, query: bytes) -> bool:
    """Return whether it is known that a statement that failed by itself, outside a transaction, changed nothing.

    Args:
        error: Postgres' error.
        query: the statement.
    """
    return is_atomic(query) or _failed_before_it_ran(error)


def is_atomic(query: bytes) -> bool:
    """Return whether it is known that a statement takes effect as a whole or not at all."""
    return _ATOMIC.match(query) is not None


def ends_transaction(command: str) -> bool:
    """Return whether a statement with this command tag (its first word) may have ended the transaction it ran in."""
    return command in _ENDING_COMMANDS


def is_stale(error: DatabaseError, name: bytes) -> bool:
    """Return whether a prepared statement of ours is out of date or gone, which Postgres notices before it runs.

    A table was altered, or another party deallocated the statement. Postgres raises the same SQLSTATEs from within
    functions and procedures; such an error has a context.

    Args:
        error: Postgres' error.
        name: the name under which the statement was prepared.
    """
    if "where" in error.others:
        return False
    routine = error.others.get("routine")
    if error.code == "26000":
        return routine == "FetchPreparedStatement" and f'"{name.decode()}"' in error.message
    return error.code == "0A000" and routine == "RevalidateCachedQuery"


def _failed_before_it_ran(error: DatabaseError) -> bool:
    # Parsing and analysis point into the text of the query. What fails later has a context, or no position.
    return "position" in error.others and "where" not in error.others
