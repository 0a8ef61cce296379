"""Cold starts: the time from workerd's start to the response to the first sign-up."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING, Any

import uvloop

from bench.peers import run_program
from bench.report import percentile, spread
from bench.workers.builds import FOLDER
from bench.workers.load import Target, endpoint, turn
from bench.workers.rounds import NUMBERS
from bench.workers.workerd import command

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from bench.workers.config import Worker

__all__ = ["compare", "detail", "first_answer", "ratio", "save_snapshot"]

SNAPSHOT = "snapshot.bin"


def save_snapshot(worker: Worker, folder: Path) -> float:
    """Have workerd save a snapshot of a Python Worker, as a deployment does; return its size in MiB.

    Raises:
        RuntimeError: workerd saved no snapshot.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    options = ("--python-save-snapshot", f"--python-snapshot-dir={folder}")
    with run_program("workerd", command(worker, *options), dict(os.environ)):
        pass
    file = folder / SNAPSHOT
    if not file.exists():
        raise RuntimeError("workerd saved no snapshot")
    return file.stat().st_size / 1024 / 1024


def first_answer(argv: Sequence[str], path: str = "/", success: int = 201) -> float:
    """Return the seconds from the start of a command to the response to its first sign-up."""
    started_at = time.perf_counter()
    with run_program("workerd", argv, dict(os.environ)) as (port, pid):
        uvloop.run(turn(Target(endpoint(port, path), pid, success), 1, 0, NUMBERS))
        return time.perf_counter() - started_at


def compare(
    workers: Mapping[str, Worker],
    targets: Mapping[str, tuple[str, int]],
    snapshots: Sequence[str],
    rounds: int,
    log: Callable[[str], None],
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Start the Workers in turns, some of them also from a snapshot.

    Args:
        workers: the Workers by name.
        targets: the path and the success status of sign-ups, by name.
        snapshots: the names of the Workers that also start from a snapshot.
        rounds: number of rounds.
        log: writes a line of progress.

    Returns:
        The times of each, in seconds, with `_snapshot` behind the name where it started from one; and the sizes of
        the snapshots in MiB.
    """
    commands = {name: command(worker) for name, worker in workers.items()}
    sizes = {}
    for name in snapshots:
        folder = FOLDER / f"snapshot-{name}"
        sizes[name] = save_snapshot(workers[name], folder)
        options = (f"--python-load-snapshot={SNAPSHOT}", f"--python-snapshot-dir={folder}")
        commands[f"{name}_snapshot"] = command(workers[name], *options)
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, argv in commands.items():
            times[name].append(first_answer(argv, *targets[name.removesuffix("_snapshot")]))
        progress = ", ".join(f"{name} {1000 * each[-1]:.0f} ms" for name, each in times.items())
        log(f"round {number + 1} of {rounds}, first answer: {progress}")
    return times, sizes


def detail(times: Mapping[str, Sequence[float]], snapshots: Mapping[str, float]) -> dict[str, Any]:
    """Return the details for the results file."""
    medians = {name: round(1000 * percentile(each, 0.5), 1) for name, each in times.items()}
    return {"first_answer_ms": medians, "snapshot_mib": {name: round(size, 1) for name, size in snapshots.items()}}


def ratio(times: Mapping[str, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Return how many times faster the Worker starts from its snapshot than Hono with Prisma Client."""
    pairs = zip(times["hono_prisma"], times["ours_snapshot"], strict=True)
    return {"cold_snapshot_vs_hono_prisma": spread([other / mine for other, mine in pairs])}
