"""Common parts of the measurements of `make bench`: options, results, the database, and the order of turns."""

import argparse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import psycopg

from bench import peers
from bench.workers.builds import PEERS
from bench.workers.contenders import Backends
from bench.workers.row_counts import RowCounter
from devstack.migrate.migrations import migrate
from devstack.postgres import server as postgres
from devstack.postgres.cluster import FAST
from devstack.scratch import scratch_folder

# The pool of Prisma's executor has the default size of node-postgres. The executor has no option to change it.
POOL_SIZE = 10


class Options(argparse.Namespace):
    """The options of the command line (`bench.workers.__main__.parser`)."""

    rounds: int
    seconds: float
    load: float
    sign_ups: int
    quick: bool
    only: list[str]
    out: Path | None


class Result(NamedTuple):
    """The ratios of a measurement, each with its median, minimum and maximum, and details for the results file."""

    ratios: dict[str, dict[str, float]]
    detail: dict[str, Any]


@contextmanager
def database(more: Mapping[str, str] = MappingProxyType({})) -> Iterator[postgres.Postgres]:
    """Run a Postgres server with the tables of all contenders until the block ends."""
    with (
        scratch_folder("bench") as folder,
        postgres.running(folder / "postgres", settings={**FAST, **more}) as server,
    ):
        migrate(server.url())
        with psycopg.connect(server.url()) as db:
            db.execute((PEERS / "better_auth.sql").read_bytes())
        yield server


@contextmanager
def behind_sqlproxy() -> Iterator[tuple[Backends, RowCounter]]:
    """Run a Postgres server and sqlproxy until the block ends; yield their addresses and a row counter."""
    with (
        database() as server,
        peers.sqlproxy(server.url(), POOL_SIZE) as proxy,
        RowCounter(server.url()) as counter,
    ):
        yield Backends(proxy.port, database=server.url()), counter


def order(names: Sequence[str], number: int) -> list[str]:
    """Return the order of turns in a round: a rotation of the names, reversed in every second round."""
    offset = number // 2 % len(names)
    rotated = [*names[offset:], *names[:offset]]
    return rotated if number % 2 == 0 else rotated[::-1]
