"""Measure cold starts: the time from workerd's start to the response to the first sign-up, without hashing.

The Worker is also started from a snapshot, as a deployed Worker is.
"""

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from bench.load import turn
from bench.peers import executor, run_program
from bench.report import percentile, progress, spread
from bench.workers import contenders
from bench.workers.builds import FOLDER
from bench.workers.config import Worker
from bench.workers.measurement import Options, Result, behind_sqlproxy
from bench.workers.workerd import command, endpoint

SNAPSHOT = "snapshot.bin"


def measure(options: Options) -> Result:
    """Start the Workers in turn, and compare the Worker's start from its snapshot with Hono and Prisma Client."""
    with behind_sqlproxy() as (backends, _), executor(backends.database) as prisma:
        all_backends = backends._replace(executor=prisma.port)
        workers = {
            "ours": contenders.unhashed(all_backends, "cold"),
            "ours_hyperdrive": contenders.unhashed_over_hyperdrive(all_backends, "cold-hyperdrive"),
            "hono_prisma": contenders.SHIPPED["hono_prisma"].make(all_backends),
        }
        commands = {name: command(worker) for name, worker in workers.items()}
        sizes = {}
        for name in ("ours", "ours_hyperdrive"):
            folder = FOLDER / f"snapshot-{name}"
            sizes[name] = _save_snapshot(workers[name], folder)
            loading = (f"--python-load-snapshot={SNAPSHOT}", f"--python-snapshot-dir={folder}")
            commands[f"{name}_snapshot"] = command(workers[name], *loading)
        times: dict[str, list[float]] = {name: [] for name in commands}
        for number in range(options.rounds):
            for name, argv in commands.items():
                times[name].append(_measure_start(argv))
            times_so_far = ", ".join(f"{name} {1000 * each[-1]:.0f} ms" for name, each in times.items())
            progress(f"round {number + 1} of {options.rounds}, first response: {times_so_far}")
    pairs = zip(times["hono_prisma"], times["ours_snapshot"], strict=True)
    detail = {
        "first_answer_ms": {name: round(1000 * percentile(each, 0.5), 1) for name, each in times.items()},
        "snapshot_mib": {name: round(size, 1) for name, size in sizes.items()},
    }
    return Result({"cold_snapshot_vs_hono_prisma": spread([other / mine for other, mine in pairs])}, detail)


def _save_snapshot(worker: Worker, folder: Path) -> float:
    """Save a snapshot of a Python Worker with workerd, as a deployment does; return the size of the snapshot in MiB.

    Raises:
        RuntimeError: workerd did not save a snapshot.
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


def _measure_start(argv: Sequence[str]) -> float:
    """Return the seconds from the start of a command to the response to its first sign-up."""
    started_at = time.perf_counter()
    with run_program("workerd", argv, dict(os.environ)) as run:
        turn(endpoint(run), 1, 0)
        return time.perf_counter() - started_at
