"""What goes wrong in Postgres itself, and what the client and the books show."""

import contextlib
import time
from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.e2e.chaos import read_only
from tests.e2e.conftest import PASSWORD, Matrix, Running, new_email, outcome

DEADLINE = 10
GRACE = 5
FOR_GOOD = 10**6


@contextlib.contextmanager
def no_connection_left(db: psycopg.Connection) -> Iterator[None]:
    """Take the proxy's connections away, and let it have no other."""
    db.execute("ALTER ROLE sqlproxy CONNECTION LIMIT 0")
    db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sqlproxy'")
    try:
        yield
    finally:
        db.execute("ALTER ROLE sqlproxy CONNECTION LIMIT 40")


@contextlib.contextmanager
def locked(db: psycopg.Connection) -> Iterator[None]:
    """Hold a lock on the table, as a careless migration does, until nobody waits for it any more."""
    with psycopg.connect(db.info.dsn, password=db.info.password) as holder:
        holder.execute('LOCK TABLE "User" IN ACCESS EXCLUSIVE MODE')
        yield
        # The Worker has given up, and its proxy cancels what it was asked for; that takes a moment.
        settle(db)
        holder.rollback()


def settle(db: psycopg.Connection) -> None:
    """Wait until the proxy's connections are at rest."""
    deadline = time.monotonic() + 30
    busy = "SELECT 1 FROM pg_stat_activity WHERE usename = 'sqlproxy' AND state <> 'idle'"
    while db.execute(busy).fetchone():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@contextlib.contextmanager
def raising(db: psycopg.Connection, sqlstate: str, times: int) -> Iterator[None]:
    """Have the next inserts fail with a SQLSTATE; a sequence counts them, since nothing rolls it back."""
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
    "no connection left": no_connection_left,
    "a lock held on the table": locked,
    # Raised by a trigger: the SQLSTATE is real, and what leads to it is not.
    "serialization failures (40001)": lambda db: raising(db, "40001", FOR_GOOD),
    "deadlocks (40P01)": lambda db: raising(db, "40P01", FOR_GOOD),
    "a full disk (53100)": lambda db: raising(db, "53100", FOR_GOOD),
}


@pytest.fixture
def db(worker: Running) -> Iterator[psycopg.Connection]:
    """Return a superuser's session."""
    with psycopg.connect(worker.stack.database_url, autocommit=True) as connection:
        yield connection


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_for_good(worker: Running, db: psycopg.Connection, matrix: Matrix, name: str) -> None:
    """503 or 504 in time; afterwards, with the same key, 201 and one row, which is the first request's or this one's.

    A statement that the lock held back may be past the point of no return when the Worker gives up: 504 says that
    nobody knows. None of the other faults lets one through.
    """
    email = new_email()
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    with FAULTS[name](db):
        start = time.monotonic()
        answer = worker.client.post("/", json=body, headers={"idempotency-key": email})
        seconds = time.monotonic() - start
    assert (answer.status_code, answer.json()["code"]) in ((503, "proxy_unavailable"), (504, "proxy_timeout"))
    assert seconds < DEADLINE + GRACE
    settle(db)
    ((made,),) = worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email)
    assert made <= (answer.status_code == 504)
    deadline = time.monotonic() + 60
    while (again := worker.client.post("/", json=body, headers={"idempotency-key": email})).status_code != 201:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert ("idempotency-replayed" in again.headers) == bool(made)
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]
    matrix.add(name, "", outcome(answer, seconds), "201, replayed" if made else "201", f"{made} → 1")


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
def test_a_conflict_is_mended_by_the_worker(worker: Running, db: psycopg.Connection, sqlstate: str) -> None:
    """A statement that lost to another, once or twice, is repeated: the client sees 201."""
    email = new_email()
    with raising(db, sqlstate, 2):
        assert worker.sign_up(email=email).status_code == 201
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


def test_only_the_address_makes_an_address_taken(worker: Running, db: psycopg.Connection) -> None:
    """Another unique index is 500, and the log names it; an address that another case is stored of is 409."""
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
