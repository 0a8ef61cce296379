"""Faults in Postgres: the Worker's responses, and the rows in the database."""

import contextlib
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.e2e.chaos import read_only
from tests.e2e.conftest import PASSWORD, Matrix, Running, new_email, outcome

# In seconds: the default of REQUEST_DEADLINE, and extra time for busy machines.
DEADLINE = 10
GRACE = 5
# More inserts than any test attempts.
LASTING = 10**6


@contextlib.contextmanager
def no_connections_left(db: psycopg.Connection) -> Iterator[None]:
    """Terminate the proxy's connections and refuse new ones."""
    db.execute("ALTER ROLE sqlproxy CONNECTION LIMIT 0")
    db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sqlproxy'")
    try:
        yield
    finally:
        db.execute("ALTER ROLE sqlproxy CONNECTION LIMIT 40")


@contextlib.contextmanager
def lock_table(db: psycopg.Connection) -> Iterator[None]:
    """Lock the table as a careless migration does, and release the lock when no statement waits any more."""
    with psycopg.connect(db.info.dsn, password=db.info.password) as holder:
        holder.execute('LOCK TABLE "User" IN ACCESS EXCLUSIVE MODE')
        yield
        # When the Worker has given up, the proxy takes a moment to cancel the statement.
        wait_until_idle(db)
        holder.rollback()


def wait_until_idle(db: psycopg.Connection) -> None:
    """Wait until the proxy's connections are idle."""
    deadline = time.monotonic() + 30
    busy = "SELECT 1 FROM pg_stat_activity WHERE usename = 'sqlproxy' AND state <> 'idle'"
    while db.execute(busy).fetchone():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextlib.contextmanager
def failing_inserts(db: psycopg.Connection, sqlstate: str, times: int) -> Iterator[None]:
    """Make the next `times` inserts fail with a SQLSTATE; a sequence counts them, because rollbacks do not reset it."""
    db.execute("CREATE SEQUENCE faults")
    db.execute("GRANT USAGE ON SEQUENCE faults TO PUBLIC")
    db.execute(
        f"""
        CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('public.faults') <= {times} THEN
                RAISE EXCEPTION 'injected' USING ERRCODE = '{sqlstate}';
            END IF;
            RETURN NEW;
        END $$""".encode()
    )
    db.execute('CREATE TRIGGER fail BEFORE INSERT ON "User" FOR EACH ROW EXECUTE FUNCTION fail()')
    try:
        yield
    finally:
        db.execute('DROP TRIGGER fail ON "User"')
        db.execute("DROP FUNCTION fail")
        db.execute("DROP SEQUENCE faults")


FAULTS: dict[str, Callable[[psycopg.Connection], contextlib.AbstractContextManager[None]]] = {
    "read-only": read_only,
    "no connections left": no_connections_left,
    "locked table": lock_table,
    # A trigger raises these errors, so only their SQLSTATE is real.
    "serialization failures (40001)": lambda db: failing_inserts(db, "40001", LASTING),
    "deadlocks (40P01)": lambda db: failing_inserts(db, "40P01", LASTING),
    "full disk (53100)": lambda db: failing_inserts(db, "53100", LASTING),
}


@pytest.fixture
def db(worker: Running) -> Iterator[psycopg.Connection]:
    """Return a database connection of the superuser."""
    with psycopg.connect(worker.stack.database_url, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("name", FAULTS)
def test_a_lasting_fault_causes_503_or_504_and_a_retry_succeeds(
    worker: Running, db: psycopg.Connection, matrix: Matrix, name: str
) -> None:
    """The response meets the deadline; after the fault a retry with the same key gets 201, and there is one row.

    A statement that waits for the lock may still be executed after the Worker gives up; the response is then 504
    (outcome unknown). With the other faults the statement never stores a row.
    """
    email = new_email()
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    with FAULTS[name](db):
        start = time.monotonic()
        response = worker.client.post("/", json=body, headers={"idempotency-key": email})
        seconds = time.monotonic() - start
    assert (response.status_code, response.json()["code"]) in ((503, "proxy_unavailable"), (504, "proxy_timeout"))
    assert seconds < DEADLINE + GRACE
    wait_until_idle(db)
    ((created,),) = worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email)
    assert created <= (response.status_code == 504)
    deadline = time.monotonic() + 60
    while (again := worker.client.post("/", json=body, headers={"idempotency-key": email})).status_code != 201:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert ("idempotency-replayed" in again.headers) == bool(created)
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]
    matrix.add(name, "", outcome(response, seconds), "201, replayed" if created else "201", f"{created} → 1")


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_conflict_is_retried_by_the_worker(worker: Running, db: psycopg.Connection, sqlstate: str) -> None:
    """After two conflicts the statement succeeds and the client gets 201."""
    email = new_email()
    with failing_inserts(db, sqlstate, 2):
        assert worker.sign_up(email=email).status_code == 201
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


def test_only_a_violation_of_the_email_index_returns_email_taken(worker: Running, db: psycopg.Connection) -> None:
    """A violation of another unique index leads to 500, and the log names the index.

    An address that differs from a stored one only in letter case counts as taken.
    """
    db.execute("""CREATE UNIQUE INDEX alone ON "User"(name) WHERE name = 'Only Grace'""")
    try:
        assert worker.sign_up(name="Only Grace").status_code == 201
        refused = worker.sign_up(name="Only Grace")
    finally:
        db.execute("DROP INDEX alone")
    assert (refused.status_code, refused.json()["code"]) == (500, "internal")
    assert any('"constraint":"alone"' in line for line in worker.lines)
    email = new_email()
    insert = """INSERT INTO "User" (name, email, password) VALUES ('Old', %s, 'x') RETURNING id"""
    (user,) = db.execute(insert, [f"Old.{email.upper()}"]).fetchall()
    assert worker.sign_up(email=f"old.{email}").json()["code"] == "email_taken"
    db.execute('DELETE FROM "User" WHERE id = %s', user)
