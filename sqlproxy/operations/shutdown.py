"""uvicorn's server, and how it is told to stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvicorn

from sqlproxy.operations import log

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterator

__all__ = ["Server"]


class Server(uvicorn.Server):
    """uvicorn's, but a signal ends it with status 0, and a second one at once.

    Args:
        config: As for uvicorn.
        on_listening: Called when it takes connections.
        orders: A file descriptor to be told by instead of signals: by each byte, and by its end.
    """

    def __init__(self, config: uvicorn.Config, *, on_listening: Callable[[], None], orders: int | None) -> None:
        super().__init__(config)
        self._on_listening = on_listening
        self._orders = orders

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Starts, and says so."""
        await super().startup(sockets)
        self._on_listening()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listens for signals, or for orders, while the block runs."""
        loop = asyncio.get_running_loop()
        if self._orders is not None:
            loop.add_reader(self._orders, self._on_order, self._orders)
            try:
                yield
            finally:
                loop.remove_reader(self._orders)
            return
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self._on_signal, number)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: signal.Signals) -> None:
        log.event(logging.INFO, "stopping", signal=number.name, at_once=self.should_exit)
        self._stop()

    def _on_order(self, orders: int) -> None:
        given = os.read(orders, 16)
        for _ in given:
            self._stop()
        if not given:
            # The parent is gone. It may have said so before.
            asyncio.get_running_loop().remove_reader(orders)
            self.should_exit = True

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
