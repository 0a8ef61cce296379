"""Migrations on a real Postgres: each is applied once, and recorded in Prisma's format.

A failed migration that ran in a transaction is rolled back completely.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from devstack.migrate import history
from devstack.migrate import migrations as migrate

ROOT = Path(__file__).resolve().parents[3]
NAMES = ["1_one", "2_two"]


def _tables(url: str, schema: str = "public") -> set[str]:
    with psycopg.connect(url) as db:
        rows = db.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema])
        return {name for (name,) in rows}


def _records(url: str) -> list[tuple[object, ...]]:
    query = "SELECT migration_name, finished_at IS NOT NULL, rolled_back_at IS NOT NULL, applied_steps_count, logs"
    with psycopg.connect(url) as db:
        return db.execute(f"{query} FROM _prisma_migrations ORDER BY started_at, id").fetchall()


def _add(folder: Path, name: str, script: str) -> None:
    (folder / name).mkdir()
    (folder / name / "migration.sql").write_text(script, encoding="utf-8")


def test_a_new_database_gets_each_migration_once_in_order(url: str, folder: Path) -> None:
    """The first run applies all migrations and reports their names. The second run applies none."""
    lines: list[str] = []
    assert migrate.migrate(url, folder, lines.append) == NAMES
    assert [re.sub(r"\d+ ms", "T", line) for line in lines] == ["applied  1_one  T", "applied  2_two  T"]
    assert _tables(url) == {"one", "two", history.TABLE}
    assert migrate.migrate(url, folder, lines.append) == []
    assert len(lines) == 2


def test_the_history_table_has_the_format_of_prisma(url: str, folder: Path) -> None:
    """The table has Prisma's columns, and a row has the values that `prisma migrate deploy` records."""
    # These line endings are part of the checksum.
    (folder / "1_one" / "migration.sql").write_bytes(b"CREATE TABLE one (n int);\r\n")
    migrate.migrate(url, folder)
    columns = """
        SELECT column_name, data_type, character_maximum_length, is_nullable, column_default
        FROM information_schema.columns WHERE table_name = '_prisma_migrations' ORDER BY ordinal_position
    """
    with psycopg.connect(url) as db:
        assert db.execute(columns).fetchall() == [
            ("id", "character varying", 36, "NO", None),
            ("checksum", "character varying", 64, "NO", None),
            ("finished_at", "timestamp with time zone", None, "YES", None),
            ("migration_name", "character varying", 255, "NO", None),
            ("logs", "text", None, "YES", None),
            ("rolled_back_at", "timestamp with time zone", None, "YES", None),
            ("started_at", "timestamp with time zone", None, "NO", "now()"),
            ("applied_steps_count", "integer", None, "NO", "0"),
        ]
        row = db.execute(
            "SELECT id, checksum, migration_name, logs, rolled_back_at, applied_steps_count, started_at < finished_at"
            " FROM _prisma_migrations WHERE migration_name = '1_one'"
        ).fetchone()
    assert row is not None
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", row[0])
    checksum = hashlib.sha256((folder / "1_one" / "migration.sql").read_bytes()).hexdigest()
    assert row[1:] == (checksum, "1_one", None, None, 1, True)


def test_migrations_that_prisma_applied_are_not_repeated(url: str, folder: Path) -> None:
    """A migration that is recorded as finished is skipped, and one that is recorded as rolled back is applied."""
    with psycopg.connect(url) as db:
        history.HistoryTable(db, "public").create()
        insert = "INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, rolled_back_at, logs)"
        checksum = hashlib.sha256((folder / "1_one" / "migration.sql").read_bytes()).hexdigest()
        db.execute(f"{insert} VALUES ('a', %s, '1_one', now(), NULL, NULL)", [checksum])
        db.execute(f"{insert} VALUES ('b', 'c', '2_two', NULL, now(), 'oh')")
    assert migrate.migrate(url, folder) == ["2_two"]
    assert _tables(url) == {"two", history.TABLE}


def test_eight_concurrent_runs_apply_each_migration_once(url: str, folder: Path) -> None:
    """One of the runs applies the migrations, and none fails."""
    # The script takes long enough that runs without a lock would overlap.
    _add(folder, "3_slow", "SELECT pg_sleep(0.2); CREATE TABLE three (n int);")
    barrier = threading.Barrier(8)

    def run() -> list[str]:
        barrier.wait()
        return migrate.migrate(url, folder)

    with ThreadPoolExecutor(8) as pool:
        results = [future.result() for future in [pool.submit(run) for _ in range(8)]]
    assert sorted(results) == [[]] * 7 + [[*NAMES, "3_slow"]]
    assert [row[0] for row in _records(url)] == [*NAMES, "3_slow"]


def test_the_advisory_lock_of_prisma_is_respected(url: str, folder: Path) -> None:
    """The run waits while another session holds Prisma's advisory lock, and continues afterwards."""
    with psycopg.connect(url, autocommit=True) as prisma, ThreadPoolExecutor(1) as pool:
        prisma.execute("SELECT pg_advisory_lock(72707369)")
        run = pool.submit(migrate.migrate, url, folder)
        lock_query = (
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND datname = current_database()"
        )
        deadline = time.monotonic() + 5
        while prisma.execute(lock_query).fetchone() != (1,):
            assert time.monotonic() < deadline
            assert not run.done()
        assert _tables(url) == set()
        prisma.execute("SELECT pg_advisory_unlock(72707369)")
        assert run.result(timeout=5) == NAMES


def test_a_lock_held_for_too_long_is_reported(url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the timeout the error names the server process that holds the lock."""
    monkeypatch.setattr(migrate, "_LOCK_SECONDS", 0.05)
    with psycopg.connect(url, application_name="Prisma") as other:
        other.execute("SELECT pg_advisory_lock(72707369)")
        message = (
            rf"another migration .*\(server process {other.info.backend_pid}, Prisma, of login postgres, .* ends it"
        )
        with pytest.raises(migrate.MigrationError, match=message):
            migrate.migrate(url, folder)


def test_a_script_with_a_nul_is_refused_before_anything_is_run(url: str, folder: Path) -> None:
    """Without this check, the part before the NUL would be run as the whole script."""
    _add(folder, "3_cut", "CREATE TABLE three (n int);\0 CREATE TABLE four (n int);")
    with pytest.raises(migrate.MigrationError, match="NUL character: 3_cut"):
        migrate.migrate(url, folder)
    assert _tables(url) == set()


def test_a_failed_migration_is_rolled_back(url: str, folder: Path) -> None:
    """The error names the migration and the line, earlier migrations stay, and the corrected script runs."""
    _add(folder, "3_bad", "CREATE TABLE three (n int);\n\nINSERT INTO nowhere VALUES (1);\n")
    reason = r'3_bad failed \(line 3\): relation "nowhere" .*42P01.*rolled back'
    with pytest.raises(migrate.MigrationError, match=reason):
        migrate.migrate(url, folder)
    assert _tables(url) == {"one", "two", history.TABLE}
    assert [row[0] for row in _records(url)] == NAMES
    (folder / "3_bad" / "migration.sql").write_text("CREATE TABLE three (n int);", encoding="utf-8")
    assert migrate.migrate(url, folder) == ["3_bad"]


def test_a_failure_at_commit_is_reported(url: str, folder: Path) -> None:
    """The violation of a deferred constraint, which COMMIT detects, is reported as the migration's failure."""
    script = "CREATE TABLE c (n int UNIQUE DEFERRABLE INITIALLY DEFERRED); INSERT INTO c VALUES (1), (1);"
    _add(folder, "3_deferred", script)
    with pytest.raises(migrate.MigrationError, match=r"3_deferred failed.*23505.*rolled back"):
        migrate.migrate(url, folder)
    assert "c" not in _tables(url)


def test_an_error_does_not_quote_rows(url: str, folder: Path) -> None:
    """The message has Postgres' text, but not DETAIL, which quotes a row and may contain an address."""
    _add(
        folder,
        "3_rows",
        "CREATE TABLE u (e text); INSERT INTO u VALUES ('ada@x'), ('ada@x'); CREATE UNIQUE INDEX ON u(e);",
    )
    with pytest.raises(migrate.MigrationError, match="could not create unique index") as caught:
        migrate.migrate(url, folder)
    assert "ada@x" not in str(caught.value)


def test_a_script_that_cannot_run_in_a_transaction_runs_without_one(url: str, folder: Path) -> None:
    """CREATE INDEX CONCURRENTLY, alone in its script as Prisma requires, is applied and recorded once."""
    _add(folder, "3_index", "CREATE INDEX CONCURRENTLY one_n ON one (n);")
    assert migrate.migrate(url, folder) == [*NAMES, "3_index"]
    assert _records(url)[2] == ("3_index", True, False, 1, None)


@pytest.mark.parametrize(
    "script",
    [
        "CREATE UNIQUE INDEX CONCURRENTLY i ON twice (n);",
        "BEGIN; CREATE TABLE half (n int); COMMIT; SELECT 1 / 0;",
        "COMMIT; CREATE INDEX CONCURRENTLY i ON twice (n);",
    ],
)
def test_a_failure_outside_a_transaction_is_recorded_and_blocks_later_runs(url: str, folder: Path, script: str) -> None:
    """As with Prisma, the row of the failed migration stays, and later runs fail with P3009 until it is baselined."""
    _add(folder, "3_data", "CREATE TABLE twice (n int); INSERT INTO twice VALUES (1), (1);")
    _add(folder, "4_bad", script)
    with pytest.raises(migrate.MigrationError, match=r"4_bad failed.*half applied"):
        migrate.migrate(url, folder)
    *_, (name, finished, rolled_back, steps, logs) = _records(url)
    assert (name, finished, rolled_back, steps) == ("4_bad", False, False, 0)
    assert logs
    with pytest.raises(migrate.MigrationError, match=r"4_bad failed earlier.*P3009"):
        migrate.migrate(url, folder)
    migrate.baseline(url, "4_bad", folder)
    assert migrate.migrate(url, folder) == []
    assert [row[:3] for row in _records(url)[3:]] == [("4_bad", False, True), ("4_bad", True, False)]


def test_a_lost_connection_rolls_the_migration_back(url: str, folder: Path) -> None:
    """If the server ends the connection during a script, the run fails, and no change by the script remains."""
    _add(folder, "3_cut", "CREATE TABLE three (n int); SELECT pg_terminate_backend(pg_backend_pid());")
    with pytest.raises(migrate.MigrationError, match="3_cut failed"):
        migrate.migrate(url, folder)
    assert "three" not in _tables(url)
    assert [row[0] for row in _records(url)] == NAMES


def test_a_changed_script_causes_a_warning(url: str, folder: Path) -> None:
    """Like Prisma, the run warns about a changed script that was already applied, and applies new migrations.

    Changed line endings cause no warning.
    """
    migrate.migrate(url, folder)
    (folder / "1_one" / "migration.sql").write_text("CREATE TABLE other (n int);", encoding="utf-8")
    (folder / "2_two" / "migration.sql").write_bytes(b"CREATE TABLE two (n int);\r\n")
    _add(folder, "3_new", "")
    lines: list[str] = []
    assert migrate.migrate(url, folder, lines.append) == ["3_new"]
    assert lines[0] == "warning  1_one was changed after it was applied; the change is not in the database"
    assert not any("2_two" in line for line in lines)


def test_a_recorded_migration_without_a_script_causes_a_warning(url: str, folder: Path) -> None:
    """The warning names the recorded migration that is missing from the folder."""
    _add(folder, "3_gone", "SELECT 1;")
    migrate.migrate(url, folder)
    (folder / "3_gone" / "migration.sql").unlink()
    (folder / "3_gone").rmdir()
    lines: list[str] = []
    assert migrate.migrate(url, folder, lines.append) == []
    assert lines == ["warning  3_gone is recorded as applied, but is not in the folder"]


def test_tables_without_history_are_refused_until_baselined(url: str, folder: Path) -> None:
    """A database with tables but no history is refused (P3005). After a baseline, later migrations are applied.

    A repeated baseline and the baseline of an unknown migration are errors.
    """
    with psycopg.connect(url) as db:
        db.execute("CREATE TABLE one (n int)")
    with pytest.raises(migrate.MigrationError, match=r"\(one\).*P3005.*--baseline 1_one"):
        migrate.migrate(url, folder)
    assert _tables(url) == {"one"}
    migrate.baseline(url, "1_one", folder)
    assert _records(url) == [("1_one", True, False, 0, "")]
    with pytest.raises(migrate.MigrationError, match="already recorded as applied"):
        migrate.baseline(url, "1_one", folder)
    with pytest.raises(migrate.MigrationError, match="no migration 9_none"):
        migrate.baseline(url, "9_none", folder)
    assert migrate.migrate(url, folder) == ["2_two"]


def test_the_schema_of_the_url_is_used(url: str, folder: Path) -> None:
    """Tables and history are in the schema that `?schema=` names, even if a script changes the search path."""
    with psycopg.connect(url) as db:
        db.execute('CREATE SCHEMA "Shop"')
    _add(folder, "1_z_lost", "SELECT set_config('search_path', '', false);")
    assert migrate.migrate(f"{url}?schema=Shop&connection_limit=1", folder) == ["1_one", "1_z_lost", "2_two"]
    assert _tables(url, "Shop") == {"one", "two", history.TABLE}
    assert _tables(url) == set()


def test_a_missing_schema_is_an_error(url: str, folder: Path) -> None:
    """The error names the schema."""
    with pytest.raises(migrate.MigrationError, match='schema "nowhere" does not exist'):
        migrate.migrate(f"{url}?schema=nowhere", folder)


def test_a_directory_without_a_script_is_an_error(url: str, folder: Path) -> None:
    """The run stops before it changes the database (P3015)."""
    (folder / "3_empty").mkdir()
    with pytest.raises(migrate.MigrationError, match="3_empty"):
        migrate.migrate(url, folder)
    assert _tables(url) == set()


def test_the_command_applies_the_migrations_and_can_be_repeated(url: str) -> None:
    """The command applies the project's migrations to DATABASE_URL. A second run applies none and also exits with 0."""
    argv = [sys.executable, "-m", "devstack.migrate.migrations"]
    env = {**os.environ, "DATABASE_URL": url}

    def run() -> list[str]:
        done = subprocess.run(argv, cwd=ROOT, env=env, check=True, capture_output=True, text=True)
        return done.stdout.splitlines()

    runs = [run(), run()]
    assert len(runs[0]) == len(history.read_folder(migrate.FOLDER))
    assert all(re.fullmatch(r"applied  \d{14}_\w+  \d+ ms", line) for line in runs[0])
    assert runs[1] == ["nothing to apply: the database has every migration"]


def test_the_command_escapes_control_characters(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A table's name may contain an escape sequence that would control the terminal."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute('CREATE TABLE "users\x1b]0;owned\x07" (id int)')
    monkeypatch.setenv("DATABASE_URL", url)
    assert migrate.main([]) == 1
    captured = capsys.readouterr()
    assert "users\\x1b]0;owned\\x07" in captured.err
    assert "\x1b" not in captured.out + captured.err


def test_the_command_reads_the_url_from_a_file_and_baselines(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--url-file` reads the URL from a file, and `--baseline NAME` only records the migration as applied."""
    monkeypatch.delenv("DATABASE_URL", raising=False)
    (tmp_path / "url").write_text(f"{url}\n", encoding="utf-8")
    init = history.read_folder(migrate.FOLDER)[0]
    with psycopg.connect(url) as db:
        db.execute(init.script.encode())
    assert migrate.main(["--url-file", str(tmp_path / "url"), "--baseline", init.name]) == 0
    assert capsys.readouterr().out == f"recorded as applied  {init.name}\n"
    assert _tables(url) == {"User", history.TABLE}


@pytest.mark.parametrize(
    ("url_template", "status", "message"),
    [
        ("postgres://postgres:{secret}@127.0.0.1:{port}/postgres", 1, "password authentication failed"),
        ("postgres://postgres:{secret}@127.0.0.1:1/postgres", 1, "Connection refused"),
        ("postgres://postgres:{secret}@nowhere.invalid/postgres", 1, "nowhere.invalid"),
        ("postgres://postgres:{secret}@127.0.0.1:many/postgres", 2, "a port that is not a number"),
        ("postgres://postgres:x@{secret}@127.0.0.1/postgres", 2, "percent-encode"),
        ("postgres://postgres:{secret}@127.0.0.1:{port}/postgres?sslmode=odd", 2, "has a sslmode that is not one of"),
        ("postgres://postgres:{secret}%zz@127.0.0.1/postgres", 2, "write it as %25"),
        ("mysql://root:{secret}@127.0.0.1/app", 2, "postgres:// URL"),
        (None, 2, "set DATABASE_URL="),
    ],
)
def test_the_command_never_prints_the_password(  # noqa: PLR0913, PLR0917 - three values and three fixtures
    url: str,
    url_template: str | None,
    status: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The exit status is 1 for a failed connection, and 2 for a malformed or missing URL. The reason is printed."""
    secret = "hunter2-canary"
    monkeypatch.delenv("DATABASE_URL", raising=False)
    if url_template is not None:
        port = psycopg.conninfo.conninfo_to_dict(url)["port"]
        monkeypatch.setenv("DATABASE_URL", url_template.format(secret=secret, port=port))
    try:
        result: object = migrate.main([])
    except SystemExit as exc:
        result = exc.code
    captured = capsys.readouterr()
    assert result == status
    assert message in captured.err
    assert secret not in captured.out + captured.err
