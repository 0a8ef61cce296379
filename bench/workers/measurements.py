"""The measurements of a run, which `--only` selects."""

from __future__ import annotations

import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import psycopg

from bench import peers, proxies
from bench.report import percentile
from bench.workers import admission as admission_of
from bench.workers import cold, contenders, report
from bench.workers import memory as memory_of
from bench.workers import users as users_of
from bench.workers.builds import FOLDER, PEERS
from bench.workers.load import summary
from bench.workers.rounds import Plan, compete
from bench.workers.row_counts import RowCounter
from devstack.migrate.migrations import migrate
from devstack.postgres import server as postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# node-postgres' default, which Prisma's executor cannot change.
POOL_SIZE = 10


class Options(NamedTuple):
    """The options of a run.

    Args:
        rounds: number of rounds.
        seconds: duration of a turn.
        load: seconds of load with 64 clients in the measurements of admission and memory.
        sign_ups: least number of sign-ups with each profile in that measurement.
        quick: whether to omit large tables.
    """

    rounds: int
    seconds: float
    load: float = 60
    sign_ups: int = 0
    quick: bool = False


class Result(NamedTuple):
    """The result of a measurement.

    Args:
        ratios: each with its median, minimum and maximum.
        detail: details for the results file.
    """

    ratios: dict[str, dict[str, float]]
    detail: dict[str, Any]


def log(line: str) -> None:
    """Print a line of progress."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')} {line}\n")
    sys.stdout.flush()


@contextmanager
def database(more: Mapping[str, str] = MappingProxyType({})) -> Iterator[postgres.Postgres]:
    """Run a Postgres with the tables while the block runs."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=FOLDER, prefix="state-") as state,
        postgres.running(Path(state) / "postgres", settings={**postgres.FAST, **more}) as server,
    ):
        migrate(server.url())
        with psycopg.connect(server.url()) as db:
            db.execute((PEERS / "better_auth.sql").read_bytes())
        yield server


def sign_ups(options: Options) -> Result:
    """Measure sign-ups to each contender: as shipped, with the same hash, and without a hash; and refused ones."""
    plan = Plan(options.rounds, {1: options.seconds / 2, 16: options.seconds}, warm_up=options.seconds)
    # A JavaScript peer connects before all queued hashes are done and only then sends its request.
    with (
        database() as server,
        peers.sqlproxy(server.url(), POOL_SIZE, "--head-timeout", "60") as proxy,
        peers.executor(server.url()) as executor,
        RowCounter(server.url()) as counter,
    ):
        found = compete(
            contenders.CONTENDERS, contenders.Backends(proxy.port, executor.port, server.url()), counter, plan, log
        )
    detail: dict[str, Any] = {}
    for (name, clients), turns in found.items():
        detail.setdefault(name, {})[f"{clients}"] = summary(turns)
    return Result(report.ratios(found), detail)


def memory(options: Options) -> Result:
    """Measure an isolate's memory as the platform counts it, with each profile and 64 clients."""
    with _behind_sqlproxy() as (backends, url), RowCounter(url) as counter:
        found = memory_of.measure(
            lambda name: contenders.ours(backends, "memory", HASH_PROFILE=name)._replace(heap_mib=memory_of.HEAP_MIB),
            counter,
            options.load,
            log,
            options.sign_ups,
        )
    return Result(memory_of.isolate(found), found)


def admission(options: Options) -> Result:
    """Measure the responses to 64 clients with the default queue and deadline."""
    with _behind_sqlproxy() as (backends, url), RowCounter(url) as counter:
        worker = contenders.ours(backends, "admission", HASH_QUEUE="0", REQUEST_DEADLINE="10")
        return Result({}, admission_of.measure(worker, counter, options.load, log))


def cold_starts(options: Options) -> Result:
    """Measure the time from workerd's start to the first response, of the Worker from a snapshot as when deployed."""
    with _behind_sqlproxy() as (backends, url), peers.executor(url) as executor:
        reached = backends._replace(executor=executor.port)
        workers = {
            "ours": contenders.unhashed(reached, "cold"),
            "ours_hyperdrive": contenders.unhashed_over_hyperdrive(reached, "cold-hyperdrive"),
        }
        workers["hono_prisma"] = contenders.SHIPPED["hono_prisma"].make(reached)
        times, sizes = cold.compare(
            workers, dict.fromkeys(workers, ("/", 201)), ("ours", "ours_hyperdrive"), options.rounds, log
        )
    return Result(cold.ratio(times), cold.detail(times, sizes))


def pooled_proxies(options: Options) -> Result:
    """Compare sqlproxy with Prisma's executor."""
    samples, _ = proxies.measure(options.rounds, options.seconds / 3)
    found = proxies.ratios(samples)
    names = {"requests_per_second": "rps16", "p99": "p99_16"}
    figures = {f"sqlproxy_{short}_vs_executor": found[f"sqlproxy_listed_{name}_16"] for name, short in names.items()}
    detail: dict[str, Any] = {}
    for (name, clients), turns in samples.items():
        detail.setdefault(name, {})[f"{clients}"] = {
            "per_second": round(percentile([each.rate for each in turns], 0.5), 1),
            "p99_ms": round(1000 * percentile([each.p99 for each in turns], 0.5), 3),
        }
    return Result(figures, detail)


def users(options: Options) -> Result:
    """Measure sign-ups into tables of several sizes."""
    with database(users_of.SETTINGS) as server:
        plan = (users_of.QUICK if options.quick else users_of.SIZES, options.rounds, options.seconds)
        worker = contenders.unhashed(contenders.Backends(0), "users")
        samples = users_of.measure(server, worker, plan, log)
    return Result(users_of.ratio(samples), {f"{size}": summary(each) for size, each in samples.items()})


@contextmanager
def _behind_sqlproxy() -> Iterator[tuple[contenders.Backends, str]]:
    with database() as server, peers.sqlproxy(server.url(), POOL_SIZE) as proxy:
        yield contenders.Backends(proxy.port, database=server.url()), server.url()


MEASUREMENTS: dict[str, Callable[[Options], Result]] = {
    "sign-ups": sign_ups,
    "admission": admission,
    "memory": memory,
    "cold": cold_starts,
    "proxies": pooled_proxies,
    "users": users,
}
