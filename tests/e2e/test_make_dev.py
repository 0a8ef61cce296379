"""`make dev`: its services, output, settings and cleanup."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from devstack.postgres.server import free_port
from devstack.setup.bootstrap import ROOT
from tests.e2e.make_dev import dev


def is_named(pid: int, name: str) -> bool:
    """Return whether a process runs the program `name`."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == name
    except OSError:
        return False


def is_open(port: int) -> bool:
    """Return whether a process listens on a port of 127.0.0.1."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_make_dev_starts_the_stack_and_stops_everything(state: Path) -> None:
    """`make dev` writes .dev.vars and serves sign-ups. Ctrl-C leaves no process and no open port. A second start works.

    The folder has a space in its name.
    """
    home = state / "make dev"
    home.mkdir()
    port = free_port()
    with dev(home, port) as first:
        assert first.wait_for(r"^ready  \S+") == f"ready  http://localhost:{port}"
        command = first.wait_for(r"(?<=^  sign up).*$").strip()
        # The URLs of the page and of the API in the output work.
        for label in ("the page", "the API"):
            url = first.wait_for(rf"(?<=^  {label}).*$").strip()
            assert httpx.get(url, headers={"accept": "text/html"}, follow_redirects=True).status_code == 200
        health_check = first.wait_for(r"(?<=^  health check).*$").strip()
        assert subprocess.run(["/bin/sh", "-c", f"{health_check} -sf"], capture_output=True, check=True).stdout
        output = first.log.read_text().splitlines()
        steps = [line.split("  ")[1] for line in output if line.endswith(" s") and line.startswith("  ")]
        # The step "Python for workerd" is not listed, because its line ends with a note.
        assert steps == ["Postgres and migrations", "sqlproxy", "wrangler dev"]
        # Output of the services during the start is only in the log file, which only its owner may read.
        log = home / ".local/dev/log"
        assert "postgres | " in log.read_text()
        assert "postgres | " not in "\n".join(output[: output.index("")])
        assert log.stat().st_mode & 0o777 == 0o600
        curl = subprocess.run(["/bin/sh", "-c", f"{command} -s"], capture_output=True, text=True, check=True)
        assert '"email_verified":false' in curl.stdout
        # The output names the file with the e-mail's text, whose link leads to this Worker.
        text = Path(first.wait_for(r"(?<=Text: )/.*\.txt$")).read_text(encoding="utf-8")
        (token,) = re.findall(rf"http://localhost:{port}/verify\?token=(\S+)", text)
        verify = first.wait_for(r"(?<=^  verify).*$").partition(", or: ")[2].replace("TOKEN", token)
        curl = subprocess.run(["/bin/sh", "-c", f"{verify} -s"], capture_output=True, text=True, check=True)
        assert '"result":"verified"' in curl.stdout
        assert (home / ".dev.vars").stat().st_mode & 0o777 == 0o600
        dev_vars = (home / ".dev.vars").read_text()
        ports = first.ports()
        assert port in ports
        assert len(first.processes()) >= 4
        # A second `make dev` in the same checkout names the process of the first one.
        with dev(home, free_port()) as another:
            assert another.process.wait(30) == 1
            another.wait_for(f"already running in this checkout, as process {first.process.pid}")
            another.wait_for(f"fix  .*kill {first.process.pid}")
        # A terminal sends SIGINT to the whole process group, which does not include the services.
        os.killpg(first.process.pid, signal.SIGINT)
        assert first.process.wait(30) == 0
        assert first.processes() == []
        assert not [port for port in ports if is_open(port)]
    with dev(home, port) as second:
        second.wait_for(r"^ready ")
        assert (home / ".dev.vars").read_text() == dev_vars
        # The database is kept, so the address is taken.
        again = subprocess.run(["/bin/sh", "-c", f"{command} -s"], capture_output=True, text=True, check=True)
        assert '"code":"email_taken"' in again.stdout
        # When a service ends, its last lines are printed, and the other services are stopped.
        (proxy,) = [
            pid for pid in second.processes() if b"sqlproxy" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        ]
        os.kill(proxy, signal.SIGKILL)
        assert second.process.wait(60) == 1
        second.wait_for(r"make dev: sqlproxy was terminated by SIGKILL. Its last lines:\n  \| .*listening")
        second.wait_for(r"  cause             a process was killed, probably because the machine ran out of memory")
        second.wait_for(r"  fix               close programs that use a lot of memory")
        assert second.processes() == []


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_killed_supervisor_leaves_no_orphan(state: Path) -> None:
    """After SIGKILL of `make dev` its services end by themselves, and no lock blocks the next start.

    When workerd is killed, and killed again after wrangler restarted it, `make dev` stops and prints the reason.
    """
    home = state / "killed"
    home.mkdir()
    with dev(home, free_port()) as running:
        running.wait_for("wrangler dev")
        deadline = time.monotonic() + 60
        while not any(is_named(pid, "workerd") for pid in running.processes()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        running.process.kill()
        running.process.wait()
        deadline = time.monotonic() + 30
        while orphans := running.processes():
            assert time.monotonic() < deadline, orphans
            time.sleep(0.1)
    # With Hyperdrive there is no sqlproxy, and its URL in .dev.vars is ignored.
    with dev(home, free_port(), HYPERDRIVE="1") as again:
        url = again.wait_for(r"(?<=^ready  )\S+")
        body = {"name": "Ada", "email": "ada@example.com", "password": "correct horse battery staple"}
        assert httpx.post(url, json=body, timeout=30).status_code == 201
        assert "sqlproxy" not in again.log.read_text()
        # The file has the URL of the first run. The link in the e-mail leads to this one.
        assert f"{url}/verify?token=" in Path(again.wait_for(r"(?<=Text: )/.*\.txt$")).read_text(encoding="utf-8")
        # wrangler restarts workerd only once. After a second kill it would respond to each request with 500.
        killed: set[int] = set()
        deadline = time.monotonic() + 30
        while again.process.poll() is None:
            assert time.monotonic() < deadline
            for pid in again.processes():
                if is_named(pid, "workerd") and pid not in killed:
                    os.kill(pid, signal.SIGKILL)
                    killed.add(pid)
            time.sleep(0.02)
        assert again.process.returncode == 1
        again.wait_for("make dev: wrangler cannot continue. Its last lines:")
        again.wait_for("  cause             workerd, which runs the Worker, was killed again")
        again.wait_for("  fix               run make dev again")
        assert again.processes() == []


# The signal arrives during the start of the first service, in a callback whose exceptions Python ignores.
FORKING = """
import os, runpy, signal, sys
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGTERM))
sys.argv = ["devstack", "dev"]
runpy.run_module("devstack", run_name="__main__")
"""


def test_a_signal_during_a_callback_is_not_lost(state: Path) -> None:
    """`make dev` stops its services when it next checks for signals."""
    home = state / "forking"
    home.mkdir()
    with dev(home, free_port(), (sys.executable, "-c", FORKING)) as running:
        assert running.process.wait(60) == 0
        running.wait_for("Exception ignored")
        running.wait_for("make dev: stopped")
        assert running.processes() == []


def test_another_data_proxy_is_used(state: Path) -> None:
    """A .dev.vars that names another proxy is not changed, and neither Postgres nor sqlproxy is started."""
    home = state / "elsewhere"
    home.mkdir()
    port = free_port()
    text = f'DATABASE_URL="sql+http://canary-token@127.0.0.1:{free_port()}/"\n'
    (home / ".dev.vars").write_text(text)
    with dev(home, port) as running:
        running.wait_for("DATABASE_URL of .dev.vars names another proxy")
        # The proxy does not exist. The Worker reports that, and make dev waits.
        running.wait_for("still waiting for wrangler: /ready answers 503 proxy_unavailable")
        assert httpx.get(f"http://127.0.0.1:{port}/ready").json()["code"] == "proxy_unavailable"
        # The requests of `make dev` stay below the Worker's rate limit, so no 429 hides that response.
        assert (home / ".local/dev/log").read_text().count('"route":"GET /ready"') <= 4
        running.process.terminate()
        assert running.process.wait(30) == 0
    log = running.log.read_text()
    assert "postgres |" not in log
    assert "canary-token" not in log
    assert (home / ".dev.vars").read_text() == text
    assert not (home / ".local/dev/postgres").exists()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        *(
            ("PORT", port, f"PORT={port} is not a port: use a number from 1 to 65535")
            for port in ("no", "0", "65536", "-1")
        ),
        ("HYPERDRIVE", "postgres://canary", "HYPERDRIVE must be 1 or unset"),
    ],
)
def test_a_wrong_variable_is_an_error(name: str, value: str, message: str) -> None:
    """The message names the variable and its allowed values, but not the value of HYPERDRIVE."""
    completed = subprocess.run(
        [sys.executable, "-m", "devstack", "dev"],
        cwd=ROOT,
        env=os.environ | {name: value},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (completed.returncode, completed.stderr) == (2, f"make dev: {message}\n")
