"""Run migration scripts on a connection.

Prisma records a migration as started, runs it and records it as finished in separate transactions. A failure leaves a
row that blocks every later run (P3009) until `prisma migrate resolve` is run. This module does all three in one
transaction, so a failed migration is rolled back completely and can be run again. The row of a failed migration remains
in two cases: if the script cannot run in a transaction, as with CREATE INDEX CONCURRENTLY, and is run as Prisma runs
it; and if the script has its own COMMIT.
"""

import contextlib
import re
from collections.abc import Sequence

import psycopg
from psycopg import Connection

from devstack.migrate import history, trial, user_table
from devstack.postgres.connection import describe, set_search_path

# If one of these words occurs in a pending script, nothing is rehearsed, because the script may end the transaction of
# the rehearsal, which could then not be rolled back.
_ENDS_TRANSACTION = re.compile(r"\b(commit|rollback)\b", re.IGNORECASE)


class MigrationError(Exception):
    """The migrations cannot be applied. The message is for the operator and contains no secret."""


def refuse(obstacles: Sequence[str]) -> None:
    """Raise an error if there are obstacles.

    Raises:
        MigrationError: the list is not empty; the message lists the obstacles.
    """
    if obstacles:
        raise MigrationError("sign-ups would fail, and nothing was changed:\n  " + "\n  ".join(obstacles))


def require_fit(db: Connection, schema: str, pending: Sequence[history.Migration]) -> None:
    """Check the existing table, and rehearse the migrations: apply them, sign a user up, and roll everything back.

    The rehearsal is skipped if a script may end its transaction, and ends early if a script cannot run in one.

    Raises:
        MigrationError: the table has obstacles, or a migration or the sign-up failed.
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
                raise _failure(migration, exc, row_remains=False) from exc
            set_search_path(db, schema)
        try:
            trial.sign_up(db)
        except trial.TrialError as exc:
            refuse([str(exc)])


def apply(db: Connection, history_table: history.HistoryTable, migration: history.Migration) -> None:
    """Run a migration and record it.

    Raises:
        MigrationError: the migration failed.
    """
    db.execute("BEGIN")
    row_id = history_table.start(migration)
    try:
        _run(db, migration)
        history_table.finish(row_id)
        db.execute("COMMIT")
    except psycopg.Error as exc:
        row_remains = False
        if not db.closed:
            db.execute("ROLLBACK")
            # The row no longer exists, unless the script itself ended the transaction.
            row_remains = history_table.fail(row_id, describe(exc))
        if row_remains or not isinstance(exc, psycopg.errors.ActiveSqlTransaction):
            raise _failure(migration, exc, row_remains=row_remains) from exc
    else:
        return
    row_id = history_table.start(migration)
    try:
        _run(db, migration)
    except psycopg.Error as exc:
        if not db.closed:
            history_table.fail(row_id, describe(exc))
        raise _failure(migration, exc, row_remains=True) from exc
    history_table.finish(row_id)


def _run(db: Connection, migration: history.Migration) -> None:
    # Without parameters this uses the simple query protocol, which allows several statements, as in Prisma.
    db.execute(migration.script.encode())


def _failure(migration: history.Migration, exc: psycopg.Error, *, row_remains: bool) -> MigrationError:
    position = f" (line {_line(migration.script, exc)})" if exc.diag.statement_position else ""
    state = "it may be half applied and is recorded as failed" if row_remains else "it was rolled back"
    return MigrationError(f"{migration.name} failed{position}: {describe(exc)}; {state} (Prisma: P3018)")


def _line(script: str, exc: psycopg.Error) -> int:
    return script.count("\n", 0, int(exc.diag.statement_position or 1) - 1) + 1
