"""Which HTTP connections a process keeps when there are many: first of all those that have sent a valid token."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Admission", "Evictable"]

# One in so many connections may be without a valid token. Beyond that the oldest of them gives way to a new one,
_SHARE = 4
# unless it is younger than this: in a burst of new clients, tokens are still on their way.
_GRACE_SECONDS = 1.0


class Evictable(Protocol):
    """A connection, as far as its admission is concerned."""

    def is_busy(self) -> bool:
        """Return whether a request of it is being answered."""
        ...

    def evict(self) -> None:
        """Close it in favour of a newer one."""
        ...


class Admission:
    """Counts the connections that have sent no valid token yet, and closes the oldest when they are too many.

    A client that fills the connections without a token locks no other client out: it would have to open all of them
    anew in the moment that the other client needs to send its first request.

    Args:
        limit: Most connections of all kinds.
        clock: Seconds, monotonic.
    """

    def __init__(self, limit: int, clock: Callable[[], float] = monotonic) -> None:
        self._limit = limit
        self._share = max(1, limit // _SHARE)
        self._clock = clock
        # Since when, oldest first.
        self._unauthenticated: dict[Evictable, float] = {}

    def admit(self, connection: Evictable, total: int) -> bool:
        """Return whether there is room for a new connection, after an older one was evicted if need be.

        Args:
            connection: The new one.
            total: How many there are with it.
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
        """Stop counting a connection: it sent a valid token, or was closed."""
        self._unauthenticated.pop(connection, None)

    def _is_crowded(self, age: float) -> bool:
        return len(self._unauthenticated) >= self._share and age > _GRACE_SECONDS
