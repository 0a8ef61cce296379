"""Fixtures: a Postgres server, an empty database for each test, and a shared database with all migrations applied."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql

from devstack.migrate import migrations as migrate
from devstack.postgres import server as postgres

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Postgres]:
    """A running server. All tests share it, so they must not stop it."""
    with postgres.running(tmp_path_factory.mktemp("postgres") / "data") as running:
        yield running


@pytest.fixture
def url(server: postgres.Postgres) -> str:
    """The URL of a new, empty database."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(server.url(), autocommit=True) as db:
        db.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return server.url(name)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the migrations 1_one and 2_two, each of which creates a table."""
    root = tmp_path / "migrations"
    for name, script in {"1_one": "CREATE TABLE one (n int);\n", "2_two": "CREATE TABLE two (n int);\n"}.items():
        (root / name).mkdir(parents=True)
        (root / name / "migration.sql").write_bytes(script.encode())
    (root / "migration_lock.toml").write_text('provider = "postgresql"\n', encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def database(server: postgres.Postgres) -> str:
    """The URL of a database with all migrations applied, which all tests share."""
    with psycopg.connect(server.url(), autocommit=True) as db:
        db.execute("CREATE DATABASE migrated")
    migrate.migrate(server.url("migrated"))
    return server.url("migrated")


@pytest.fixture
def owner(database: str) -> Iterator[psycopg.Connection]:
    """Connect as the owner of the tables, and empty them."""
    with psycopg.connect(database, autocommit=True) as db:
        db.execute('TRUNCATE "User", "Outbox", "SignUpInvitation" RESTART IDENTITY')
        yield db


@pytest.fixture
def worker(owner: psycopg.Connection, database: str) -> Iterator[psycopg.Connection]:
    """Connect with only the privileges of `signup_worker`."""
    assert owner.autocommit
    with connect_as_worker(database) as db:
        yield db


def connect_as_worker(database: str) -> psycopg.Connection:
    """Return a connection with only the privileges of `signup_worker`."""
    db = psycopg.connect(database, autocommit=True)
    db.execute("SET SESSION AUTHORIZATION signup_worker")
    return db
