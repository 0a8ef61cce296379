"""Apply prisma/migrations to a Postgres database: `DATABASE_URL=postgres://… make migrate`.

The command is compatible with `prisma migrate deploy`, and the two can be used alternately. Both use the same table
and checksums (`devstack.migrate.history`), the same advisory lock, and the same rules for the history
(apply_migrations.rs and mark_migration_applied.rs of prisma/prisma-engines).

There are two main differences. A failed migration is rolled back completely and can be run again, with the exceptions
in `devstack.migrate.scripts`. An existing "User" table is checked first (`devstack.migrate.user_table`), and an
incompatible table is refused before anything is recorded.

Exit status: 0 success, or nothing to apply; 1 failure; 2 usage error.
"""

import argparse
import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psycopg
from psycopg import Connection

from devstack.migrate import history, scripts, user_table
from devstack.migrate.scripts import MigrationError, require_fit
from devstack.postgres import dburl
from devstack.postgres.connection import DatabaseError, connected, set_search_path
from devstack.setup.console import printable

__all__ = ["FOLDER", "MigrationError", "baseline", "main", "migrate"]

FOLDER = Path(__file__).resolve().parent.parent.parent / "prisma" / "migrations"

# The advisory lock of Prisma Migrate (flavour/postgres.rs), so that it and this command never run at the same time.
_LOCK = 72707369
_LOCK_SECONDS = 60
# PostGIS creates this table in the schema public. Prisma ignores it too.
_IGNORED_TABLES = frozenset({"spatial_ref_sys"})
# Users with a pending verification are excluded, because their addresses may belong to other people.
_VERIFY_USERS = """
    UPDATE "User" SET email_verified_at = created_at
    WHERE email_verified_at IS NULL AND verification_expires_at IS NULL
"""
_VERIFIED, _UNVERIFIED = "verified", "unverified"


def migrate(
    url: str,
    folder: Path = FOLDER,
    report: Callable[[str], None] = lambda _: None,
    existing_users: str | None = None,
) -> list[str]:
    """Apply the migrations that the database does not have, in the order of their names.

    The function can be called repeatedly and concurrently: one process applies the migrations while the others wait.

    Args:
        url: a postgres:// URL of the database, not of a pooler (`dburl.parse`).
        folder: the folder that contains `<name>/migration.sql` for each migration.
        report: receives a line for each applied migration, warnings, notices, and the number of users that were marked
            as verified.
        existing_users: "verified" marks the addresses of all users as verified, except those with a pending
            verification; "unverified" and None do not change users. With None, a notice reports the number of users
            whose addresses count as not verified after the migration that adds e-mail verification.

    Returns:
        The names of the migrations applied.

    Raises:
        dburl.UrlError: the URL cannot be used.
        MigrationError: the database failed or was locked for more than 60 s, the schema has tables but no history
            (P3005), an earlier migration failed (P3009), sign-ups would fail, a migration failed now (P3018), or the
            folder cannot be read.
    """
    migrations = _read_migrations(folder)
    with _session(url) as (db, schema):
        history_table = history.HistoryTable(db, schema)
        is_new = _require_history(history_table, schema, migrations)
        records = [] if is_new else history_table.records()
        _check_history(records, migrations, report)
        applied = {record.name for record in records if record.rolled_back_at is None}
        pending = [migration for migration in migrations if migration.name not in applied]
        if user_table.exists(db):
            require_fit(db, schema, pending)
        if is_new:
            history_table.create()
        for migration in pending:
            began = time.monotonic()
            # A script may have changed search_path.
            set_search_path(db, schema)
            scripts.apply(db, history_table, migration)
            report(f"applied  {migration.name}  {(time.monotonic() - began) * 1000:.0f} ms")
        set_search_path(db, schema)
        _verify_existing_users(db, pending, report, existing_users)
    return [migration.name for migration in pending]


def _verify_existing_users(
    db: Connection,
    pending: list[history.Migration],
    report: Callable[[str], None],
    existing_users: str | None,
) -> None:
    """Mark the addresses of existing users as verified if requested, or report that they count as not verified."""
    if existing_users == _VERIFIED:
        report(f"verified  {db.execute(_VERIFY_USERS).rowcount} users")
    elif existing_users is None and any(
        'ADD COLUMN IF NOT EXISTS     "email_verified_at"' in m.script for m in pending
    ):
        ((count,),) = db.execute('SELECT count(*) FROM "User"').fetchall()
        if count:
            report(
                f"notice   the addresses of {count} users count as not verified; to change that, "
                "use --existing-users verified"
            )


def baseline(url: str, name: str, folder: Path = FOLDER) -> None:
    """Record a migration as applied without running it, for a database that already has its tables.

    Raises:
        dburl.UrlError: the URL cannot be used.
        MigrationError: there is no such migration (P3017), it is already recorded as applied (P3008), the table
            that it creates is missing or incompatible, or the database failed.
    """
    migration = next((each for each in _read_migrations(folder) if each.name == name), None)
    if migration is None:
        raise MigrationError(f"there is no migration {name} in {folder}")
    with _session(url) as (db, schema), db.transaction():
        if 'CREATE TABLE "User"' in migration.script:
            scripts.refuse(user_table.obstacles_to_sign_up(db))
        history_table = history.HistoryTable(db, schema)
        if history.TABLE not in history_table.tables():
            history_table.create()
        if any(record.name == name and record.finished_at is not None for record in history_table.records()):
            raise MigrationError(f"{name} is already recorded as applied")
        history_table.resolve(migration)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    summary = "Apply prisma/migrations to the Postgres database that DATABASE_URL names."
    parser = argparse.ArgumentParser(prog="python -m devstack.migrate.migrations", description=summary)
    # The URL is not an option, because every user of the machine can read command lines.
    parser.add_argument("--url-file", type=Path, help="read the URL from this file instead of DATABASE_URL")
    parser.add_argument("--baseline", metavar="NAME", help="only record this migration as applied, without running it")
    parser.add_argument(
        "--existing-users",
        choices=(_VERIFIED, _UNVERIFIED),
        help="whether the addresses of existing users count as verified (default: unverified)",
    )
    options = parser.parse_args(arguments)
    try:
        url = options.url_file.read_text(encoding="utf-8").strip() if options.url_file else os.environ["DATABASE_URL"]
    except KeyError:
        parser.error("set DATABASE_URL=postgres://user:password@host:5432/database")
    except (OSError, UnicodeDecodeError) as exc:
        parser.error(f"--url-file: {exc}")
    try:
        if options.baseline:
            baseline(url, options.baseline)
            print(printable(f"recorded as applied  {options.baseline}"))
        elif not migrate(
            url, report=lambda line: print(printable(line), flush=True), existing_users=options.existing_users
        ):
            print("nothing to apply: the database has every migration")
    except dburl.UrlError as exc:
        parser.error(printable(f"{options.url_file or 'DATABASE_URL'} {exc}"))
    except MigrationError as exc:
        print(printable(f"migrate: {exc}"), file=sys.stderr)
        return 1
    return 0


@contextlib.contextmanager
def _session(url: str) -> Iterator[tuple[Connection, str]]:
    """Yield a connection and its schema, and hold Prisma's lock until the block ends.

    Raises:
        MigrationError: the database failed, or another migration holds the lock.
    """
    target = dburl.parse(url)
    try:
        with connected(target, "signup-migrate") as db:
            db.execute("SELECT set_config('lock_timeout', %s, false)", [f"{_LOCK_SECONDS}s"])
            try:
                db.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
            except psycopg.errors.LockNotAvailable as exc:
                raise MigrationError(
                    f"another migration has been running for {_LOCK_SECONDS} s{_describe_lock_holder(db)}; try later"
                ) from exc
            db.execute("RESET lock_timeout")
            yield db, target.schema
    except DatabaseError as exc:
        raise MigrationError(str(exc)) from exc


def _describe_lock_holder(db: Connection) -> str:
    """Describe the session that holds Prisma's lock, as far as this login may see it."""
    query = """
        SELECT pid, application_name, usename, to_char(backend_start, 'YYYY-MM-DD HH24:MI:SS TZ')
        FROM pg_locks JOIN pg_stat_activity USING (pid)
        WHERE locktype = 'advisory' AND classid = 0 AND objid = %s AND granted AND database = (
            SELECT oid FROM pg_database WHERE datname = current_database())
    """
    row = db.execute(query, [_LOCK]).fetchone()
    if row is None:
        return ""
    process, name, login, since = row
    details = f", {name or 'without a name'}, of login {login}, connected since {since}" if login else ""
    return f" (server process {process}{details}; SELECT pg_terminate_backend({process}) ends it)"


def _read_migrations(folder: Path) -> list[history.Migration]:
    try:
        migrations = history.read_folder(folder)
    except (OSError, UnicodeDecodeError) as exc:
        raise MigrationError(f"cannot read the migrations: {exc}") from exc
    # libpq would cut the script off at a NUL.
    if damaged := [migration.name for migration in migrations if "\0" in migration.script]:
        raise MigrationError(f"migration.sql has a NUL character: {', '.join(damaged)}")
    return migrations


def _require_history(history_table: history.HistoryTable, schema: str, migrations: list[history.Migration]) -> bool:
    """Return whether the schema is new: it has no history and no tables other than those that Prisma ignores.

    Raises:
        MigrationError: the schema has tables but no history.
    """
    tables = history_table.tables()
    if history.TABLE in tables:
        return False
    if foreign := sorted(tables - _IGNORED_TABLES):
        example = migrations[0].name if migrations else "NAME"
        raise MigrationError(
            f'schema "{schema}" has tables ({", ".join(foreign)}) but no history of migrations (Prisma: P3005). '
            f"If they match a migration, record it as applied: --baseline {example}"
        )
    return True


def _check_history(
    records: list[history.Record], migrations: list[history.Migration], report: Callable[[str], None]
) -> None:
    by_name = {migration.name: migration for migration in migrations}
    if failed := [record for record in records if record.failed]:
        raise MigrationError(
            f"{', '.join(record.name for record in failed)} failed earlier and may be half applied (Prisma: P3009). "
            "Repair the database by hand, then use `prisma migrate resolve --rolled-back NAME` to run it again, or "
            "--baseline NAME if it is applied completely"
        )
    for record in records:
        migration = by_name.get(record.name)
        if record.rolled_back_at is not None:
            continue
        if migration is None:
            report(f"warning  {record.name} is recorded as applied, but is not in the folder")
        elif not migration.matches(record.checksum):
            report(f"warning  {record.name} was changed after it was applied; the change is not in the database")


if __name__ == "__main__":
    sys.exit(main())
