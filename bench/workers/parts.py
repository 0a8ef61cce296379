"""The parts of a run, each of which can be asked for by itself."""

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
from bench.report import spread
from bench.workers import bundle, cold, contenders, ratios
from bench.workers import memory as memory_of
from bench.workers import users as users_of
from bench.workers.books import Books
from bench.workers.builds import FOLDER, PEERS
from bench.workers.load import summary
from bench.workers.rounds import Plan, compete
from devstack.migrate.migrations import migrate
from devstack.postgres import server as postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

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
        quick: Whether large tables are left out.
    """

    rounds: int
    seconds: float
    names: Sequence[str]
    quick: bool = False


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
def database(more: Mapping[str, str] = MappingProxyType({})) -> Iterator[postgres.Postgres]:
    """Runs a Postgres with the table while the block runs."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(dir=FOLDER, prefix="state-") as state,
        postgres.running(Path(state) / "postgres", settings={**postgres.FAST, **more}) as server,
    ):
        migrate(server.url())
        with psycopg.connect(server.url()) as db:
            db.execute((PEERS / "better_auth.sql").read_bytes())
        yield server


def sign_ups(options: Options) -> Part:
    """Sign-ups without the hash: what the Worker itself costs."""
    plan = Plan(options.rounds, dict.fromkeys((1, 16, 64), options.seconds), warm_up=2 * options.seconds)
    found = _compete(options.names, plan)
    figures = ratios.sign_ups(found)
    if {"ours", "floor_fetch"} <= set(options.names):
        figures |= ratios.beyond_floor(found)
    return Part(figures, _detail(found))


def hashed(options: Options) -> Part:
    """Sign-ups with the hash, at equal cost of it."""
    names = [name for name in options.names if contenders.CONTENDERS[name].table]
    found = _compete(names, Plan(options.rounds, {1: 1.0, 16: 3.0}, hashed=True, once={64: 0.0}, warm_up=0.0))
    return Part(ratios.hashed(found), _detail(found))


def memory(options: Options) -> Part:
    """Memory of workerd under 64 clients, hashing."""
    with _behind_sqlproxy() as (backends, url), Books(url) as books:
        floor = contenders.CONTENDERS["floor_constant"].make(backends, False)
        ours = contenders.ours("memory", backends, hashed=True)
        found = memory_of.measure(ours, floor, books, options.rounds, say)
    return Part(memory_of.isolate(found), memory_of.detail(found))


def cold_starts(options: Options) -> Part:
    """From the start of workerd to the first answer; ours and the floor with a snapshot and without one."""
    names = ("ours", "hono_prisma", "hono_neon", "better_auth", "fastapi", "floor_constant")
    with _behind_sqlproxy() as (backends, url), peers.executor(url) as executor:
        reached = backends._replace(executor=executor.port)
        chosen = {name: contenders.CONTENDERS[name] for name in names}
        workers = {name: each.make(reached, False) for name, each in chosen.items()}
        targets = {name: (each.path, int(each.success)) for name, each in chosen.items()}
        times, sizes = cold.compare(workers, targets, ("ours", "floor_constant"), options.rounds, say)
    return Part(cold.ratio(times), cold.detail(times, sizes))


def bundle_size(_: Options) -> Part:
    """What is uploaded."""
    return Part({"bundle_gzip_kib": spread([bundle.gzip_kib(bundle.upload(FOLDER / "bundle"))])}, {})


def pooled_proxies(options: Options) -> Part:
    """The pooled proxy, with a list of statements: sqlproxy against Prisma's executor."""
    samples, _ = proxies.measure(options.rounds, options.seconds / 2)
    found = proxies.ratios(samples)
    names = {"sqlproxy_rps16_vs_executor": "requests_per_second_16", "sqlproxy_p99_16_vs_executor": "p99_16"}
    return Part({name: found[f"sqlproxy_listed_{each}"] for name, each in names.items()}, {})


def users(options: Options) -> Part:
    """Sign-ups into tables of several sizes."""
    with database(users_of.SETTINGS) as server:
        plan = (users_of.QUICK if options.quick else users_of.SIZES, options.rounds, options.seconds)
        worker = contenders.ours("users", contenders.Backends(0), hashed=False)
        samples = users_of.measure(server, worker, plan, say)
    return Part(users_of.ratio(samples), {f"{size}": summary(each) for size, each in samples.items()})


@contextmanager
def _behind_sqlproxy() -> Iterator[tuple[contenders.Backends, str]]:
    with database() as server, peers.sqlproxy(server.url(), POOL_SIZE) as proxy:
        yield contenders.Backends(proxy.port), server.url()


def _compete(names: Sequence[str], plan: Plan) -> Samples:
    chosen = [contenders.CONTENDERS[name] for name in names]
    # A peer connects, and sends nothing until all the hashes that came meanwhile are done: with 64 clients the 10 s of
    # sqlproxy's patience are over by then on a slow machine, and the sign-up is lost.
    patience = ("--head-timeout", "60") if plan.hashed else ()
    with (
        database() as server,
        peers.sqlproxy(server.url(), POOL_SIZE, *patience) as proxy,
        peers.executor(server.url()) as executor,
        Books(server.url()) as books,
    ):
        return compete(chosen, contenders.Backends(proxy.port, executor.port), books, plan, say)


def _detail(samples: Samples) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for (name, clients), turns in samples.items():
        found.setdefault(name, {})[f"{clients}"] = summary(turns)
    return found


PARTS: dict[str, Callable[[Options], Part]] = {
    "sign-ups": sign_ups,
    "hashed": hashed,
    "memory": memory,
    "cold": cold_starts,
    "bundle": bundle_size,
    "proxies": pooled_proxies,
    "users": users,
}
