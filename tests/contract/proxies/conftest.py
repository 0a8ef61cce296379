"""One Postgres, and in front of it every counterpart that our dialects have; `prisma dev` brings its own."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psycopg
import pytest

from devstack.migrate.migrations import migrate
from devstack.postgres import server
from tests.contract.proxies import counterparts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.contract.proxies.counterparts import Counterpart


@pytest.fixture(scope="session")
def pg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Postgres]:
    """Run the Postgres of the session, with our tables in it."""
    with server.running(tmp_path_factory.mktemp("proxies") / "pg") as running:
        migrate(running.url())
        yield running


@pytest.fixture(scope="session")
def every(pg: server.Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Counterpart]]:
    """Run all counterparts, side by side."""
    with ExitStack() as stack:
        running = [
            *stack.enter_context(counterparts.sqlproxy(pg.url())),
            stack.enter_context(counterparts.executor(pg.url())),
            stack.enter_context(counterparts.prisma_dev(tmp_path_factory.mktemp("prisma-dev"))),
            stack.enter_context(counterparts.prisma_postgres(pg.url())),
        ]
        by_name = {counterpart.name: counterpart for counterpart in running}
        assert tuple(by_name) == counterparts.NAMES
        migrate(by_name["prisma dev"].database)
        yield by_name


@pytest.fixture(params=counterparts.NAMES)
def counterpart(request: pytest.FixtureRequest, every: dict[str, Counterpart]) -> Counterpart:
    """Return each of them in turn."""
    name: str = request.param
    return every[name]


@pytest.fixture
def users(counterpart: Counterpart) -> Iterator[psycopg.Connection]:
    """Give a connection of our own to the database behind, whose table is empty but for one taken address."""
    with emptied(counterpart.database) as connection:
        yield connection


@pytest.fixture
def pg_users(pg: server.Postgres) -> Iterator[psycopg.Connection]:
    """Give the same to the Postgres that all but `prisma dev` share."""
    with emptied(pg.url()) as connection:
        yield connection


@contextmanager
def emptied(database: str) -> Iterator[psycopg.Connection]:
    """Connect to a database and empty its table, but for one user."""
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute('TRUNCATE "User" RESTART IDENTITY')
        connection.execute(
            """INSERT INTO "User" ("name", "email", "password") VALUES ('Ada', 'taken@example.com', 'x')"""
        )
        yield connection
