"""Several processes that serve one port: started, replaced when one dies, and stopped together.

They are forked from a process that does nothing else, so that a new one begins as clean as the first. Each has a
listening socket of its own on the port (SO_REUSEPORT), over which the kernel spreads the connections. The parent keeps
all of them open: who connects while a worker is being replaced waits for its successor.

The parent stops a worker through a pipe. Workers ignore signals: a terminal signals the whole process group, and some
supervisors every process of a service, so that a signal that the parent passed on would come twice. The pipe also tells
a worker that the parent is gone, whatever killed it.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from sqlproxy.operations import log

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["EXIT_WRONG_SETTING", "Supervisor"]

# The exit status of a process that its settings keep from starting: another one would fare no better.
EXIT_WRONG_SETTING = 2

_STOP = {signal.SIGTERM, signal.SIGINT}
_SIGNALS = _STOP | {signal.SIGCHLD}
# Until a dead worker is replaced. Within a second Postgres notices that the client of a statement is gone, as
# `postgres.session` asks of it: the successor's connections must not come on top of its predecessor's.
_PAUSE_SECONDS = 1.5


class _Worker(NamedTuple):
    number: int
    stop_pipe: int


class Supervisor:
    """The parent.

    Args:
        count: How many workers.
        work: Runs in each, given its number from 0 and the file descriptor of its stop pipe; returns the exit
            status. Each byte in that pipe is a request to stop, and so is its end.
        on_stop: Closes the parent's listening sockets.
        stop_limit: Seconds that workers have to end after a request to stop; then they are killed.
    """

    def __init__(
        self, count: int, work: Callable[[int, int], int], on_stop: Callable[[], None], *, stop_limit: float
    ) -> None:
        self._work = work
        self._on_stop = on_stop
        self._stop_limit = stop_limit
        self._deadline: float | None = None
        self._start_times = dict.fromkeys(range(count), 0.0)
        self._workers: dict[int, _Worker] = {}
        self._stopping = False
        self._status = 0
        self._wakeup_reader, self._wakeup_writer = socket.socketpair()
        for end in (self._wakeup_reader, self._wakeup_writer):
            end.setblocking(False)

    def run(self) -> int:
        """Runs until all workers have ended.

        Returns:
            In the parent, the greatest status of a worker once they were told to stop; in a worker, its own.
        """
        for expected in _SIGNALS:
            signal.signal(expected, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup_writer.fileno(), warn_on_full_buffer=False)
        while self._start_times or self._workers:
            for index in [index for index, at in self._start_times.items() if at <= monotonic()]:
                del self._start_times[index]
                stop_pipe = self._fork(index)
                if stop_pipe is not None:
                    return self._work(index, stop_pipe)
            times = [*self._start_times.values(), *([] if self._deadline is None else [self._deadline])]
            select.select([self._wakeup_reader], [], [], max(0.0, min(times) - monotonic()) if times else None)
            for number in self._received_signals():
                if number in _STOP:
                    self._stop(signal.Signals(number))
            if self._deadline is not None and monotonic() >= self._deadline:
                self._kill()
            self._reap()
        return self._status

    def _fork(self, index: int) -> int | None:
        """Starts a worker; None in the parent, and in the worker the file descriptor of its stop pipe."""
        stop_pipe, write_end = os.pipe()
        # A signal between fork and set-up would be handled as if it were the parent's.
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
            os.close(stop_pipe)
            self._workers[pid] = _Worker(index, write_end)
            log.event(logging.INFO, "worker_started", worker=index, pid=pid)
            return None
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number in _STOP:
            signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        # The end of a stop pipe is only seen when nobody else holds it open.
        for descriptor in (write_end, *(worker.stop_pipe for worker in self._workers.values())):
            os.close(descriptor)
        self._wakeup_reader.close()
        self._wakeup_writer.close()
        return stop_pipe

    def _received_signals(self) -> Iterator[int]:
        with suppress(BlockingIOError):
            yield from self._wakeup_reader.recv(256)

    def _stop(self, number: signal.Signals) -> None:
        log.event(logging.INFO, "stopping", signal=number.name, at_once=self._stopping)
        if not self._stopping:
            self._deadline = monotonic() + self._stop_limit
        self._stopping = True
        self._start_times.clear()
        self._on_stop()
        for worker in self._workers.values():
            with suppress(BrokenPipeError):
                os.write(worker.stop_pipe, b".")

    def _kill(self) -> None:
        """End the workers that have not stopped in time, such as one that is frozen."""
        self._deadline = None
        for pid, worker in self._workers.items():
            log.event(logging.ERROR, "worker_killed", worker=worker.number)
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        for pid in list(self._workers):
            ended, wait_status = os.waitpid(pid, os.WNOHANG)
            if ended:
                worker = self._workers.pop(pid)
                os.close(worker.stop_pipe)
                self._on_worker_exit(worker, os.waitstatus_to_exitcode(wait_status))

    def _on_worker_exit(self, worker: _Worker, status: int) -> None:
        if self._stopping or status == EXIT_WRONG_SETTING:
            # A negative status is the signal that killed it.
            self._status = max(self._status, status if status >= 0 else 1)
            if not self._stopping:
                self._stop(signal.SIGTERM)
            return
        log.event(logging.ERROR, "worker_ended", worker=worker.number, status=status)
        self._start_times[worker.number] = monotonic() + _PAUSE_SECONDS
