"""CPU time and memory of a process on Linux (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path


def parse_cpu(stat: str, ticks: int) -> float:
    """Return the CPU seconds, user and system, from the text of `/proc/PID/stat`."""
    # The second field is the program's name, which may contain any character.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks


def cpu_seconds(pid: int) -> float:
    """Return the CPU seconds that all threads of a process have used."""
    return parse_cpu(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"), os.sysconf("SC_CLK_TCK"))
