"""What the Worker adds to workerd's memory when 64 clients sign up at once."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import uvloop

from bench.report import percentile, spread
from bench.workers import builds, proc
from bench.workers.load import Target, endpoint, turn
from bench.workers.rounds import NUMBERS
from bench.workers.workerd import javascript, running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.workers.books import Books
    from bench.workers.config import Worker

__all__ = ["detail", "isolate", "measure"]

CLIENTS = 64


def measure(
    ours: Worker, floor: Worker, books: Books, rounds: int, say: Callable[[str], None]
) -> list[dict[str, float]]:
    """Starts workerd anew every round: on Workers that do nothing, and on ours, which then hashes for 64 clients.

    Args:
        ours: The Worker.
        floor: One in Python that answers a constant.
        books: The table's.
        rounds: How many.
        say: Told the progress.

    Returns:
        MiB of each round: ``idle``, workerd's on a JavaScript Worker that does nothing; ``python``, on one in Python
        that has answered once; ``first``, on ours after one sign-up; ``peak``, the greatest while 64 clients were
        served.
    """
    found = []
    for number in range(rounds):
        with running(_idle()) as run:
            idle = proc.memory(run.pid)["resident"]
        with running(floor) as run:
            uvloop.run(turn(Target(endpoint(run.port), run.pid, 201), 1, 0, NUMBERS))
            python = proc.memory(run.pid)["resident"]
        with running(ours) as run:
            target = Target(endpoint(run.port), run.pid, 201)
            sample = uvloop.run(turn(target, 1, 0, NUMBERS))
            books.check("User", sample.answered, hashed=True)
            first = proc.memory(run.pid)["resident"]
            proc.forget_peak(run.pid)
            sample = uvloop.run(turn(target, CLIENTS, 0, NUMBERS))
            books.check("User", sample.answered, hashed=True)
            peak = proc.memory(run.pid)["peak"]
        found.append({"idle": idle, "python": python, "first": first, "peak": peak})
        each = f"idle {idle:.0f}, idle in Python {python:.0f}, one sign-up {first:.0f}, 64 clients {peak:.0f}"
        say(f"round {number + 1} of {rounds}, MiB: {each}")
    return found


def isolate(found: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    """A plain figure: MiB at 64 clients beyond an idle workerd."""
    return {"isolate_mib_64": spread([each["peak"] - each["idle"] for each in found])}


def detail(found: Sequence[dict[str, float]]) -> dict[str, float]:
    """The medians."""
    return {f"{name}_mib": round(percentile([each[name] for each in found], 0.5), 1) for name in found[0]}


def _idle() -> Worker:
    folder = builds.FOLDER / "idle"
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(builds.PEERS / "idle.mjs", folder / "main.mjs")
    return javascript(folder, "main.mjs", {})
