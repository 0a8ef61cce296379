"""Long-running programs: started, watched, and stopped together with their child processes."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING

from devstack.postgres.unprivileged import PR_SET_PDEATHSIG

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

KEPT_LINES = 40
# Of which an error shows so many.
SHOWN_LINES = 15
# Seconds between the request to stop and SIGKILL.
PATIENCE = 10


class ServiceError(Exception):
    """A service did not start, or ended by itself; the message holds its last lines."""


class Service:
    """One program of the stack.

    Args:
        name: what its lines are prefixed with.
        command: program and arguments.
        env: its whole environment.
        sink: gets each line that it prints, with its name first.
        stop_signal: what asks it to stop.
        fatal: a text in a line of its output after which it runs to no purpose; "" for none.
    """

    def __init__(  # noqa: PLR0913 - what a program needs
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str],
        sink: Callable[[str, str], None],
        *,
        stop_signal: signal.Signals = signal.SIGTERM,
        fatal: str = "",
    ) -> None:
        self.name = name
        self._command = list(command)
        self._env = dict(env)
        self._sink = sink
        self._stop_signal = stop_signal
        self._fatal = fatal
        self._is_lost = False
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None
        self._tail: deque[str] = deque(maxlen=KEPT_LINES)

    @property
    def pid(self) -> int | None:
        """The process id while it runs."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start it, from a thread that lives as long as it should: its end is the service's end too.

        It gets a session of its own: Ctrl-C at the terminal is for the supervisor, which stops services in order.
        """
        self._tail.clear()
        self._is_lost = False
        self._process = subprocess.Popen(
            self._command,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            preexec_fn=_die_with_supervisor,  # noqa: PLW1509 - it makes one system call
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def require_alive(self) -> None:
        """Do nothing while it runs.

        Raises:
            ServiceError: it ended, or said that it cannot go on.
        """
        if self._is_lost:
            raise ServiceError(f"{self.name} cannot go on. Its last lines:\n{self.last_lines()}")
        if self._process is None or self._process.poll() is not None:
            how = "was not started" if self._process is None else _end(self._process.returncode)
            raise ServiceError(f"{self.name} {how}. Its last lines:\n{self.last_lines()}")

    def last_lines(self) -> str:
        """Return the end of what it printed."""
        if self._reader is not None and self.pid is None:
            self._reader.join(timeout=2)
        return "\n".join(f"  {line}" for line in list(self._tail)[-SHOWN_LINES:])

    def stop(self) -> None:
        """Ask it to stop, wait, and kill what is left of it and of what it started. Stopping twice is harmless."""
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
        # It leads a process group: children that it left behind are in it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if self._reader is not None:
            self._reader.join(timeout=2)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._tail.append(line.rstrip())
                self._is_lost = self._is_lost or bool(self._fatal and self._fatal in line)
                self._sink(self.name, line.rstrip())


def _end(status: int) -> str:
    """Return a status as a person would say it."""
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended with status {status}"


def _die_with_supervisor() -> None:
    """On Linux, have the kernel end this process when the supervisor dies, even of SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
