"""Supervision of programs, and of the processes that they start."""

import os
import sys
import time
from pathlib import Path

import pytest

from devstack.stack.services import Service, ServiceError


def service(script: str, lines: list[str]) -> Service:
    """Return a service that runs a Python script."""
    return Service("demo", [sys.executable, "-u", "-c", script], os.environ, lambda _, line: lines.append(line))


def wait_for(lines: list[str], count: int) -> None:
    """Wait until `count` lines were printed."""
    deadline = time.monotonic() + 10
    while len(lines) < count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_output_is_forwarded_and_an_exit_is_reported() -> None:
    """The error has the exit status and the last lines."""
    lines: list[str] = []
    program = service("import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)", lines)
    program.start()
    wait_for(lines, 2)
    while program.pid:
        time.sleep(0.005)
    with pytest.raises(ServiceError, match=r"demo ended with status 3\. Its last lines:\n  one\n  two"):
        program.require_alive()
    program.stop()


def test_stopping_also_stops_child_processes() -> None:
    """A child that ignores SIGTERM is killed after its parent has exited."""
    lines: list[str] = []
    child = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    )
    program = service(
        f"import subprocess, sys; c = subprocess.Popen([sys.executable, '-c', {child!r}]); print(c.pid); c.wait()",
        lines,
    )
    program.start()
    wait_for(lines, 2)
    program.require_alive()
    child_pid = int(next(line for line in lines if line.isdigit()))
    program.stop()
    program.stop()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{child_pid}").exists() and "Z" not in Path(f"/proc/{child_pid}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_service_can_be_restarted() -> None:
    """Each start creates a new process. Before the first start, the service counts as failed."""
    lines: list[str] = []
    program = service("import time; print('up'); time.sleep(60)", lines)
    with pytest.raises(ServiceError, match="was not started"):
        program.require_alive()
    pids = set()
    for count in (1, 2):
        program.start()
        wait_for(lines, count)
        pids.add(program.pid)
        program.stop()
        assert program.pid is None
    assert len(pids) == 2


def test_a_fatal_text_in_the_output_is_a_failure() -> None:
    """The service counts as failed, even if its process keeps running."""
    lines: list[str] = []
    script = "import time; print('fine', flush=True); print('the engine is lost', flush=True); time.sleep(60)"
    program = Service(
        "demo", [sys.executable, "-c", script], os.environ, lambda _, line: lines.append(line), fatal="engine is lost"
    )
    program.start()
    wait_for(lines, 2)
    with pytest.raises(ServiceError, match=r"demo cannot continue\. Its last lines:\n  fine\n  the engine is lost"):
        program.require_alive()
    program.stop()
