"""Retries of statements: at most `ATTEMPTS` attempts, with full jitter, one deadline and a circuit breaker.

Callers must pass only statements that are safe to repeat.
"""

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable, Sequence

from signup.database.circuit_breaker import CircuitBreaker
from signup.database.proxy import DataProxy, Rows
from signup.problems import ProxyBusy, ProxyProblem, ProxyTimeout

ATTEMPTS = 4
# Bounds of a pause in seconds. Full jitter: a pause is uniformly random between 0 and a bound that doubles each time
# (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0


class ResilientProxy:
    """Runs statements on a data proxy, and retries them.

    Args:
        proxy: the data proxy.
        proxy_timeout: the timeout of the data proxy itself, in seconds. An attempt that has more time than this gets no
            timer of its own, because a timer in workerd costs about as much as an exchange.
        clock: returns the monotonic time, in seconds.
        sleep: waits for a number of seconds.
        draw: returns a random number in [0, 1). `random` would return the same numbers in every isolate that
            starts from the same memory snapshot.
    """

    def __init__(
        self,
        proxy: DataProxy,
        proxy_timeout: float = math.inf,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = lambda: int.from_bytes(os.urandom(4), "big") / 2**32,
    ) -> None:
        self._proxy = proxy
        self._proxy_timeout = proxy_timeout
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self._circuit = CircuitBreaker(clock)

    def require_available(self) -> None:
        """Raise an error if the circuit breaker refuses calls.

        Raises:
            ProxyUnavailable: the circuit is open, or a probe is running.
        """
        self._circuit.require_closed()

    async def execute(self, statement: str, parameters: Sequence[str | None], deadline: float) -> Rows:
        """Run a statement. Retry it after a `ProxyProblem` if the next attempt is expected to end before the deadline.

        Args:
            statement: a statement that is safe to repeat.
            parameters: the values of `$1`, `$2`, ….
            deadline: the time by which to return, in seconds on the clock.

        Raises:
            Problem: see `DataProxy.execute`.
        """
        bound = FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            start = self._clock()
            try:
                return await self._attempt(statement, parameters, deadline - self._clock())
            except ProxyProblem as problem:
                # Other clients may have received the same Retry-After, so add the jitter to it.
                pause = self._draw() * bound + problem.requested_pause
                # Do not start an attempt that the deadline would cut off: its outcome would be unknown. A timeout does
                # not show how long the next attempt takes.
                expected_duration = 0 if isinstance(problem, ProxyTimeout) else self._clock() - start
                if attempt == ATTEMPTS or self._clock() + pause + expected_duration >= deadline:
                    raise
            await self._sleep(pause)
            bound = min(bound * 2, LONGEST_PAUSE)
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    async def _attempt(self, statement: str, parameters: Sequence[str | None], seconds: float) -> Rows:
        self._circuit.begin()
        try:
            if seconds > self._proxy_timeout:
                rows = await self._proxy.execute(statement, parameters)
            else:
                async with asyncio.timeout(seconds):
                    rows = await self._proxy.execute(statement, parameters)
        except TimeoutError as exc:
            self._circuit.failed()
            raise ProxyTimeout("deadline_exceeded") from exc
        except ProxyBusy:
            # The proxy responded, so this is no reason to open the circuit.
            self._circuit.succeeded()
            raise
        except ProxyProblem:
            self._circuit.failed()
            raise
        except Exception:
            self._circuit.succeeded()
            raise
        self._circuit.succeeded()
        return rows
