"""What a process has used, as Linux counts it (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path


def parse_cpu(stat: str, ticks: int) -> float:
    """Seconds of CPU, user's and system's, from the text of `/proc/PID/stat`."""
    # The second field is the program's name, and may hold anything.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that a process has used, all its threads included."""
    return parse_cpu(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"), os.sysconf("SC_CLK_TCK"))
