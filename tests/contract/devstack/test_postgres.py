"""The Postgres server of the development stack: startup, errors and clean-up."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
import textwrap
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from devstack.postgres import cluster
from devstack.postgres import server as postgres

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[3]


def _is_open(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _eventually(condition: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_encoding_and_order_do_not_depend_on_the_machine(server: postgres.Postgres) -> None:
    """The server uses UTF-8, sorts by code point whatever the machine's locale, and listens on 127.0.0.1."""
    query = "SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale, inet_server_addr()::text FROM pg_database"
    with psycopg.connect(server.url()) as db:
        assert db.execute(query).fetchone() == ("UTF8", "b", "C.UTF-8", "127.0.0.1/32")


def test_a_login_needs_the_password(server: postgres.Postgres) -> None:
    """A wrong password is refused, and other users of the machine cannot read the password or the data."""
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url(password="wrong")).close()
    assert stat.S_IMODE(cluster.password_file(server.data).stat().st_mode) == 0o600
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700


def test_stop_ends_all_processes_and_keeps_the_data(tmp_path: Path) -> None:
    """After the `with` block no process of the server runs and its port is closed, even if clients were connected."""
    with postgres.running(tmp_path / "data") as first:
        client = psycopg.connect(first.url(), autocommit=True)
        client.execute("CREATE TABLE kept (n int)")
        pids = [first.pid, *cluster.children(first.pid)]
        assert len(pids) > 3
    client.close()
    assert not any(cluster.is_alive(pid) for pid in pids)
    assert not _is_open(first.port)
    with pytest.raises(cluster.PostgresError, match="not running"):
        _ = first.pid
    with postgres.running(tmp_path / "data") as second, psycopg.connect(second.url()) as db:
        assert db.execute("SELECT count(*) FROM kept").fetchone() == (0,)


def test_a_restart_recovers_after_a_kill(tmp_path: Path) -> None:
    """After a kill no process remains. The next start serves the committed data on the same port.

    `restart` also starts a new process on this port.
    """
    with postgres.running(tmp_path / "data", settings={"fsync": "off"}) as server:
        with psycopg.connect(server.url(), autocommit=True) as client:
            client.execute("CREATE TABLE kept AS SELECT 1")
            pids = [server.pid, *cluster.children(server.pid)]
            server.kill()
        assert not any(cluster.is_alive(pid) for pid in pids)
        assert not _is_open(server.port)
        server.start()
        with psycopg.connect(server.url()) as db:
            assert db.execute("SELECT count(*) FROM kept").fetchone() == (1,)
        before = server.pid
        server.restart()
        assert server.pid != before
        assert _is_open(server.port)


def test_an_early_exit_is_reported_with_the_last_lines(server: postgres.Postgres, tmp_path: Path) -> None:
    """If the server exits during startup, the error is raised before the timeout and contains the server's output."""
    began = time.monotonic()
    with (
        pytest.raises(cluster.PostgresError, match='invalid value for parameter "max_connections"'),
        postgres.running(tmp_path / "data", settings={"fsync": "off", "max_connections": "many"}),
    ):
        pass
    with (
        pytest.raises(cluster.PostgresError, match="Address already in use"),
        postgres.running(tmp_path / "data", port=server.port),
    ):
        pass
    assert time.monotonic() - began < 30


def test_a_data_directory_has_at_most_one_server(server: postgres.Postgres) -> None:
    """The error of `init` contains the process id of the running server, which keeps running."""
    with pytest.raises(cluster.PostgresError, match=rf"already running .*{server.pid}"):
        cluster.init(server.data)
    assert _is_open(server.port)


def test_the_lock_of_a_dead_server_is_removed(tmp_path: Path) -> None:
    """Postgres alone would refuse to start, because the lock file's process id now belongs to another program."""
    # The lock has the id of a separate program, because Postgres ignores a lock with the id of its own parent. The
    # program exits when its stdin closes.
    argv = [sys.executable, "-c", "input()"]
    with (
        postgres.running(tmp_path / "data") as server,
        subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as other,
    ):
        server.stop()
        (server.data / "postmaster.pid").write_text(f"{other.pid}\n{server.data}\n", encoding="ascii")
        server.start()
        assert _is_open(server.port)
        assert other.poll() is None


def test_an_interrupted_initdb_is_repeated(tmp_path: Path) -> None:
    """The files that a killed initdb left are not used as a data directory."""
    unfinished = tmp_path / "data.unfinished"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n", encoding="ascii")
    cluster.init(tmp_path / "data", sync=False)
    assert (tmp_path / "data" / "global" / "pg_control").exists()
    assert not unfinished.exists()


def test_a_missing_password_file_is_an_error(tmp_path: Path) -> None:
    """The error describes how to create a new database."""
    with pytest.raises(cluster.PostgresError, match="to create a new database"):
        cluster.url(tmp_path / "data", 5432)


def test_names_in_a_url_are_encoded() -> None:
    """The user, the password and the database may contain characters that are special in a URL."""
    url = cluster.url(Path("unused"), 5432, "a/b", user="ü@", password="p:?#")
    assert psycopg.conninfo.conninfo_to_dict(url)["password"] == "p:?#"
    assert psycopg.conninfo.conninfo_to_dict(url)["user"] == "ü@"
    assert psycopg.conninfo.conninfo_to_dict(url)["dbname"] == "a/b"


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG exists only on Linux")
def test_the_server_stops_when_its_parent_is_killed(tmp_path: Path) -> None:
    """The server shuts down cleanly after its parent has received SIGKILL."""
    program = textwrap.dedent("""
        import sys, time
        from pathlib import Path
        from devstack.postgres import server as postgres
        with postgres.running(Path(sys.argv[1])) as server:
            print(server.pid, server.port, flush=True)
            time.sleep(60)
    """)
    argv = [sys.executable, "-c", program, str(tmp_path / "data")]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid, port = map(int, parent.stdout.readline().split())
        assert _is_open(port)
        parent.send_signal(signal.SIGKILL)
    assert _eventually(lambda: not cluster.is_alive(pid))
    assert not _is_open(port)
    assert "database system is shut down" in (tmp_path / "data.log").read_text(encoding="utf-8")


def test_a_free_port_is_returned_once() -> None:
    """No other call returns the same port, in this process or in another one that runs at the same time."""
    script = "from devstack.postgres.server import free_port; print(*(free_port() for _ in range(200))); input()"
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        theirs = other.stdout.readline().split()
        ours = [str(postgres.free_port()) for _ in range(200)]
        other.communicate("\n")
    assert len({*theirs, *ours}) == 400
