"""A circuit breaker: after repeated failures, calls fail at once until a probe succeeds.

    closed ──FAILURES in a row──▶ open ──after a pause──▶ half open ──the probe succeeds──▶ closed
                                    ▲                         │
                                    └────the probe fails──────┘  the pause doubles, up to LONGEST

Each isolate has its own circuit breakers. They store only numbers, and no request data.
"""

import math
from collections.abc import Callable
from enum import Enum

from signup.problems import ProxyUnavailable

# The number of consecutive failures that open the circuit.
FAILURES = 5
# The first and the longest pause, in seconds.
FIRST = 1.0
LONGEST = 15.0


class State(Enum):
    """The state of a circuit breaker."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"


class CircuitBreaker:
    """Counts failures, and refuses calls while the circuit is open.

    Args:
        clock: returns the monotonic time, in seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._pause = FIRST
        self._opened_at: float | None = None
        self._probe_at: float | None = None

    @property
    def state(self) -> State:
        """Return the state; half open means that the pause of the open state is over."""
        if self._opened_at is None:
            return State.CLOSED
        return State.HALF_OPEN if self._clock() >= self._opened_at + self._pause else State.OPEN

    def require_closed(self) -> None:
        """Raise an error if no call may be made.

        Raises:
            ProxyUnavailable: the circuit is open, or a probe is running; `retry_after` is the remaining pause, in
                seconds.
        """
        if self._opened_at is None:
            return
        state = self.state
        # A probe may end without a result, so a second probe may start after another pause.
        probing = self._probe_at is not None and self._clock() < self._probe_at + self._pause
        if state is State.OPEN or (state is State.HALF_OPEN and probing):
            pause_start = (self._probe_at if state is State.HALF_OPEN else self._opened_at) or 0.0
            wait = max(1, math.ceil(pause_start + self._pause - self._clock()))
            raise ProxyUnavailable("circuit_open", wait)

    def begin(self) -> None:
        """Start a call. In the half-open state this call is the probe.

        Raises:
            ProxyUnavailable: see `require_closed`.
        """
        self.require_closed()
        if self._opened_at is not None:
            self._probe_at = self._clock()

    def succeeded(self) -> None:
        """Record that the service is available, and close the circuit."""
        self._failures, self._pause = 0, FIRST
        self._opened_at = self._probe_at = None

    def failed(self) -> None:
        """Record a failed call. Open the circuit if the call was a probe, or the last of `FAILURES` in a row."""
        self._failures += 1
        if self._probe_at is not None:
            self._pause = min(self._pause * 2, LONGEST)
        if self._probe_at is not None or (self._opened_at is None and self._failures >= FAILURES):
            self._opened_at, self._probe_at = self._clock(), None
