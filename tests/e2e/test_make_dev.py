"""`make dev` as its user sees it: what it starts, says, honours and leaves behind."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from devstack.bootstrap import ROOT
from devstack.postgres import free_port


class Dev:
    """A running `python -m devstack dev` with its own `.dev.vars` and state."""

    def __init__(self, home: Path, port: int) -> None:
        self.home = home
        self.port = port
        self.log = home / "log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "devstack", "dev"],
                cwd=ROOT,
                env=os.environ | {"DEVSTACK_HOME": str(home), "PORT": str(port)},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_for(self, pattern: str, seconds: float = 120) -> str:
        """Return the first match in what it printed."""
        deadline = time.monotonic() + seconds
        while not (found := re.search(pattern, self.log.read_text(), re.MULTILINE)):
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None or re.search(pattern, self.log.read_text(), re.MULTILINE), (
                self.log.read_text()
            )
            time.sleep(0.05)
        return found.group()

    def processes(self) -> list[int]:
        """Return every process that was started by it, directly or not, by the environment that it handed on."""
        mark = f"DEVSTACK_HOME={self.home}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue  # gone meanwhile, or not ours to look at
        return found

    def ports(self) -> set[int]:
        """Return the TCP ports that its processes listen on."""
        inodes = set()
        for pid in self.processes():
            for link in Path(f"/proc/{pid}/fd").iterdir():
                try:
                    inodes |= set(re.findall(r"socket:\[(\d+)\]", str(link.readlink())))
                except OSError:
                    continue
        lines = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
        return {int(line[1].split(":")[1], 16) for line in lines if line[3] == "0A" and line[9] in inodes}


@contextmanager
def dev(home: Path, port: int) -> Iterator[Dev]:
    """Run it, and see to it that nothing outlives the test."""
    running = Dev(home, port)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            running.process.wait(60)


def is_open(port: int) -> bool:
    """Say whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_from_ready_to_nothing_left(state: Path) -> None:
    """It writes .dev.vars, gets ready, signs up; Ctrl-C leaves neither process nor port. The second start goes on."""
    home = state / "make-dev"
    home.mkdir()
    port = free_port()
    with dev(home, port) as first:
        assert first.wait_for(r"^ready  .*$") == f"ready  http://localhost:{port}"
        command = first.wait_for(r"^curl .*$")
        answer = subprocess.run(["/bin/sh", "-c", f"{command} -s"], capture_output=True, text=True, check=True)
        assert '"msg":"User created"' in answer.stdout
        assert (home / ".dev.vars").stat().st_mode & 0o777 == 0o600
        written = (home / ".dev.vars").read_text()
        ports = first.ports()
        assert port in ports
        assert len(first.processes()) >= 4
        # A terminal sends it to the whole group; the parts are not in it.
        os.killpg(first.process.pid, signal.SIGINT)
        assert first.process.wait(30) == 0
        assert first.processes() == []
        assert not [port for port in ports if is_open(port)]
    with dev(home, port) as second:
        second.wait_for(r"^ready ")
        assert (home / ".dev.vars").read_text() == written
        # The database is the same: the address is taken.
        again = subprocess.run(["/bin/sh", "-c", f"{command} -s"], capture_output=True, text=True, check=True)
        assert '"code":"email_taken"' in again.stdout
        # A part that dies takes the others with it, and its last lines are shown.
        (proxy,) = [
            pid for pid in second.processes() if b"sqlproxy" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        ]
        os.kill(proxy, signal.SIGKILL)
        assert second.process.wait(60) == 1
        second.wait_for(r"make dev: sqlproxy ended with status -9. Its last lines:\n.*listening")
        assert second.processes() == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_supervisor_leaves_no_orphan(state: Path) -> None:
    """SIGKILL, which nothing can catch: its parts notice and end."""
    home = state / "killed"
    home.mkdir()
    with dev(home, free_port()) as running:
        running.wait_for(r"^ready ")
        running.process.kill()
        running.process.wait()
        deadline = time.monotonic() + 30
        while left := running.processes():
            assert time.monotonic() < deadline, left
            time.sleep(0.1)


def test_another_database_is_honoured(state: Path) -> None:
    """A .dev.vars that leads elsewhere is not touched: no Postgres and no sqlproxy are started for it."""
    home = state / "elsewhere"
    home.mkdir()
    port = free_port()
    text = f'DATABASE_URL="sql+http://canary-token@127.0.0.1:{free_port()}/"\n'
    (home / ".dev.vars").write_text(text)
    with dev(home, port) as running:
        running.wait_for("DATABASE_URL of .dev.vars leads elsewhere")
        running.wait_for("Ready on")
        # Nobody is there; the Worker says so, and make dev goes on waiting until it answers.
        deadline = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"http://127.0.0.1:{port}/ready").json()["code"] == "proxy_unavailable":
                    break
            except httpx.HTTPError:
                assert time.monotonic() < deadline
                time.sleep(0.2)
        running.process.terminate()
        assert running.process.wait(30) == 0
    log = running.log.read_text()
    assert "postgres |" not in log
    assert "canary-token" not in log
    assert (home / ".dev.vars").read_text() == text
    assert not (home / ".local/dev/postgres").exists()


def test_a_taken_port_is_said(state: Path) -> None:
    """When something listens on the port, it says which, and how to choose another."""
    home = state / "taken"
    home.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server, dev(home, server.getsockname()[1]) as running:
        assert running.process.wait(30) == 1
        running.wait_for(r"make dev: port \d+ is taken; choose another with PORT=\.\.\.")


@pytest.mark.parametrize("port", ["no", "0", "65536", "-1"])
def test_a_wrong_port_is_said(port: str) -> None:
    """PORT has to be one."""
    done = subprocess.run(
        [sys.executable, "-m", "devstack", "dev"],
        cwd=ROOT,
        env=os.environ | {"PORT": port},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, f"make dev: PORT={port} is not a port\n")
