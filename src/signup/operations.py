"""What JavaScript does for Python, and Python waits for, at the least cost.

Pyodide awaits a promise by way of the event loop: a timer, a turn, and a proxy for each way to end, which for all that
a sign-up waits for comes to a fifth of its cost beside the hash. A task of asyncio takes any object that is a future to
it (`asyncio.isfuture`), and an operation here is one, whose task goes on in the very call by which JavaScript ends it.
"""

import asyncio
import time
from collections.abc import Callable, Generator
from contextvars import Context
from typing import Any

# Seconds after which an operation is forgotten. In workerd the promises of a request whose client went away never end.
LONGEST = 300.0
# How many begin between two looks for such ones.
LOOK_EVERY = 64


class Operation:
    """A future that is done when it is settled, and whose task then goes on at once; await it, once.

    Args:
        loop: the task's.
        began: when, in seconds on a monotonic clock.
    """

    # By this member asyncio knows a future, and a task that it is to wait for one.
    _asyncio_future_blocking = False

    def __init__(self, loop: asyncio.AbstractEventLoop, began: float) -> None:
        self.began = began
        self._loop = loop
        self._callback: Callable[[Operation], object] | None = None
        self._context: Context | None = None
        self._outcome: tuple[Any, ...] | None = None
        self._cancelled = False

    def __await__(self) -> Generator["Operation", None, tuple[Any, ...]]:
        """Return what it was settled with: the values, and none if it failed."""
        if self._outcome is None:
            self._asyncio_future_blocking = True
            yield self
        return self.result()

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the task's event loop; asyncio asks."""
        return self._loop

    def add_done_callback(self, callback: Callable[["Operation"], object], *, context: Context) -> None:
        """Take what the task is to be woken with; asyncio calls this, once."""
        self._callback, self._context = callback, context

    def result(self) -> tuple[Any, ...]:
        """Return what it was settled with.

        Raises:
            asyncio.CancelledError: the task was cancelled meanwhile.
        """
        if self._cancelled:
            raise asyncio.CancelledError
        assert self._outcome is not None  # noqa: S101 - asyncio asks when it is done
        return self._outcome

    def cancel(self, msg: object = None) -> bool:
        """Wake the task with `CancelledError`, unless it is done; what JavaScript does goes on. Asyncio calls this."""
        del msg
        if self._outcome is not None or self._cancelled:
            return False
        self._cancelled = True
        # Not at once: whoever cancels a task does not expect it to run meanwhile.
        if self._callback is not None:
            self._loop.call_soon(self._callback, self, context=self._context)
        return True

    def settle(self, outcome: tuple[Any, ...]) -> None:
        """End it, and go on with its task."""
        if self._cancelled:
            return
        self._outcome = outcome
        if self._callback is None or self._context is None:
            return
        # Each call from JavaScript may be on a stack of its own, which knows of no event loop yet.
        asyncio._set_running_loop(self._loop)  # noqa: SLF001 - documented for whoever runs tasks, as event loops do
        if asyncio.current_task(self._loop) is None:
            self._context.run(self._callback, self)
        else:
            # A task cannot go on inside of another one.
            self._loop.call_soon(self._callback, self, context=self._context)


class Operations:
    """Those of an isolate that are under way, by number.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = 0
        self._begun: dict[int, Operation] = {}

    def run(self, begin: Callable[..., object], *arguments: object) -> Operation:
        """Begin an operation, and return it, to be awaited.

        Args:
            begin: called with a number, by which it is settled, and the arguments.
            arguments: its own.
        """
        self._last = number = self._last + 1
        now = self._clock()
        if number % LOOK_EVERY == 0:
            self._forget(now - LONGEST)
        self._begun[number] = operation = Operation(asyncio.get_running_loop(), now)
        begin(number, *arguments)
        return operation

    def settle(self, number: int, *values: object) -> None:
        """End the operation of that number, if it is still known."""
        operation = self._begun.pop(number, None)
        if operation is not None:
            operation.settle(values)

    def _forget(self, before: float) -> None:
        # They began in the order of their numbers.
        for number, operation in list(self._begun.items()):
            if operation.began > before:
                break
            del self._begun[number]
