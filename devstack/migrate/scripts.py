"""Run the scripts of migrations on a connection.

Prisma records a migration as started, runs it and records it as finished in transactions of their own; what fails
leaves a row that blocks every later run (P3009) until `prisma migrate resolve`. Here the three are one transaction:
what fails leaves nothing, and is simply run again. A script that cannot run inside a transaction, such as CREATE INDEX
CONCURRENTLY, is run as Prisma would, and its row stays should it fail; so it does for a script with a COMMIT of its
own.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from devstack.migrate import history, trial, user_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

# A script with one of these may not be rehearsed: it would not be rolled back.
_ENDS_TRANSACTION = re.compile(r"\b(commit|rollback)\b", re.IGNORECASE)


class MigrationError(Exception):
    """The database is not as it should be; the message, for a person, says why and holds no secret."""


def set_search_path(db: Connection, schema: str) -> None:
    """Have names without a schema mean this one's."""
    db.execute("SELECT set_config('search_path', %s, false)", [sql.Identifier(schema).as_string(db)])


def refuse(obstacles: Sequence[str]) -> None:
    """Do nothing when there are none.

    Raises:
        MigrationError: there are; it lists them.
    """
    if obstacles:
        raise MigrationError("sign-ups would fail, and nothing was changed:\n  " + "\n  ".join(obstacles))


def require_fit(db: Connection, schema: str, pending: Sequence[history.Migration]) -> None:
    """Rehearse the migrations on the table that is there: apply them, sign a user up, and roll all of it back.

    Raises:
        MigrationError: a migration fails, or sign-ups would.
    """
    refuse(user_table.obstacles_to_sign_up(db))
    if any(_ENDS_TRANSACTION.search(migration.script) for migration in pending):
        return
    with contextlib.suppress(psycopg.errors.ActiveSqlTransaction), db.transaction(force_rollback=True):
        for migration in pending:
            try:
                _run(db, migration)
            except psycopg.errors.ActiveSqlTransaction:
                raise
            except psycopg.Error as exc:
                raise _failure(migration, exc, remains=False) from exc
            set_search_path(db, schema)
        try:
            trial.sign_up(db)
        except trial.TrialError as exc:
            refuse([str(exc)])


def apply(db: Connection, books: history.Books, migration: history.Migration) -> None:
    """Run a migration and record it.

    Raises:
        MigrationError: it failed.
    """
    db.execute("BEGIN")
    row = books.start(migration)
    try:
        _run(db, migration)
        books.finish(row)
        db.execute("COMMIT")
    except psycopg.Error as exc:
        remains = False
        if not db.closed:
            db.execute("ROLLBACK")
            # Rolled back with everything else, unless the script ended the transaction by itself.
            remains = books.fail(row, describe(exc))
        if remains or not isinstance(exc, psycopg.errors.ActiveSqlTransaction):
            raise _failure(migration, exc, remains=remains) from exc
    else:
        return
    row = books.start(migration)
    try:
        _run(db, migration)
    except psycopg.Error as exc:
        if not db.closed:
            books.fail(row, describe(exc))
        raise _failure(migration, exc, remains=True) from exc
    books.finish(row)


def _run(db: Connection, migration: history.Migration) -> None:
    # Without parameters this is the simple query protocol, which takes many statements at once, like Prisma's.
    db.execute(migration.script.encode())


def _failure(migration: history.Migration, exc: psycopg.Error, *, remains: bool) -> MigrationError:
    where = f" (line {_line(migration.script, exc)})" if exc.diag.statement_position else ""
    rest = "it may be half applied, and is recorded as failed" if remains else "nothing of it was kept"
    return MigrationError(f"{migration.name} failed{where}: {describe(exc)}; {rest} (Prisma: P3018)")


def _line(script: str, exc: psycopg.Error) -> int:
    return script.count("\n", 0, int(exc.diag.statement_position or 1) - 1) + 1


def describe(exc: psycopg.Error) -> str:
    """Return what a database's error says, without DETAIL, which quotes rows."""
    if exc.diag.message_primary:
        return f"{exc.diag.message_primary} ({exc.sqlstate})"
    return str(exc).strip()
