"""Which statements of a connection are prepared on the server: those that come again and again."""

from __future__ import annotations

__all__ = ["PreparedStatements"]

_MAX_COUNTED = 1_000


class PreparedStatements:
    """The prepared statements of one connection, and how often the others came.

    Preparing costs one round trip and saves Postgres the parsing and planning of every later call. None is ever given
    up: when the room is taken, further statements stay unprepared.

    Args:
        threshold: Prepared at which call; 0: never (for a transaction-mode pooler between here and Postgres).
        max_statements: How many.
    """

    __slots__ = ("_counts", "_max_statements", "_names", "_number", "_threshold")

    def __init__(self, threshold: int, max_statements: int = 100) -> None:
        self._threshold = threshold
        self._max_statements = max_statements
        self._names: dict[bytes, bytes] = {}
        self._counts: dict[bytes, int] = {}
        self._number = 0

    def name(self, query: bytes) -> bytes | None:
        """The name of a statement that is prepared."""
        return self._names.get(query)

    def wanted(self, query: bytes) -> bytes | None:
        """Counts a call of a statement that is not; a name for it when it is time to prepare it."""
        if not self._threshold or len(self._names) >= self._max_statements:
            return None
        count = self._counts.pop(query, 0) + 1
        if count >= self._threshold:
            # Never twice: the server may have a statement whose client left before `add`.
            self._number += 1
            return b"sqlproxy_%d" % self._number
        if len(self._counts) >= _MAX_COUNTED:
            self._counts.clear()
        self._counts[query] = count
        return None

    def add(self, query: bytes, name: bytes) -> None:
        """Notes that the statement is prepared under the name."""
        self._names[query] = name
