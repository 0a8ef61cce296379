"""The database privileges of sqlproxy's login, in the stack that `make dev` starts."""

import psycopg
import pytest

from devstack.setup.bootstrap import ROOT
from tests.e2e.conftest import Running


@pytest.mark.parametrize(
    "statement",
    [
        'SELECT email FROM "User"',
        "INSERT INTO \"User\" (name, email, password) VALUES ('a', 'b', 'c')",
        "UPDATE \"User\" SET password = 'mine'",
        'DELETE FROM "User"',
        'TRUNCATE "User"',
        "CREATE TABLE mine (a int)",
        "SET ROLE postgres",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('postgresql.conf')",
        "SELECT rolpassword FROM pg_authid",
        'CREATE TEMPORARY TABLE "User" (id int)',
        "CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "SELECT lo_create(0)",
        "SELECT lo_from_bytea(0, 'x')",
        # The advisory lock of Prisma, which `make migrate` also takes.
        "SELECT pg_advisory_lock(72707369)",
        "SELECT pg_try_advisory_xact_lock_shared(1, 2)",
        "ALTER ROLE sqlproxy CONNECTION LIMIT 1000",
        "ALTER ROLE signup_worker LOGIN",
    ],
)
def test_the_login_cannot_use_tables_files_locks_or_other_roles(worker: Running, statement: str) -> None:
    """A client that has the login's password can bypass sqlproxy, so Postgres itself must refuse these statements."""
    with psycopg.connect(worker.stack.login_url, autocommit=True) as db:
        assert db.execute("SELECT current_user").fetchone() == ("sqlproxy",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            db.execute(statement.encode())


def test_the_login_has_few_connections_and_no_temporary_objects(worker: Running) -> None:
    """`make dev` runs deploy/restrict-login.sql, which allows 40 connections and no temporary objects."""
    assert worker.rows("SELECT rolconnlimit FROM pg_roles WHERE rolname = 'sqlproxy'") == [(40,)]
    query = "SELECT bool_or(has_database_privilege('sqlproxy', oid, 'TEMPORARY')) FROM pg_database"
    assert worker.rows(query + " WHERE datname = current_database()") == [(False,)]


def test_a_database_owner_keeps_its_privileges_and_gains_none(worker: Running) -> None:
    """An owner can still take locks and create temporary tables, but cannot read or write the server's files."""
    with psycopg.connect(worker.stack.database_url, autocommit=True) as db:
        db.execute("CREATE ROLE plain_owner")
        db.execute("CREATE DATABASE owned OWNER plain_owner")
        try:
            with psycopg.connect(worker.stack.database_url, dbname="owned", autocommit=True) as owned:
                owned.execute((ROOT / "deploy" / "restrict-login.sql").read_bytes())
                owned.execute("SET ROLE plain_owner")
                owned.execute("SELECT pg_advisory_lock(1), lo_create(0)")
                owned.execute("CREATE TEMPORARY TABLE mine (id int)")
                for statement in (b"SELECT lo_import('PG_VERSION')", b"SELECT lo_export(1, 'written')"):
                    with pytest.raises(psycopg.errors.InsufficientPrivilege):
                        owned.execute(statement)
        finally:
            db.execute("DROP DATABASE owned")
            db.execute("DROP ROLE plain_owner")
