"""A supervisor of several worker processes that serve one port.

The supervisor serves no requests itself, so that a replacement starts in the same state as the first worker. Each
worker has its own listening socket on the port (SO_REUSEPORT), and the kernel distributes connections over them. The
supervisor keeps all sockets open: a client that connects while a worker is being replaced waits for the new worker.

Workers ignore SIGTERM and SIGINT and are stopped through a pipe. Otherwise a signal would arrive twice, because a
terminal signals the whole process group, and some service managers signal every process. If the supervisor is killed,
its ends of the pipes are closed, which also stops the workers.
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

# The exit status for a wrong setting. If a worker exits with it, the supervisor stops all workers instead of replacing
# that one.
EXIT_WRONG_SETTING = 2

_STOP = {signal.SIGTERM, signal.SIGINT}
_SIGNALS = _STOP | {signal.SIGCHLD}
# Delay before a dead worker is replaced. Postgres needs up to a second to end the dead worker's connections
# (`client_connection_check_interval` in `postgres.session`). Until then, its connections and those of its replacement
# together could exceed `--pool-size`.
_PAUSE_SECONDS = 1.5


class _Worker(NamedTuple):
    number: int
    stop_pipe: int


class Supervisor:
    """Starts, replaces and stops worker processes.

    Args:
        count: the number of workers.
        work: runs in each worker and returns its exit status. Its arguments are the worker's number from 0 and the file
            descriptor of its stop pipe: the first byte or end-of-file stops the worker gracefully, and a second byte
            stops it at once.
        on_stop: closes the supervisor's listening sockets.
        stop_limit: the seconds that workers have to stop before they are killed.
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
        for wakeup_socket in (self._wakeup_reader, self._wakeup_writer):
            wakeup_socket.setblocking(False)

    def run(self) -> int:
        """Run until all workers have ended.

        Returns:
            In the supervisor, the highest exit status of the workers that ended during the stop or caused it (1 for a
            worker that a signal killed); in a worker, its own exit status.
        """
        for handled_signal in _SIGNALS:
            signal.signal(handled_signal, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup_writer.fileno(), warn_on_full_buffer=False)
        while self._start_times or self._workers:
            for index in [index for index, start_time in self._start_times.items() if start_time <= monotonic()]:
                del self._start_times[index]
                stop_pipe = self._fork(index)
                if stop_pipe is not None:
                    return self._work(index, stop_pipe)
            due_times = [*self._start_times.values(), *([] if self._deadline is None else [self._deadline])]
            select.select([self._wakeup_reader], [], [], max(0.0, min(due_times) - monotonic()) if due_times else None)
            for signum in self._received_signals():
                if signum in _STOP:
                    self._stop(signal.Signals(signum))
            if self._deadline is not None and monotonic() >= self._deadline:
                self._kill()
            self._reap()
        return self._status

    def _fork(self, index: int) -> int | None:
        """Start a worker; return None in the supervisor and the file descriptor of its stop pipe in the worker."""
        stop_pipe, write_end = os.pipe()
        # Block signals: right after the fork, a signal would run the supervisor's handler in the worker.
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
        # A worker reads end-of-file only when no process has the write end of its pipe open.
        for descriptor in (write_end, *(worker.stop_pipe for worker in self._workers.values())):
            os.close(descriptor)
        self._wakeup_reader.close()
        self._wakeup_writer.close()
        return stop_pipe

    def _received_signals(self) -> Iterator[int]:
        with suppress(BlockingIOError):
            yield from self._wakeup_reader.recv(256)

    def _stop(self, number: signal.Signals) -> None:
        log.event(logging.INFO, "stopping", signal=number.name, immediate=self._stopping)
        if not self._stopping:
            self._deadline = monotonic() + self._stop_limit
        self._stopping = True
        self._start_times.clear()
        self._on_stop()
        for worker in self._workers.values():
            with suppress(BrokenPipeError):
                os.write(worker.stop_pipe, b".")

    def _kill(self) -> None:
        """Kill the workers that have not stopped in time, for example because they are frozen."""
        self._deadline = None
        for pid, worker in self._workers.items():
            log.event(logging.ERROR, "worker_killed", worker=worker.number)
            os.kill(pid, signal.SIGKILL)

    def _reap(self) -> None:
        for pid in list(self._workers):
            ended_pid, wait_status = os.waitpid(pid, os.WNOHANG)
            if ended_pid:
                worker = self._workers.pop(pid)
                os.close(worker.stop_pipe)
                self._on_worker_exit(worker, os.waitstatus_to_exitcode(wait_status))

    def _on_worker_exit(self, worker: _Worker, status: int) -> None:
        if self._stopping or status == EXIT_WRONG_SETTING:
            # A negative status is the negated number of the signal that killed the worker.
            self._status = max(self._status, status if status >= 0 else 1)
            if not self._stopping:
                self._stop(signal.SIGTERM)
            return
        log.event(logging.ERROR, "worker_exited", worker=worker.number, status=status)
        self._start_times[worker.number] = monotonic() + _PAUSE_SECONDS
