"""A circuit breaker: what is known to be dead is not asked again by every request.

    closed ──FAILURES in a row──▶ open ──after its time──▶ half open ──the probe succeeds──▶ closed
                                    ▲                          │
                                    └─────the probe fails──────┘  for twice as long, up to LONGEST

It belongs to one isolate, and holds numbers only: nothing in it belongs to a request.
"""

import math
from collections.abc import Callable
from enum import Enum

from signup.problems import ProxyUnavailable

FAILURES = 5
# Seconds.
FIRST = 1.0
LONGEST = 15.0


class State(Enum):
    """What a call may do."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class Circuit:
    """Counts failures, and says when to leave off.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = FIRST
        self._opened: float | None = None
        self._probe: float | None = None

    @property
    def state(self) -> State:
        """Closed, open, or half open: open for long enough to try one call."""
        if self._opened is None:
            return State.CLOSED
        return State.HALF_OPEN if self._clock() >= self._opened + self._pause else State.OPEN

    def require_closed(self) -> None:
        """Do nothing while calls may be made.

        Raises:
            ProxyUnavailable: the circuit is open; when to come back is in it.
        """
        if self._opened is None:
            return
        state = self.state
        # A probe that was cut off says nothing, and is not waited for longer than the circuit would be open.
        probing = self._probe is not None and self._clock() < self._probe + self._pause
        if state is State.OPEN or (state is State.HALF_OPEN and probing):
            until = (self._probe if state is State.HALF_OPEN else self._opened) or 0.0
            wait = max(1, math.ceil(until + self._pause - self._clock()))
            raise ProxyUnavailable("the data proxy failed repeatedly, and is left alone for a while", wait)

    def begin(self) -> None:
        """Make a call: in the half open state it is the one probe.

        Raises:
            ProxyUnavailable: as `require_closed`.
        """
        self.require_closed()
        if self._opened is not None:
            self._probe = self._clock()

    def succeeded(self) -> None:
        """Note that the other end answered, whatever it said."""
        self._failures, self._pause = 0, FIRST
        self._opened = self._probe = None

    def failed(self) -> None:
        """Note that the other end could not be reached or did not answer."""
        self._failures += 1
        if self._probe is not None:
            self._pause = min(self._pause * 2, LONGEST)
        if self._probe is not None or (self._opened is None and self._failures >= FAILURES):
            self._opened, self._probe = self._clock(), None
