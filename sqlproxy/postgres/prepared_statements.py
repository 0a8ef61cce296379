"""Decide which statements of a connection are prepared, and remember their names."""

from __future__ import annotations

__all__ = ["PreparedStatements"]

_MAX_COUNTED = 1_000


class PreparedStatements:
    """The prepared statements of one connection, and the number of executions of unprepared statements.

    Preparing a statement costs one round trip and then saves parsing and planning. Only a reset of the session
    deallocates prepared statements, so at the maximum, further statements stay unprepared.

    Args:
        threshold: the execution at which a statement is prepared: 1 for the first, 2 for the second. With 0, statements
            are never prepared, which poolers in transaction mode require.
        max_statements: the largest number of prepared statements.
    """

    __slots__ = ("_counts", "_max_statements", "_names", "_number", "_threshold")

    def __init__(self, threshold: int, max_statements: int = 100) -> None:
        self._threshold = threshold
        self._max_statements = max_statements
        self._names: dict[bytes, bytes] = {}
        self._counts: dict[bytes, int] = {}
        self._number = 0

    def name(self, query: bytes) -> bytes | None:
        """Return the name under which a statement is prepared, or None if it is not prepared."""
        return self._names.get(query)

    def wanted(self, query: bytes) -> bytes | None:
        """Count an execution of an unprepared statement; return a name for it if it should now be prepared."""
        if not self._threshold or len(self._names) >= self._max_statements:
            return None
        count = self._counts.pop(query, 0) + 1
        if count >= self._threshold:
            # Names are never reused, so that a name stands for one statement as long as the connection is open.
            self._number += 1
            return b"sqlproxy_%d" % self._number
        if len(self._counts) >= _MAX_COUNTED:
            self._counts.clear()
        self._counts[query] = count
        return None

    def add(self, query: bytes, name: bytes) -> None:
        """Record that the statement is prepared under the name."""
        self._names[query] = name

    def clear(self) -> None:
        """Forget all prepared statements; a reset of the session deallocates them on the server."""
        self._names.clear()
