"""Statistics, tables, and a description of the machine and commit."""

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from statistics import median
from typing import Any

from bench import ROOT


def log(line: str) -> None:
    """Print a line without buffering."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def progress(line: str) -> None:
    """Print a line with the time."""
    log(f"{time.strftime('%H:%M:%S')} {line}")


def percentile(values: Sequence[float], part: float) -> float:
    """Return the percentile `part` (0 to 1) of the values by the nearest-rank method; NaN if there are no values."""
    if not values:
        return float("nan")
    return sorted(values)[max(0, ceil(part * len(values)) - 1)]


def spread(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the minimum, the maximum and the number of values."""
    return {
        "median": round(median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "runs": len(values),
    }


def commit() -> str:
    """Return the current commit, with `-dirty` if files differ from it; `unknown` without git or outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    command = [git, "describe", "--always", "--dirty", "--exclude=*"]
    completed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - no argument comes from outside
    return completed.stdout.strip() or "unknown"


def machine(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON value
    """Return a description of the machine, with further members added."""
    cpuinfo = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else None
    return {
        "cores": os.cpu_count(),
        "processor": model[1] if model else platform.processor() or platform.machine(),
        "system": platform.system(),
        "python": platform.python_version(),
        **more,
    }


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table. The first row is the header row; all columns except the first are right-aligned."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    cells = [
        [
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        for row in rows
    ]
    rule = ["-" * width if column == 0 else "-" * (width - 1) + ":" for column, width in enumerate(widths)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [cells[0], rule, *cells[1:]])
