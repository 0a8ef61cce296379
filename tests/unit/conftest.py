"""Fixtures of the unit tests."""

import asyncio
import selectors
import time
from typing import Any

import pytest


class SkippingSelector(selectors.DefaultSelector):
    """A selector that adds up timeouts instead of waiting for them.

    Attributes:
        skipped: the sum of the skipped timeouts, in seconds.
    """

    skipped = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """Return the files that are ready now. If `timeout` is None, wait until a file is ready."""
        ready = super().select(timeout if timeout is None else 0)
        if not ready and timeout:
            self.skipped += timeout
        return ready


@pytest.fixture
def anyio_backend(monkeypatch: pytest.MonkeyPatch) -> tuple[str, dict[str, Any]]:
    """Run async tests without waiting for timers: when all tasks wait, the clock skips to the next timer."""
    selector, clock = SkippingSelector(), time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + selector.skipped)
    return "asyncio", {"loop_factory": lambda: asyncio.SelectorEventLoop(selector)}
