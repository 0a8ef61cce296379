"""Run a PostgreSQL server for tests and measurements. `make dev` uses `devstack.postgres.cluster` instead."""

import contextlib
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devstack.postgres import cluster
from devstack.postgres.cluster import FAST, SUPERUSER, PostgresError

_START_SECONDS = 30.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.02


def free_port() -> int:
    """Return a free TCP port of 127.0.0.1, and reserve it among the processes that call this function.

    The caller may use the port seconds later. This process reserves the port by holding the UDP port with the same
    number until the process ends. The port is below the range of ephemeral ports (on Linux from 32768, ip(7)).
    """
    while True:
        port = 20000 + secrets.randbelow(12000)
        with (
            socket.socket() as probe,
            socket.socket(type=socket.SOCK_DGRAM) as reservation,
            contextlib.suppress(OSError),
        ):
            reservation.bind(("127.0.0.1", port))
            probe.bind(("127.0.0.1", port))
            reservation.detach()  # so that the socket stays open
            return port


@dataclass
class Postgres:
    """A server that a test can stop, kill and restart on the same port. `settings` override `cluster.DEFAULTS`."""

    data: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False, repr=False)

    @property
    def pid(self) -> int:
        """The process id of the running server.

        Raises:
            PostgresError: the server is not running.
        """
        if self._process is None:
            raise PostgresError("the server is not running")
        return self._process.pid

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.data.with_name(f"{self.data.name}.log")

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """Return a connection URL, with the superuser's password unless one is given."""
        return cluster.url(self.data, self.port, database, user=user, password=password)

    def start(self) -> None:
        """Start the server and wait until it accepts connections.

        Raises:
            PostgresError: the server was already running, ended during the start, or was not ready after 30 s and was
                killed.
        """
        if self._process is not None:
            raise PostgresError("the server is already running")
        cluster.clear_lock(self.data)
        with self.log.open("ab") as log:
            # In a new session, the server does not receive Ctrl-C from the terminal; the test run stops it.
            self._process = subprocess.Popen(
                cluster.command(self.data, self.port, self.settings),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not cluster.is_ready(self.data, self._process.pid):
            status = self._process.poll()
            if status is not None:
                self._process = None
                raise PostgresError(f"postgres ended with status {status}:\n{self.last_lines()}")
            if time.monotonic() > deadline:
                self.kill()
                raise PostgresError(f"postgres was not ready after {_START_SECONDS:.0f} s:\n{self.last_lines()}")
            time.sleep(_POLL_SECONDS)

    def stop(self) -> None:
        """Stop the server if it is running (fast shutdown: clients are disconnected, data is saved).

        Raises:
            PostgresError: the server did not end within 15 s and was killed.
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
        """Kill the server with SIGKILL, as in a crash, and wait until its child processes have ended.

        Raises:
            PostgresError: a child process was still alive after 15 s.
        """
        if self._process is None:
            return
        child_pids = cluster.children(self._process.pid)
        self._process.kill()
        self._process.wait()
        self._process = None
        deadline = time.monotonic() + _STOP_SECONDS
        while any(cluster.is_alive(pid) for pid in child_pids):
            if time.monotonic() > deadline:
                raise PostgresError(f"processes of the killed server remain: {child_pids}")
            time.sleep(_POLL_SECONDS)

    def restart(self) -> None:
        """Stop the server if it is running, and start it on the same port."""
        self.stop()
        self.start()

    def last_lines(self) -> str:
        """Return the end of the server's log."""
        return cluster.tail(self.log.read_text(encoding="utf-8", errors="replace"))


@contextlib.contextmanager
def running(data: Path, *, port: int | None = None, settings: Mapping[str, str] = FAST) -> Iterator[Postgres]:
    """Run a server until the block ends. Its data directory is created if it does not exist, and is not deleted.

    Raises:
        PostgresError: the server could not be created, started or stopped.
    """
    cluster.init(data, sync=settings.get("fsync") != "off")
    server = Postgres(data, port or free_port(), settings)
    server.start()
    try:
        yield server
    finally:
        server.stop()
