"""Turns of Pyodide's event loop, as microtasks of JavaScript.

Pyodide gives each callback a turn of its own: a timer of JavaScript, a proxy that is used once, and a stack that could
be switched. In workerd that is a fifth of what a request costs before any code of ours runs, and a timer of a request
whose client went away never comes. Here callbacks queue in Python, and one microtask runs all of them, as the call
that queued them returns to JavaScript. A new task begins in the call that makes it: it needs no turn at all.

Nothing that runs so may wait for a promise synchronously (`pyodide.ffi.run_sync`), for which the stack would be needed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any


class Turns:
    """Stands in the place of two methods of an event loop.

    Args:
        loop: it.
        post: asks that `run` be called soon, and once.
        make_task: as `asyncio.Task`, but that it begins at once, as with `eager_start`.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, post: Callable[[], object], make_task: Callable[..., asyncio.Task[Any]]
    ) -> None:
        self._loop = loop
        self._post = post
        self._make_task = make_task
        self._queue: deque[asyncio.Handle] = deque()

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: Context | None = None
    ) -> asyncio.Handle:
        """Call a function in the next turn, unless its handle is cancelled; see `asyncio.loop.call_soon`."""
        handle = asyncio.Handle(callback, args, self._loop, context)
        if not self._queue:
            self._post()
        self._queue.append(handle)
        return handle

    def create_task(
        self, coro: Coroutine[Any, Any, Any], *, name: str | None = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        """Run a coroutine up to where it waits, and go on with it as a task; see `asyncio.loop.create_task`."""
        self._enter()
        return self._make_task(coro, loop=self._loop, name=name, context=context)

    def run(self) -> None:
        """Call all that were queued, those included that are meanwhile."""
        self._enter()
        try:
            while self._queue:
                # It stays in the queue while it runs, so that nobody asks for another turn.
                handle = self._queue[0]
                try:
                    if not handle.cancelled():
                        handle._run()  # noqa: SLF001 - as every event loop does
                finally:
                    self._queue.popleft()
        finally:
            if self._queue:  # One of them raised what no loop catches, such as SystemExit.
                self._post()

    def _enter(self) -> None:
        # Each call from JavaScript may be on a stack of its own, which knows of no event loop yet.
        asyncio._set_running_loop(self._loop)  # noqa: SLF001 - documented for whoever runs tasks, as event loops do
