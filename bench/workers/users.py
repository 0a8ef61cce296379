"""Measure sign-ups into an empty table and into tables with one and with ten million users."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, LiteralString, NamedTuple

import psycopg
import uvloop
from psycopg import sql

from bench import peers
from bench.report import spread
from bench.workers.contenders import Backends, url
from bench.workers.load import Sample, Target, endpoint, turn
from bench.workers.rounds import NUMBERS, order
from bench.workers.row_counts import RowCounter
from bench.workers.workerd import running
from devstack.migrate.migrations import migrate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.workers.config import Worker
    from devstack.postgres.server import Postgres

__all__ = ["QUICK", "SIZES", "fill", "measure", "ratio"]

SIZES = (0, 1_000_000, 10_000_000)
QUICK = (0, 10_000)
# To fill a table faster, indexes are dropped first and recreated with the same definitions.
SETTINGS = {"maintenance_work_mem": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
_INDEXES: LiteralString = """\
SELECT "indexname", "indexdef" FROM pg_indexes WHERE "tablename" = 'User' AND "indexname" <> 'User_pkey'\
"""
# Addresses in random order, as those of real sign-ups, each with an idempotency key as the Worker writes it.
_FILL: LiteralString = """\
INSERT INTO "User" ("name", "email", "password", "idempotency_key")
SELECT 'Ada Lovelace', md5(n::text) || '@example.com', %s, sha256(n::text::bytea) FROM generate_series(1, %s) AS n\
"""
_WARM_UP_SECONDS = 1.0
_CLIENTS = 1


class TableTarget(NamedTuple):
    """A running Worker with its own table."""

    target: Target
    counter: RowCounter


def fill(database: str, users: int) -> None:
    """Fill the table of a migrated database."""
    if not users:
        return
    with psycopg.connect(database, autocommit=True) as db:
        indexes: list[tuple[str, LiteralString]] = db.execute(_INDEXES).fetchall()
        for name, _ in indexes:
            db.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        db.execute(_FILL, [peers.PASSWORD, users])
        for _, definition in indexes:
            db.execute(definition)
        db.execute('VACUUM (ANALYZE) "User"')
        db.execute("CHECKPOINT")


def measure(
    server: Postgres,
    worker: Worker,
    plan: tuple[Sequence[int], int, float],
    log: Callable[[str], None],
) -> dict[int, list[Sample]]:
    """Measure sign-ups of one client into each of the tables, in turns.

    Args:
        server: the server, on which a database is created for each size.
        worker: the Worker without the hash, which would hide any difference.
        plan: the sizes, the number of rounds and the duration of a turn in seconds.
        log: writes a line of progress.

    Returns:
        By size, one sample a round.
    """
    sizes, rounds, seconds = plan
    samples: dict[int, list[Sample]] = {size: [] for size in sizes}
    with ExitStack() as stack:
        tables = {}
        for size in sizes:
            table = stack.enter_context(_serve_table(server, worker, size))
            _sign_up(table, _WARM_UP_SECONDS)
            tables[f"{size}"] = table
            log(f"the table with {size} users is ready")
        for number in range(rounds):
            for name in order(list(tables), number):
                samples[int(name)].append(_sign_up(tables[name], seconds))
            progress = ", ".join(f"{size}: {1000 * each[-1].p50:.2f} ms" for size, each in samples.items())
            log(f"round {number + 1} of {rounds}, p50 by users: {progress}")
    return samples


def ratio(samples: dict[int, list[Sample]]) -> dict[str, dict[str, float]]:
    """Return the response time with an empty table divided by that with ten million users, if measured."""
    if SIZES[-1] not in samples:
        return {}
    pairs = zip(samples[SIZES[0]], samples[SIZES[-1]], strict=True)
    return {"users_10m_vs_empty": spread([empty.p50 / full.p50 for empty, full in pairs])}


@contextmanager
def _serve_table(server: Postgres, worker: Worker, size: int) -> Iterator[TableTarget]:
    name = f"users_{size}"
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    database = server.url(name)
    migrate(database)
    fill(database, size)
    with peers.sqlproxy(database, 10) as proxy, RowCounter(database) as counter:
        ours = worker._replace(bindings={"DATABASE_URL": url(Backends(proxy.port))})
        with running(ours, name=f"{name}.capnp") as run:
            counter.count_new("User")
            yield TableTarget(Target(endpoint(run.port), run.pid, 201), counter)


def _sign_up(table: TableTarget, seconds: float) -> Sample:
    sample = uvloop.run(turn(table.target, _CLIENTS, seconds, NUMBERS))
    table.counter.check("User", sample.answered, hashed=False)
    return sample
