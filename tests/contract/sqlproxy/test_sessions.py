"""Session resets between clients, and prepared statements."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from sqlproxy.dialect.request import Request, Statement
from sqlproxy.operations.metrics import Metrics
from sqlproxy.operations.settings import read
from sqlproxy.postgres.database import Database
from sqlproxy.postgres.opener import Opener
from sqlproxy.postgres.pool import Pool
from sqlproxy.postgres.session import connection_params
from tests.contract.sqlproxy.harness import allowing, eventually, run_proxy
from tests.contract.sqlproxy.relay import Relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    import psycopg

    from devstack.postgres.server import Postgres
    from tests.contract.sqlproxy.harness import Proxy

    Run = Callable[..., Awaitable[list[list[list[str | None]]]]]

PID = "SELECT pg_backend_pid()"


@pytest.fixture(scope="module")
def single_proxy(pg: Postgres) -> Iterator[Proxy]:
    """A proxy with one connection and without an allow-list."""
    with run_proxy(pg, "--pool-size", "1", "--statement-timeout", "7") as proxy:
        yield proxy


@pytest.fixture
def people(admin: psycopg.Connection) -> Iterator[None]:
    """A table `people` with a text column, dropped after the test."""
    admin.execute("CREATE TABLE people (n text)")
    yield
    admin.execute("DROP TABLE IF EXISTS people")


def do(statement: str) -> str:
    """Return a DO block that runs the statement, so that the command tag of the result is DO."""
    return f"DO $block$ BEGIN EXECUTE $${statement}$$; END $block$"


def setting(name: str, value: str) -> tuple[str, str]:
    """Return a statement that changes a setting of the session with SELECT, and one that shows the setting."""
    return f"SELECT set_config('{name}', '{value}', false)", f"SELECT current_setting('{name}')"


# Statements that change the session, and statements that show the change: every kind of state on the manual's page on
# DISCARD, except sequences, which have their own test; and the state of a libpq connection.
STATE = {
    "search_path": setting("search_path", "nowhere"),
    "role": (setting("role", "pg_monitor")[0], "SELECT current_user"),
    "session_authorization": (setting("session_authorization", "pg_monitor")[0], "SELECT session_user, current_user"),
    "statement_timeout": setting("statement_timeout", "60000"),
    "idle_in_transaction_session_timeout": setting("idle_in_transaction_session_timeout", "0"),
    "client_connection_check_interval": setting("client_connection_check_interval", "0"),
    "lock_timeout": setting("lock_timeout", "1"),
    "session_replication_role": setting("session_replication_role", "replica"),
    "row_security": setting("row_security", "off"),
    "client_encoding": setting("client_encoding", "LATIN1"),
    "default_transaction_read_only": setting("default_transaction_read_only", "on"),
    "default_transaction_isolation": setting("default_transaction_isolation", "serializable"),
    "time zone": setting("TimeZone", "Asia/Tokyo"),
    "application_name": setting("application_name", "another"),
    "plan_cache_mode": setting("plan_cache_mode", "force_generic_plan"),
    "custom setting": (
        "SELECT set_config('my.own', 'mine', false)",
        "SELECT nullif(current_setting('my.own', true), '')",
    ),
    "SET": ("SET search_path TO nowhere", "SHOW search_path"),
    "SET in a block": (do("SET search_path TO nowhere"), "SHOW search_path"),
    "SET SESSION CHARACTERISTICS": (
        "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
        "SHOW default_transaction_read_only",
    ),
    "SELECT INTO TEMP": ("SELECT 1 AS n INTO TEMP people", "SELECT to_regclass('people')"),
    "temporary table": (do("CREATE TEMP TABLE people (n int)"), "SELECT to_regclass('people')"),
    "temporary view": (do("CREATE TEMP VIEW people AS SELECT 1"), "SELECT to_regclass('people')"),
    "temporary function": (
        do("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1'"),
        "SELECT to_regprocedure('pg_temp.f()')",
    ),
    "advisory lock": ("SELECT pg_advisory_lock(7)", "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"),
    "shared advisory lock": (
        "SELECT pg_advisory_lock_shared(7, 8)",
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
    ),
    "LISTEN": ("LISTEN channel", "SELECT count(*) FROM pg_listening_channels()"),
    "LISTEN in a block": (do("LISTEN channel"), "SELECT count(*) FROM pg_listening_channels()"),
    "PREPARE": ("PREPARE mine AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements"),
    "PREPARE in a block": (do("PREPARE mine AS SELECT 1"), "SELECT count(*) FROM pg_prepared_statements"),
    "cursor WITH HOLD": (
        "DECLARE mine CURSOR WITH HOLD FOR SELECT 1",
        "SELECT count(*) FROM pg_cursors WHERE name = 'mine'",
    ),
    "LOAD": ("LOAD 'plpgsql'", "SELECT 1"),
}


@pytest.mark.parametrize("name", STATE)
def test_the_next_client_gets_a_fresh_session(single_proxy: Proxy, name: str) -> None:
    """A change to the session is visible to later statements of the same request, but not to the next request."""
    change, show = STATE[name]

    def run(*queries: str) -> list[list[list[str | None]]]:
        response = single_proxy.batch(*queries)
        assert response.status_code == 200, response.text
        return [result["rows"] for result in response.json()["results"]]

    before, _, _, changed, pid = run(show, change, "COMMIT", show, PID)
    # The session was reset and not replaced, except for changes that no reset undoes.
    can_be_reset = name != "LOAD"
    assert (changed != before) is can_be_reset
    assert (run(show)[0] == before, run(PID)[0] == pid) == (True, can_be_reset)


@pytest.fixture
async def run(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Run]:
    """Yield a function that runs queries in a pool of one connection, without the timer that resets idle sessions."""
    monkeypatch.setattr("sqlproxy.postgres.pool._RESET_AFTER_SECONDS", 60.0)
    environ = {"SQLPROXY_DATABASE_URL": pg.url(), "SQLPROXY_TOKEN": "t" * 16}
    settings = read({"statement_timeout": "7"}, environ)
    pool = Pool(Opener(settings, connection_params(settings)), size=1)
    database = Database(pool, Metrics(), answer_limit=100_000)

    async def execute(*queries: str) -> list[list[list[str | None]]]:
        statements = [Statement(query.encode(), [], array_mode=True) for query in queries]
        response = json.loads(await database.run(Request(statements, b"BEGIN" if queries[1:] else None, raw_text=True)))
        return [result["rows"] for result in response.get("results", [response])]

    yield execute
    await pool.close(0)


@pytest.mark.anyio
@pytest.mark.parametrize("name", STATE)
async def test_a_session_is_reset_at_the_latest_with_the_next_statement(run: Run, name: str) -> None:
    """The reset is sent with the next statement, or earlier if a command tag shows that the session was changed."""
    change, show = STATE[name]
    before, _, _, changed = await run(show, change, "COMMIT", show)
    assert (changed != before) is (name != "LOAD")
    assert await run(show) == [before]


@pytest.mark.anyio
async def test_a_failed_reset_does_not_fail_the_next_request(run: Run, admin: psycopg.Connection) -> None:
    """The session is replaced, and the statement runs once in the new session."""
    admin.execute("CREATE TABLE runs (n int)")
    admin.execute(
        "CREATE FUNCTION fill() RETURNS text LANGUAGE plpgsql AS $$ BEGIN FOR i IN 1..300 LOOP"
        " EXECUTE format('CREATE TEMP TABLE t%s ()', i); END LOOP; RETURN set_config('statement_timeout', '1', false);"
        " END $$"
    )
    try:
        old_pid = await run(PID)
        await run("SELECT fill()")
        insert = "INSERT INTO runs VALUES (1) RETURNING pg_backend_pid(), current_setting('statement_timeout')"
        [[[new_pid, timeout]]] = await run(insert)
        assert (new_pid != old_pid[0][0][0], timeout) == (True, "7s")
        assert admin.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    finally:
        admin.execute("DROP FUNCTION fill")
        admin.execute("DROP TABLE runs")


@pytest.mark.parametrize("name", ["search_path", "advisory lock", "SELECT INTO TEMP"])
def test_an_idle_session_is_reset(single_proxy: Proxy, admin: psycopg.Connection, name: str) -> None:
    """Even without a next request, no lock remains, and the next client gets a fresh session."""
    change, show = STATE[name]
    before = single_proxy.rows(show)
    assert single_proxy.sql(change).status_code == 200
    advisory = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
    eventually(lambda: admin.execute(advisory).fetchone() == (0,), "the lock is released")
    time.sleep(0.05)
    assert single_proxy.rows(show) == before


@pytest.mark.usefixtures("people")
def test_a_statement_after_a_reset_has_its_own_transaction(single_proxy: Proxy, admin: psycopg.Connection) -> None:
    """Otherwise VACUUM and procedures that commit would fail."""
    admin.execute(
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO people VALUES (1); COMMIT; PERFORM 1/0; END $$"
    )
    try:
        for _ in range(3):
            assert single_proxy.rows("SELECT 1") == [["1"]]
            assert single_proxy.sql("VACUUM people").status_code == 200
            assert single_proxy.rows("SELECT 1") == [["1"]]
            assert single_proxy.sql("CALL p()").json()["code"] == "22012"
        assert admin.execute("SELECT count(*) FROM people").fetchone() == (3,)
    finally:
        admin.execute("DROP PROCEDURE p")


def test_sequence_values_are_reset(single_proxy: Proxy, admin: psycopg.Connection) -> None:
    """`lastval()` does not return another client's number."""
    admin.execute("CREATE SEQUENCE numbers")
    try:
        assert single_proxy.rows("SELECT nextval('numbers')") == [["1"]]
        assert single_proxy.sql("SELECT lastval()").json()["code"] == "55000"
    finally:
        admin.execute("DROP SEQUENCE numbers")


@pytest.mark.usefixtures("people")
def test_the_encoding_of_another_client_does_not_apply(single_proxy: Proxy, admin: psycopg.Connection) -> None:
    """Texts are stored as sent."""
    assert single_proxy.sql("SELECT set_config('client_encoding', 'LATIN1', false)").status_code == 200
    assert single_proxy.sql("INSERT INTO people VALUES ($1)", "Zoë €").status_code == 200
    assert admin.execute("SELECT n FROM people").fetchall() == [("Zoë €",)]


@pytest.mark.parametrize("pooler", [False, True])
def test_the_session_settings_of_the_proxy_survive_a_reset(pg: Postgres, *, pooler: bool) -> None:
    """The settings are start-up options, or set by a statement if a pooler refuses start-up options."""
    with Relay(pg.port) as relay:
        relay.refused = b"\0options\0" if pooler else None
        flags = ("--pool-size", "1", "--statement-timeout", "7")
        with run_proxy(pg, *flags, DATABASE_URL=relay.through(pg.url())) as proxy:
            values = proxy.rows("SELECT setting, reset_val FROM pg_settings WHERE name = 'statement_timeout'")
            assert values == [["7000", "0" if pooler else "7000"]]
            assert proxy.sql("SELECT set_config('statement_timeout', '60000', false)").status_code == 200
            assert proxy.rows("SHOW statement_timeout") == [["7s"]]


def test_the_start_up_options_of_the_operator_are_kept(pg: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """The options of the connection string apply, or else those of libpq's environment variable."""
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=6MB")
    for url, expected in ((pg.url(), "6MB"), (f"{pg.url()}?options=-cwork_mem%3D5MB", "5MB")):
        with run_proxy(pg, DATABASE_URL=url) as proxy:
            assert proxy.rows("SHOW work_mem") == [[expected]]


def test_the_options_of_a_connection_service_are_kept(
    pg: Postgres, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The options are read from libpq's service file, and a statement sets sqlproxy's own settings."""
    (tmp_path / "services.conf").write_text("[mine]\noptions=-c work_mem=5MB\n")
    monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services.conf"))
    with run_proxy(pg, "--statement-timeout", "7", DATABASE_URL=f"{pg.url()}?service=mine") as proxy:
        assert proxy.rows("SELECT current_setting('work_mem'), current_setting('statement_timeout')") == [["5MB", "7s"]]


@pytest.mark.usefixtures("people")
def test_a_short_timeout_of_a_client_does_not_affect_the_next_client(single_proxy: Proxy) -> None:
    """The timeout may even cancel the reset. The session is then replaced."""
    assert single_proxy.sql("SELECT set_config('statement_timeout', '1', false)").status_code == 200
    assert single_proxy.rows("SELECT current_setting('statement_timeout')") == [["7s"]]
    assert single_proxy.rows("SELECT count(*) FROM people, pg_sleep(0.01)") == [["0"]]


def test_an_idle_timeout_of_another_client_rarely_fails_a_request(single_proxy: Proxy) -> None:
    """Postgres ends the session while the next request arrives, and the request runs in another session.

    The request fails only if the kernel drops Postgres' message with the connection: the outcome is then unknown.
    """
    lost = 0
    with single_proxy.client() as client:
        for number in range(120):
            for query in (f"SELECT set_config('idle_session_timeout', '{1 + number % 3}', false)", "SELECT 1"):
                response = client.post("/sql", json={"query": query})
                lost += response.status_code != 200
                time.sleep(0.001 * (number % 4))
    assert lost <= 2


INCREMENT = "SELECT $1::int + 1"
COUNT = "SELECT count(*) FROM pg_prepared_statements WHERE statement = 'SELECT $1::int + 1'"


def test_allowed_statements_are_prepared(pg: Postgres) -> None:
    """The call with the number `--prepare-threshold` prepares a statement; with 0, no call does.

    Without an allow-list, a statement that is not the Worker's is not prepared.
    """
    for threshold, with_list, expected in (("3", True, "0011"), ("0", True, "0000"), ("3", False, "0000")):
        with (
            allowing(INCREMENT, COUNT) as flags,
            run_proxy(pg, "--pool-size", "1", "--prepare-threshold", threshold, *(flags if with_list else ())) as proxy,
        ):
            counts = ""
            for number in range(4):
                assert proxy.rows(INCREMENT, number) == [[str(number + 1)]]
                counts += proxy.rows(COUNT)[0][0] or ""
        assert counts == expected


# A statement of the Worker.
OUTBOX_COUNTS = 'SELECT "pending"::text, "due"::text, "dead"::text FROM "outbox_counts"()'


@pytest.fixture
def outbox_counts(admin: psycopg.Connection) -> Iterator[None]:
    """Create the function that `OUTBOX_COUNTS` calls.

    It returns the number of prepared statements, the number of calls, and the process id of the session.
    """
    admin.execute("CREATE SEQUENCE numbers")
    admin.execute(
        "CREATE FUNCTION outbox_counts() RETURNS TABLE (pending bigint, due bigint, dead bigint) LANGUAGE sql AS"
        " $$ SELECT count(*), nextval('numbers'), pg_backend_pid() FROM pg_prepared_statements $$"
    )
    yield
    admin.execute("DROP FUNCTION outbox_counts")
    admin.execute("DROP SEQUENCE numbers")


@pytest.mark.usefixtures("outbox_counts")
def test_the_workers_statements_share_a_session_without_an_allow_list(pg: Postgres) -> None:
    """The Worker's statements are prepared. The session is reset before and after any other statement."""
    with run_proxy(pg, "--pool-size", "1", "--prepare-threshold", "3") as proxy:
        for _ in range(2):
            assert [proxy.rows(OUTBOX_COUNTS)[0][0] for _ in range(4)] == ["0", "0", "1", "1"]
            assert proxy.sql("SELECT lastval()").json()["code"] == "55000"


@pytest.mark.usefixtures("outbox_counts")
@pytest.mark.parametrize("pause", [0.0, 0.1], ids=["reset with the next statement", "reset while idle"])
def test_a_client_cannot_replace_a_prepared_statement_of_the_worker(pg: Postgres, pause: float) -> None:
    """A replacement is valid only until the session is reset, which happens before the Worker's next statement."""
    names = [f"sqlproxy_{number}" for number in range(1, 5)]
    replace = "; ".join(f"EXECUTE $q$PREPARE {name} AS SELECT 'x', 'x', 'x'$q$" for name in names)
    with run_proxy(pg, "--pool-size", "1", "--prepare-threshold", "1") as proxy:
        pid = proxy.rows(PID)[0][0]
        for number in (1, 3, 5):
            assert proxy.rows(OUTBOX_COUNTS)[0][1:] == [str(number), pid]
            response = proxy.sql(f"DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; {replace}; END $$")
            assert response.status_code == 200, response.text
            time.sleep(pause)
            assert proxy.rows(OUTBOX_COUNTS)[0][1:] == [str(number + 1), pid]


@pytest.mark.usefixtures("outbox_counts")
def test_clients_that_disconnect_leave_no_prepared_statements(pg: Postgres) -> None:
    """The client of `SELECT 1`, another statement of the Worker, disconnects while the statement is being prepared."""
    flags = ("--pool-size", "1", "--prepare-threshold", "1")
    with Relay(pg.port, delay=0.1) as relay, run_proxy(pg, *flags, DATABASE_URL=relay.through(pg.url())) as proxy:
        for _ in range(3):
            # The only prepared statement is `OUTBOX_COUNTS`.
            assert proxy.rows(OUTBOX_COUNTS)[0][0] == "1"
            with pytest.raises(httpx.ReadTimeout), proxy.client() as client:
                client.post("/sql", json={"query": "SELECT 1"}, timeout=0.05)


@pytest.mark.usefixtures("people")
def test_a_prepared_statement_survives_a_change_of_its_table(pg: Postgres, admin: psycopg.Connection) -> None:
    """Postgres refuses the old plan; the statement is run again without it, even in a transaction."""
    query = "SELECT n FROM people"
    admin.execute("INSERT INTO people (n) VALUES (1)")
    with allowing(query) as flags, run_proxy(pg, "--pool-size", "2", *flags) as proxy:
        for kind, expected in (("text", "1"), ("numeric(5, 2)", "1.00")):
            for _ in range(12):
                proxy.rows(query)
            admin.execute(f"ALTER TABLE people ALTER n TYPE {kind} USING n::{kind}")
            assert proxy.rows(query) == [[expected]]
            for _ in range(4):
                assert proxy.batch(query).json()["results"][0]["rows"] == [[expected]]


@pytest.mark.usefixtures("people")
def test_a_deallocated_statement_is_prepared_again(pg: Postgres) -> None:
    """The next request succeeds even if a pooler or a function has deallocated the prepared statement."""
    insert, deallocate = "INSERT INTO people VALUES (1)", do("DEALLOCATE ALL")
    flags = ("--pool-size", "1", "--prepare-threshold", "1")
    with allowing(insert, deallocate, "SELECT count(*) FROM people") as listed, run_proxy(pg, *flags, *listed) as proxy:
        for _ in range(3):
            assert proxy.sql(insert).status_code == 200
            assert proxy.sql(deallocate).status_code == 200
        assert proxy.rows("SELECT count(*) FROM people") == [["3"]]


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("code", "fails"),
    [
        ("26000", "RAISE 'prepared statement \"sqlproxy_1\" does not exist' USING ERRCODE = '26000'"),
        ("0A000", "RAISE 'cached plan must not change result type' USING ERRCODE = '0A000'"),
        # Here Postgres raises the same errors as for a stale prepared statement of sqlproxy.
        ("26000", "EXECUTE 'DEALLOCATE ALL'; EXECUTE 'EXECUTE sqlproxy_1'"),
        (
            "0A000",
            "EXECUTE 'DEALLOCATE ALL; PREPARE q AS TABLE people'; ALTER TABLE people ADD x int; EXECUTE 'EXECUTE q'",
        ),
    ],
    ids=["raised 26000", "raised 0A000", "real 26000", "real 0A000"],
)
def test_a_procedure_that_fails_with_the_code_of_a_stale_statement_runs_once(
    pg: Postgres, admin: psycopg.Connection, code: str, fails: str
) -> None:
    """The procedure may have committed before the error, so the outcome is unknown, and it is not repeated."""
    admin.execute(
        "CREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN INSERT INTO people VALUES (1); COMMIT; #; END $$".replace(
            "#", fails
        )
    )
    flags = ("--pool-size", "1", "--prepare-threshold", "1")
    try:
        with allowing("CALL p()") as listed, run_proxy(pg, *flags, *listed) as proxy:
            for number in (1, 2):
                response = proxy.sql("CALL p()")
                assert (response.status_code, response.json()["code"], response.json()["executed"]) == (400, code, None)
                assert admin.execute("SELECT count(*) FROM people").fetchone() == (number,)
    finally:
        admin.execute("DROP PROCEDURE p")


@pytest.mark.usefixtures("people")
@pytest.mark.parametrize(
    ("queries", "executed", "rows"),
    [
        (["INSERT INTO people VALUES (1)", "SELECT 1/0"], False, 0),
        (["INSERT INTO people VALUES (1)", "COMMIT", "SELECT 1/0"], None, 1),
        (["INSERT INTO people VALUES (1)", "COMMIT AND CHAIN", "SELECT 1/0"], None, 1),
        (["INSERT INTO people VALUES (1)", "END", "INSERT INTO people VALUES (2)", "SELECT 1/0"], None, 2),
        (["INSERT INTO people VALUES (1)", "ROLLBACK", "SELECT 1/0"], None, 0),
        (["INSERT INTO people VALUES (1)", "COMMIT", "SELECT repeat('x', 20000000)"], None, 1),
        (["DO $$ BEGIN INSERT INTO people VALUES (1); COMMIT; PERFORM 1/0; END $$"], None, 1),
        (["DO $$ BEGIN INSERT INTO people VALUES (1); PERFORM 1/0; END $$"], None, 0),
        (["INSERT INTO people SELECT 1/0"], False, 0),
        (["-- a comment\n/* and another */ (SELECT 1/0)"], False, 0),
        (["SELEC 1"], False, 0),
        (["/* /* */ select */ DO $$ BEGIN INSERT INTO people VALUES (1); COMMIT; PERFORM 1/0; END $$"], None, 1),
        (["--\rDO $$ /*\nselect*/ BEGIN INSERT INTO people VALUES (1); COMMIT; PERFORM 1/0; END $$"], None, 1),
        (["/* a * b / c **/ SELECT 1/0"], False, 0),
        (["INSERT INTO people VALUES (1)", "COMMIT", "COPY people TO STDOUT"], None, 1),
        (["INSERT INTO people VALUES (1)", "COPY people TO STDOUT"], False, 0),
        (["COPY people FROM STDIN"], False, 0),
        (["COPY (SELECT 1) TO STDOUT"], None, 0),
        (["INSERT INTO people VALUES (1)", "SELECT repeat('x', 20000000)"], False, 0),
        (["CALL nothing_of_this_name()"], False, 0),
        (["CREATE UNIQUE INDEX CONCURRENTLY i ON people ((1/0))"], None, 0),
    ],
)
def test_an_error_reports_the_known_outcome(
    single_proxy: Proxy, admin: psycopg.Connection, queries: list[str], executed: bool | None, rows: int
) -> None:
    """`executed` is false only if nothing was changed, and null if a part may be committed."""
    response = single_proxy.batch(*queries) if len(queries) > 1 else single_proxy.sql(queries[0])
    assert response.status_code in (400, 507)
    assert response.json()["executed"] is executed
    assert admin.execute("SELECT count(*) FROM people").fetchone() == (rows,)


@pytest.mark.usefixtures("people")
def test_a_commit_whose_result_is_too_large_is_not_reported_as_undone(pg: Postgres, admin: psycopg.Connection) -> None:
    """Depending on the length, the result of COMMIT fits into or exceeds the limit, or an earlier result exceeds it."""
    outcomes = set()
    with run_proxy(pg, "--pool-size", "1", "--answer-limit", "1000") as proxy:
        for length in range(500, 900, 20):
            response = proxy.batch("INSERT INTO people VALUES (1)", f"SELECT repeat('x', {length})", "COMMIT")
            row = admin.execute("WITH gone AS (DELETE FROM people RETURNING n) SELECT count(*) FROM gone").fetchone()
            outcomes.add((response.status_code, response.json().get("executed"), row))
    assert outcomes == {(200, None, (1,)), (507, None, (1,)), (507, False, (0,))}
