"""The parts of a run, each of which can be asked for by itself."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from bench import peers
from bench.workers import contenders, ratios
from bench.workers.books import Books
from bench.workers.builds import FOLDER, PEERS
from bench.workers.load import summary
from bench.workers.rounds import Plan, compete
from devstack import postgres
from devstack.migrate import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.workers.rounds import Samples

__all__ = ["PARTS", "POOL_SIZE", "Options", "Part", "database", "say"]

# node-postgres' default, which Prisma's executor has no setting for.
POOL_SIZE = 10


class Options(NamedTuple):
    """What was asked for.

    Attributes:
        rounds: How many.
        seconds: Of one turn without the hash.
        names: The contenders.
    """

    rounds: int
    seconds: float
    names: Sequence[str]


class Part(NamedTuple):
    """What a part found.

    Attributes:
        ratios: Each with its median and spread.
        detail: Whatever else is worth keeping.
    """

    ratios: dict[str, dict[str, float]]
    detail: dict[str, Any]


def say(line: str) -> None:
    """Prints a line of progress."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


@contextmanager
def database() -> Iterator[postgres.Postgres]:
    """Runs a Postgres with the table while the block runs."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=FOLDER, prefix="state-") as state,
        postgres.running(Path(state) / "postgres") as server,
    ):
        migrate(server.url())
        with psycopg.connect(server.url()) as db:
            db.execute((PEERS / "better_auth.sql").read_bytes())
        yield server


def sign_ups(options: Options) -> Part:
    """Sign-ups without the hash: what the Worker itself costs."""
    plan = Plan(options.rounds, dict.fromkeys((1, 16, 64), options.seconds))
    found = _compete(options.names, plan)
    figures = ratios.sign_ups(found)
    if {"ours", "floor_fetch"} <= set(options.names):
        figures |= ratios.beyond_floor(found)
    return Part(figures, _detail(found))


def hashed(options: Options) -> Part:
    """Sign-ups with the hash, at equal cost of it."""
    names = [name for name in options.names if contenders.CONTENDERS[name].table]
    found = _compete(names, Plan(options.rounds, {1: 1.0, 16: 4.0}, hashed=True, warm_up=0.5))
    return Part(ratios.hashed(found), _detail(found))


def _compete(names: Sequence[str], plan: Plan) -> Samples:
    chosen = [contenders.CONTENDERS[name] for name in names]
    with (
        database() as server,
        peers.sqlproxy(server.url(), POOL_SIZE) as proxy,
        peers.executor(server.url()) as executor,
        Books(server.url()) as books,
    ):
        return compete(chosen, contenders.Backends(proxy.port, executor.port), books, plan, say)


def _detail(samples: Samples) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (name, clients), turns in samples.items():
        found.setdefault(name, {})[f"{clients}"] = summary(turns)
    return found


PARTS: dict[str, Callable[[Options], Part]] = {"sign-ups": sign_ups, "hashed": hashed}
