"""What a process has used, as Linux counts it (proc(5))."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cpu_seconds", "forget_peak", "memory", "parse_cpu", "parse_memory"]

MIB = 1024 * 1024


def parse_cpu(stat: str, ticks: int) -> float:
    """Seconds of CPU, user's and system's, from the text of ``/proc/PID/stat``."""
    # The second field is the program's name, and may hold anything.
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / ticks


def cpu_seconds(pid: int) -> float:
    """Seconds of CPU that a process has used, all its threads included."""
    return parse_cpu(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace"), os.sysconf("SC_CLK_TCK"))


def parse_memory(status: str) -> dict[str, float]:
    """MiB from the text of ``/proc/PID/status``: resident now, its greatest value, and what of it is no file's."""
    rows = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    names = {"resident": "VmRSS", "peak": "VmHWM", "anonymous": "RssAnon"}
    return {name: int(rows[row].split()[0]) * 1024 / MIB for name, row in names.items()}


def memory(pid: int) -> dict[str, float]:
    """MiB that a process has in memory; see ``parse_memory``."""
    return parse_memory(Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace"))


def forget_peak(pid: int) -> None:
    """Lets the greatest value of the memory that is resident begin anew."""
    Path(f"/proc/{pid}/clear_refs").write_text("5", encoding="ascii")
