"""Run `python -m devstack dev` with its own `.dev.vars` and state."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devstack.setup.bootstrap import ROOT

# libpq's environment variables, set for another Postgres server. Each would break the stack's own connections if the
# stack used it.
FOREIGN = {
    "PGSSLMODE": "require",
    "PGOPTIONS": "-c no_such_setting=1",
    "PGSERVICE": "elsewhere",
    "PGHOSTADDR": "192.0.2.1",
}


class Dev:
    """A running development stack.

    Args:
        home: the folder for the stack's files, in place of the checkout.
        port: the Worker's port.
        within: a command, such as `unshare`, that executes the stack's command, which is appended to it.
        settings: further environment variables.
    """

    def __init__(self, home: Path, port: int, within: tuple[str, ...] = (), **settings: str) -> None:
        self.home = home
        self.port = port
        self.log = home.with_name(f"{home.name}.log")
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                [*within, sys.executable, "-m", "devstack", "dev"],
                cwd=ROOT,
                env=os.environ | FOREIGN | {"DEVSTACK_HOME": str(home), "PORT": str(port), "NO_COLOR": "1"} | settings,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait_for(self, pattern: str, seconds: float = 120) -> str:
        """Wait until the output matches a pattern; return the first match."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.log.read_text(), re.MULTILINE)):
            assert time.monotonic() < deadline, self.log.read_text()
            assert self.process.poll() is None or re.search(pattern, self.log.read_text(), re.MULTILINE), (
                self.log.read_text()
            )
            time.sleep(0.05)
        return match.group()

    def processes(self) -> list[int]:
        """Return the ids of the stack's processes, which inherit the environment variable DEVSTACK_HOME."""
        variable = f"DEVSTACK_HOME={self.home}".encode()
        pids = []
        for entry in Path("/proc").iterdir():
            try:
                if entry.name.isdigit() and variable in (entry / "environ").read_bytes().split(b"\0"):
                    pids.append(int(entry.name))
            except OSError:
                continue  # the process ended, or its environment cannot be read
        return pids

    def ports(self) -> set[int]:
        """Return the TCP ports on which the stack's processes listen over IPv4."""
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
def dev(home: Path, port: int, within: tuple[str, ...] = (), **settings: str) -> Iterator[Dev]:
    """Run the development stack and stop it at the end."""
    running = Dev(home, port, within, **settings)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.terminate()
            running.process.wait(60)
