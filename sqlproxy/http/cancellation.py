"""Cancel a request when its client disconnects or its deadline passes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping
    from typing import Any

__all__ = ["Canceller"]

# Seconds until the deadline's timer and the task that listens for a disconnect are started. Most requests end earlier
# and need neither.
_START_SECONDS = 0.02


class Canceller:
    """Cancels the task that created it, at a disconnect or at the deadline. The task must call `stop` at its end.

    Args:
        receive: ASGI's `receive`.
        deadline: the deadline in seconds on the event loop's clock.

    Attributes:
        client_gone: whether the task was cancelled because the client disconnected.
        timed_out: whether the task was cancelled because the deadline passed.
    """

    __slots__ = (
        *("_started", "_deadline", "_listening", "_loop", "_receive", "_task", "_timer", "_disconnect_task"),
        *("client_gone", "timed_out"),
    )

    def __init__(self, receive: Callable[[], Awaitable[MutableMapping[str, Any]]], deadline: float) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None  # noqa: S101 - called from a coroutine
        self._loop = loop
        self._task = task
        self._receive = receive
        self._deadline = deadline
        self._started = self._listening = False
        self._disconnect_task: asyncio.Task[None] | None = None
        self._timer = loop.call_later(_START_SECONDS, self._start)
        self.client_gone = False
        self.timed_out = False

    def listen(self) -> None:
        """Start to listen for a disconnect; call this after the whole body was received."""
        self._listening = True
        if self._started:
            self._start_watching()

    def stop(self) -> None:
        """Stop watching, and clear the task's cancellation request."""
        self._timer.cancel()
        if self._disconnect_task is not None:
            self._disconnect_task.cancel()
        if self.client_gone or self.timed_out:
            self._task.uncancel()

    def _start(self) -> None:
        self._started = True
        self._timer = self._loop.call_at(self._deadline, self._expire)
        if self._listening:
            self._start_watching()

    def _start_watching(self) -> None:
        self._disconnect_task = self._loop.create_task(self._wait_for_disconnect())

    def _expire(self) -> None:
        if not self.client_gone:
            self.timed_out = True
            self._task.cancel()

    async def _wait_for_disconnect(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        if not self.timed_out:
            self.client_gone = True
            self._task.cancel()
