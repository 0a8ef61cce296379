"""A real PostgreSQL server, started and stopped in order, for the dev stack and for tests.

`init` and `command` (from `devstack.postgres.cluster`) are for a supervisor of processes; `running` is for tests.
"""

from __future__ import annotations

import contextlib
import secrets
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from devstack.postgres.cluster import (
    DEFAULTS,
    FAST,
    SUPERUSER,
    PostgresError,
    children,
    clear_lock,
    command,
    init,
    is_alive,
    is_ready,
    password_file,
    tail,
    url,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = [
    "DEFAULTS",
    "FAST",
    "SUPERUSER",
    "Postgres",
    "PostgresError",
    "command",
    "free_port",
    "init",
    "is_ready",
    "password_file",
    "running",
    "url",
]

_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.02


def free_port() -> int:
    """Return a TCP port of 127.0.0.1 that nobody listens on, and that this function gives to nobody else meanwhile.

    Between the choice and its use seconds may pass, in which other processes choose too: each choice is marked until
    this process ends, by the UDP port of the same number. The range is below the one from which systems draw the ports
    of outgoing connections (on Linux from 32768, ip(7)).
    """
    while True:
        port = 20000 + secrets.randbelow(12000)
        with (
            socket.socket() as probe,
            socket.socket(type=socket.SOCK_DGRAM) as mark,
            contextlib.suppress(OSError),
        ):
            mark.bind(("127.0.0.1", port))
            probe.bind(("127.0.0.1", port))
            mark.detach()  # so that it stays open
            return port


@dataclass
class Postgres:
    """A server that this process starts, and that a test may stop, kill and start again on the same port.

    Attributes:
        data: the data directory.
        port: the TCP port on 127.0.0.1.
        settings: server settings over `DEFAULTS`.
    """

    data: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int:
        """The process id of the running server.

        Raises:
            PostgresError: it is not running.
        """
        if self._process is None:
            raise PostgresError("the server is not running")
        return self._process.pid

    @property
    def log(self) -> Path:
        """The file that the server's messages go to."""
        return self.data.with_name(f"{self.data.name}.log")

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """Return a connection URL; without a password, the superuser's."""
        return url(self.data, self.port, database, user=user, password=password)

    def start(self) -> None:
        """Start the server and wait until it accepts connections.

        Raises:
            PostgresError: it ended early (with its last lines), or was not ready after 30 s and has been killed.
        """
        if self._process is not None:
            raise PostgresError("the server is already running")
        clear_lock(self.data)
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C at the terminal is for the test run, which then stops the server in order.
            self._process = subprocess.Popen(
                command(self.data, self.port, self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not is_ready(self.data, self._process.pid):
            status = self._process.poll()
            if status is not None:
                self._process = None
                raise PostgresError(f"postgres ended with status {status}:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                self.kill()
                raise PostgresError(f"postgres was not ready after {_START_SECONDS:.0f} s:\n{self.last_lines()}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """End it in order, at once: clients are cut off, data is saved. Nothing happens when it is not running.

        Raises:
            PostgresError: it was still there after 15 s and has been killed.
        """
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            raise PostgresError(f"postgres did not stop within {_STOP_SECONDS:.0f} s:\n{self.last_lines()}") from None
        self._process = None

    def kill(self) -> None:
        """End it as a crash would (SIGKILL), and wait until its children, which notice by themselves, are gone too."""
        if self._process is None:
            return
        orphans = children(self._process.pid)
        self._process.kill()
        self._process.wait()
        self._process = None
        deadline = time.monotonic() + _STOP_SECONDS
        while any(is_alive(child) for child in orphans):
            if time.monotonic() > deadline:
                raise PostgresError(f"processes of the killed server remain: {orphans}")
            time.sleep(_POLL_SECONDS)

    def restart(self) -> None:
        """Stop it in order, if it is running, and start it again on the same port."""
        self.stop()
        self.start()

    def last_lines(self) -> str:
        """Return the end of the server's log."""
        return tail(self.log.read_text(encoding="utf-8", errors="replace"))


@contextlib.contextmanager
def running(data: Path, *, port: int | None = None, settings: Mapping[str, str] = FAST) -> Iterator[Postgres]:
    """Run a server while the block runs, making its data directory first if need be; the data stays.

    Args:
        data: the data directory.
        port: where to listen; by default a free port.
        settings: server settings over `DEFAULTS`; by default those that trade crash safety for speed.

    Raises:
        PostgresError: it could not be made, started or stopped.
    """
    init(data, sync=settings.get("fsync") != "off")
    server = Postgres(data, port or free_port(), settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()
