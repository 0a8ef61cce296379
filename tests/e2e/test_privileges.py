"""What the database lets sqlproxy's login do, in the stack that `make dev` starts."""

import psycopg
import pytest

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
    ],
)
def test_the_proxys_login_can_only_sign_up(worker: Running, statement: str) -> None:
    """Whoever has its password, past sqlproxy and its list of statements, reads nothing and changes nothing."""
    with psycopg.connect(worker.stack.login_url, autocommit=True) as db:
        assert db.execute("SELECT current_user").fetchone() == ("sqlproxy",)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            db.execute(statement.encode())
