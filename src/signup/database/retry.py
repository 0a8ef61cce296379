"""A data proxy that is asked again when it fails: a small budget, full jitter, one deadline, a circuit breaker.

Only statements that are safe to repeat may be sent through it.
"""

import asyncio
import math
import os
import time
from collections.abc import Awaitable, Callable, Sequence

from signup.database.circuit_breaker import Circuit
from signup.database.proxy import DataProxy, Rows
from signup.problems import ProxyBusy, ProxyProblem, ProxyTimeout

ATTEMPTS = 4
# Seconds. "Full jitter": a pause is drawn evenly from nothing to a bound that doubles with each attempt
# (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0


class ResilientProxy:
    """Runs statements on a `DataProxy`.

    Args:
        proxy: it.
        longest: seconds after which the proxy gives up by itself. An attempt that has longer needs no timer of ours,
            which in workerd costs about as much as an exchange, and stays until its time has come.
        clock: seconds, monotonic.
        sleep: waits for so many seconds.
        draw: returns a number from 0 to 1. Not `random`'s, whose state would be the same in every isolate that starts
            from one memory snapshot.
    """

    def __init__(
        self,
        proxy: DataProxy,
        longest: float = math.inf,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = lambda: int.from_bytes(os.urandom(4), "big") / 2**32,
    ) -> None:
        self._proxy = proxy
        self._longest = longest
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self._circuit = Circuit(clock)

    def require_available(self) -> None:
        """Do nothing unless the circuit is open.

        Raises:
            ProxyUnavailable: it is.
        """
        self._circuit.require_closed()

    async def execute(self, statement: str, parameters: Sequence[str | None], deadline: float) -> Rows:
        """Run a statement, perhaps several times; the last attempt's problem is the one that is raised.

        Args:
            statement: it must be safe to repeat.
            parameters: for its `$1`, `$2`, ….
            deadline: when the answer must be there, on the clock.

        Raises:
            Problem: as `DataProxy.execute`.
        """
        bound = FIRST_PAUSE
        for attempt in range(1, ATTEMPTS + 1):
            start = self._clock()
            try:
                return await self._attempt(statement, parameters, deadline - self._clock())
            except ProxyProblem as problem:
                # What the other end asked for is the least, and the jitter comes on top: others were told the same.
                pause = self._draw() * bound + problem.asked_to_wait
                # Rather a clear no than one more attempt that the deadline cuts off, and whose outcome nobody knows.
                again = 0 if isinstance(problem, ProxyTimeout) else self._clock() - start
                if attempt == ATTEMPTS or self._clock() + pause + again >= deadline:
                    raise
            await self._sleep(pause)
            bound = min(bound * 2, LONGEST_PAUSE)
        raise AssertionError  # pragma: no cover - the last attempt returns or raises

    async def _attempt(self, statement: str, parameters: Sequence[str | None], seconds: float) -> Rows:
        self._circuit.begin()
        try:
            if seconds > self._longest:
                rows = await self._proxy.execute(statement, parameters)
            else:
                async with asyncio.timeout(seconds):
                    rows = await self._proxy.execute(statement, parameters)
        except TimeoutError as exc:
            self._circuit.failed()
            raise ProxyTimeout("no answer from the data proxy by the request's deadline") from exc
        except ProxyBusy:
            # It answers, and at once: leaving it alone would not help whoever is let in.
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
