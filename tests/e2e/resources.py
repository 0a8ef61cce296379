"""What the running services use: memory and file descriptors, read from /proc."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from devstack.postgres.cluster import children
from tests.e2e.conftest import POOL_SIZE, Running

# What a resting process may have open beyond what it had at first: connections that are kept.
SLACK = 2 * POOL_SIZE


@dataclass
class Resources:
    """What workerd and sqlproxy use. sqlproxy is restarted in between.

    Args:
        stack: whose sqlproxy is watched.
        worker: whose workerd is watched.
        memory: KiB at each look.
        first: how many file descriptors were open at first.
        last: and how many at the end.
    """

    stack: Running
    worker: Running
    memory: dict[str, list[int]] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # wrangler runs two, and only the one with Python in it needs much from the start.
        wrangler = self.worker.stack.service("wrangler").pid
        assert wrangler is not None
        self.workerd = max(descendants(wrangler, "workerd"), key=resident)

    def look(self) -> None:
        """Note the memory."""
        for name, pid in self._processes().items():
            # What was killed a moment ago has none.
            with contextlib.suppress(OSError, StopIteration):
                self.memory.setdefault(name, []).append(resident(pid))

    def open_files(self) -> dict[str, int]:
        """Return how many file descriptors each has open."""
        found = {}
        for name, pid in self._processes().items():
            try:
                found[name] = descriptors(pid)
            except FileNotFoundError:
                # Nothing here ends workerd; sqlproxy is started anew, and looked at the next time.
                if name == "workerd":
                    raise RuntimeError("workerd ended") from None
        return found

    def leaking(self) -> bool:
        """Say whether one has more open than at first, beyond what is kept for the next request."""
        now = self.open_files()
        return any(now.get(name, 0) > count + SLACK for name, count in self.first.items())

    def growth(self, name: str) -> float:
        """Return by which factor the median of the last quarter's memory is above that of the one before."""
        quarter = max(1, len(self.memory[name]) // 4)
        return median(self.memory[name][-quarter:]) / median(self.memory[name][-2 * quarter : -quarter])

    def tenths(self, name: str) -> list[int]:
        """Return the memory at first and after each tenth of the time, in MiB."""
        kib = self.memory[name]
        return [kib[(len(kib) - 1) * tenth // 10] // 1024 for tenth in range(11)]

    def _processes(self) -> dict[str, int]:
        proxy = self.stack.stack.service("sqlproxy").pid
        return {"workerd": self.workerd} | ({} if proxy is None else {"sqlproxy": proxy})


def descendants(pid: int, name: str) -> list[int]:
    """Return those of a process and its descendants that run this program."""
    found = [pid]
    for each in found:
        found += children(each)
    return [each for each in found if Path(f"/proc/{each}/comm").read_text().strip() == name]


def resident(pid: int) -> int:
    """Return a process's memory in KiB, as far as it is its own and in RAM (proc_pid_smaps(5): Pss)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def descriptors(pid: int) -> int:
    """Return how many file descriptors a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
