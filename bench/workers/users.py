"""Measure sign-ups into an empty table and into tables with one and with ten million users."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import LiteralString, NamedTuple

import psycopg
from psycopg import sql

from bench import peers
from bench.client import Endpoint
from bench.load import Sample, summary, turn
from bench.report import progress, spread
from bench.workers.config import Worker
from bench.workers.contenders import Backends, unhashed, url
from bench.workers.measurement import POOL_SIZE, Options, Result, database, order
from bench.workers.row_counts import RowCounter
from bench.workers.workerd import endpoint, running
from devstack.migrate.migrations import migrate
from devstack.postgres.server import Postgres

SIZES = (0, 1_000_000, 10_000_000)
QUICK = (0, 10_000)
# Settings that make filling a table faster. All indexes except the primary key are also dropped and recreated.
SETTINGS = {"maintenance_work_mem": "512MB", "max_wal_size": "8GB", "checkpoint_timeout": "30min"}
_INDEXES: LiteralString = """\
SELECT "indexname", "indexdef" FROM pg_indexes WHERE "tablename" = 'User' AND "indexname" <> 'User_pkey'\
"""
# Addresses are in random order, as in real sign-ups. Each user has an idempotency key, as if created by the Worker.
_FILL: LiteralString = """\
INSERT INTO "User" ("name", "email", "password", "idempotency_key")
SELECT 'Ada Lovelace', md5(n::text) || '@example.com', %s, sha256(n::text::bytea) FROM generate_series(1, %s) AS n\
"""
_WARM_UP_SECONDS = 1.0


class Table(NamedTuple):
    """A running Worker with its own table."""

    endpoint: Endpoint
    counter: RowCounter

    def sign_up(self, seconds: float) -> Sample:
        """Measure the sign-ups of one client for `seconds`."""
        sample = turn(self.endpoint, 1, seconds)
        self.counter.check("User", sample.answered, hashed=False)
        return sample


def measure(options: Options) -> Result:
    """Measure the sign-ups of one client into each table, in turn. Hashing is left out: it would hide differences."""
    sizes = QUICK if options.quick else SIZES
    samples: dict[int, list[Sample]] = {size: [] for size in sizes}
    worker = unhashed(Backends(0), "users")
    with database(SETTINGS) as server, ExitStack() as stack:
        tables = {}
        for size in sizes:
            tables[f"{size}"] = stack.enter_context(_serve_table(server, worker, size))
            tables[f"{size}"].sign_up(_WARM_UP_SECONDS)
            progress(f"the table with {size} users is ready")
        for number in range(options.rounds):
            for name in order(list(tables), number):
                samples[int(name)].append(tables[name].sign_up(options.seconds))
            times = ", ".join(f"{size}: {1000 * each[-1].p50:.2f} ms" for size, each in samples.items())
            progress(f"round {number + 1} of {options.rounds}, p50 by users: {times}")
    ratios = {}
    if not options.quick:
        pairs = zip(samples[SIZES[0]], samples[SIZES[-1]], strict=True)
        ratios["users_10m_vs_empty"] = spread([empty.p50 / full.p50 for empty, full in pairs])
    return Result(ratios, {f"{size}": summary(each) for size, each in samples.items()})


@contextmanager
def _serve_table(server: Postgres, worker: Worker, size: int) -> Iterator[Table]:
    name = f"users_{size}"
    with psycopg.connect(server.url(), autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    database_url = server.url(name)
    migrate(database_url)
    _fill(database_url, size)
    with peers.sqlproxy(database_url, POOL_SIZE) as proxy, RowCounter(database_url) as counter:
        ours = worker._replace(bindings={"DATABASE_URL": url(Backends(proxy.port))})
        with running(ours, name=f"{name}.capnp") as run:
            counter.count_new("User")
            yield Table(endpoint(run), counter)


def _fill(database_url: str, users: int) -> None:
    """Insert a number of users into the empty table of a migrated database."""
    if not users:
        return
    with psycopg.connect(database_url, autocommit=True) as db:
        indexes: list[tuple[str, LiteralString]] = db.execute(_INDEXES).fetchall()
        for name, _ in indexes:
            db.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(name)))
        db.execute(_FILL, [peers.PASSWORD, users])
        for _, definition in indexes:
            db.execute(definition)
        db.execute('VACUUM (ANALYZE) "User"')
        db.execute("CHECKPOINT")
