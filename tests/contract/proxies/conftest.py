"""Fixtures: a Postgres, and a server of each dialect in front of it. `prisma dev` has its own database."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from devstack.migrate.migrations import migrate
from devstack.postgres import server
from tests.contract.proxies import counterparts
from tests.contract.proxies.hyperdrive import hyperdrive

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.contract.proxies.counterparts import Counterpart


@pytest.fixture(scope="session")
def pg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Postgres]:
    """Run a Postgres server with all migrations applied."""
    with server.running(tmp_path_factory.mktemp("proxies") / "pg") as running:
        migrate(running.url())
        yield running


@pytest.fixture(scope="session")
def all_counterparts(
    pg: server.Postgres, tmp_path_factory: pytest.TempPathFactory, state: Path
) -> Iterator[dict[str, Counterpart]]:
    """Run the servers of all dialects; yield them by name."""
    with ExitStack() as stack:
        running: list[Counterpart] = [
            *stack.enter_context(counterparts.sqlproxy(pg.url())),
            stack.enter_context(counterparts.executor(pg.url())),
            stack.enter_context(counterparts.prisma_dev(tmp_path_factory.mktemp("prisma-dev"))),
            stack.enter_context(counterparts.prisma_postgres(pg.url())),
            # The folder is inside the checkout, because wrangler searches the parent folders for its packages.
            stack.enter_context(hyperdrive(pg, state / "hyperdrive")),
        ]
        by_name = {counterpart.name: counterpart for counterpart in running}
        assert tuple(by_name) == counterparts.NAMES
        migrate(by_name["prisma dev"].database)
        yield by_name


@pytest.fixture(params=counterparts.NAMES)
def counterpart(request: pytest.FixtureRequest, all_counterparts: dict[str, Counterpart]) -> Counterpart:
    """Return the server of a dialect. The test runs once for each server."""
    name: str = request.param
    return all_counterparts[name]


@pytest.fixture
def users(counterpart: Counterpart) -> Iterator[psycopg.Connection]:
    """Connect to the server's database, which contains one user."""
    with connect_with_one_user(counterpart.database) as connection:
        yield connection


@pytest.fixture
def pg_users(pg: server.Postgres) -> Iterator[psycopg.Connection]:
    """Connect to the shared Postgres, which contains one user."""
    with connect_with_one_user(pg.url()) as connection:
        yield connection


@contextmanager
def connect_with_one_user(database: str) -> Iterator[psycopg.Connection]:
    """Connect to a database, and replace its users with a single user."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute('TRUNCATE "User" RESTART IDENTITY')
        connection.execute(
            """INSERT INTO "User" ("name", "email", "password") VALUES ('Ada', 'taken@example.com', 'x')"""
        )
        yield connection
