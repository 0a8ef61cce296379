"""Requests to stop: signals, or bytes or end-of-file in a pipe from the parent process."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

from sqlproxy.operations import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["stop_by_pipe", "stop_by_signal"]


@contextmanager
def stop_by_signal(stop: Callable[[], None]) -> Iterator[None]:
    """Call a function for each SIGTERM and SIGINT while the block runs in an event loop."""
    loop = asyncio.get_running_loop()
    received = 0

    def on_signal(number: signal.Signals) -> None:
        nonlocal received
        log.event(logging.INFO, "stopping", signal=number.name, immediate=received > 0)
        received += 1
        stop()

    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@contextmanager
def stop_by_pipe(pipe: int, stop: Callable[[], None]) -> Iterator[None]:
    """Call a function for each byte in a pipe, or once at end-of-file if there was no byte, while the block runs."""
    loop = asyncio.get_running_loop()
    requested = False

    def on_readable() -> None:
        nonlocal requested
        data = os.read(pipe, 16)
        for _ in data:
            requested = True
            stop()
        if not data:
            # The parent has ended, perhaps after it requested a stop.
            loop.remove_reader(pipe)
            if not requested:
                stop()

    loop.add_reader(pipe, on_readable)
    try:
        yield
    finally:
        loop.remove_reader(pipe)
