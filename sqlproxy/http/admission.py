"""Admission of HTTP connections: those that have sent a valid token take precedence."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Admission", "Evictable"]

# Connections without a valid token may use a quarter of the limit. Beyond that quota, a new one replaces the
# oldest of these connections that has no request in progress.
_UNAUTHENTICATED_DIVISOR = 4
# A connection younger than this is replaced only when the total limit is reached: in a burst of new clients, tokens
# are still in transit.
_GRACE_SECONDS = 1.0


class Evictable(Protocol):
    """A connection that can be closed in favour of a newer one."""

    def is_busy(self) -> bool:
        """Return whether a request is in progress."""
        ...

    def evict(self) -> None:
        """Close the connection."""
        ...


class Admission:
    """Limits the number of connections. If there are too many, the oldest idle one without a valid token is closed.

    A client without a token cannot lock out other clients by opening many connections: it would have to reopen all of
    them in the time that another client needs to send its first request.

    Args:
        limit: the largest number of connections, with and without a token.
        clock: a monotonic clock in seconds.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._unauthenticated_limit = max(1, limit // _UNAUTHENTICATED_DIVISOR)
        self._clock = clock
        # Admission times of connections without a valid token, oldest first.
        self._unauthenticated: dict[Evictable, float] = {}

    def admit(self, connection: Evictable, total: int) -> bool:
        """Return whether a new connection is admitted; evict an older one to make room for it if necessary.

        Args:
            connection: the new connection.
            total: the number of connections, including the new one.
        """
        now = self._clock()
        full = total > self._limit
        oldest = next((each for each in self._unauthenticated if not each.is_busy()), None)
        if oldest is not None and (full or self._is_crowded(now - self._unauthenticated[oldest])):
            del self._unauthenticated[oldest]
            oldest.evict()
        elif full:
            return False
        self._unauthenticated[connection] = now
        return True

    def release(self, connection: Evictable) -> None:
        """Stop counting a connection as unauthenticated, because it sent a valid token or was closed."""
        self._unauthenticated.pop(connection, None)

    def _is_crowded(self, age: float) -> bool:
        return len(self._unauthenticated) >= self._unauthenticated_limit and age > _GRACE_SECONDS
