"""Memory and file descriptors of workerd and sqlproxy, read from /proc."""

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from devstack.postgres.cluster import children
from tests.e2e.conftest import POOL_SIZE, Running

# The number of file descriptors that an idle process may have open in addition to those at the start. They are used for
# persistent connections.
SLACK = 2 * POOL_SIZE


@dataclass
class Resources:
    """Memory and file descriptors of workerd and sqlproxy; sqlproxy may be restarted between measurements.

    Args:
        stack: the stack whose sqlproxy is measured.
        worker: the Worker whose workerd is measured.
        memory: memory samples of each process in KiB.
        first: the number of open file descriptors of each process at the start.
        last: the number of open file descriptors of each process at the end.
    """

    stack: Running
    worker: Running
    memory: dict[str, list[int]] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # wrangler runs two workerd processes; the one that runs Python uses more memory.
        wrangler = self.worker.stack.service("wrangler").pid
        assert wrangler is not None
        self.workerd = max(descendants(wrangler, "workerd"), key=proportional_set_size)

    def sample_memory(self) -> None:
        """Record the memory of each process."""
        for name, pid in self._processes().items():
            # A process that was just killed has no entry in /proc.
            with contextlib.suppress(OSError, StopIteration):
                self.memory.setdefault(name, []).append(proportional_set_size(pid))

    def open_files(self) -> dict[str, int]:
        """Return the number of open file descriptors of each process."""
        counts = {}
        for name, pid in self._processes().items():
            try:
                counts[name] = descriptors(pid)
            except FileNotFoundError:
                # workerd must not end during a test. sqlproxy may be restarting; the next call counts its descriptors.
                if name == "workerd":
                    raise RuntimeError("workerd ended") from None
        return counts

    def has_leaks(self) -> bool:
        """Return whether a process has over `SLACK` more file descriptors open than at the start."""
        now = self.open_files()
        return any(now.get(name, 0) > count + SLACK for name, count in self.first.items())

    def growth(self, name: str) -> float:
        """Return the median memory in the last quarter of the run, divided by the median in the third quarter."""
        quarter = max(1, len(self.memory[name]) // 4)
        return median(self.memory[name][-quarter:]) / median(self.memory[name][-2 * quarter : -quarter])

    def memory_by_tenth(self, name: str) -> list[int]:
        """Return the memory in MiB at the start and after each tenth of the run."""
        kib = self.memory[name]
        return [kib[(len(kib) - 1) * tenth // 10] // 1024 for tenth in range(11)]

    def _processes(self) -> dict[str, int]:
        proxy = self.stack.stack.service("sqlproxy").pid
        return {"workerd": self.workerd} | ({} if proxy is None else {"sqlproxy": proxy})


def descendants(pid: int, name: str) -> list[int]:
    """Return the ids of the processes that run the program `name`, among `pid` and its descendants."""
    pids = [pid]
    for each in pids:
        pids += children(each)
    return [each for each in pids if Path(f"/proc/{each}/comm").read_text().strip() == name]


def proportional_set_size(pid: int) -> int:
    """Return a process's proportional set size in KiB (Pss in proc_pid_smaps(5))."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))


def descriptors(pid: int) -> int:
    """Return the number of open file descriptors of a process."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))
