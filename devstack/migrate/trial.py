"""Try a sign-up, and roll it back. This finds obstacles that `user_table` does not, such as checks and triggers."""

import secrets

import psycopg
from psycopg import Connection

from devstack.migrate.user_table import WIDTHS, unique_indexes

_SIGN_UP = "SELECT id, name, email, password, created_at FROM sign_up(%s, %s, %s, %s)"


class TrialError(Exception):
    """A sign-up would fail. The message has the cause and a fix."""


def sign_up(db: Connection) -> None:
    """Sign a user up twice with one idempotency key and values of maximum length, and roll both sign-ups back.

    The only trace is a gap of two in the ids. If the schema has no function `sign_up`, nothing is tried.

    Raises:
        TrialError: the sign-up failed, or its result is wrong, or addresses are not unique.
    """
    if db.execute("SELECT to_regprocedure('sign_up(text, text, text, text)') IS NULL").fetchone() == (True,):
        return
    if not unique_indexes(db, "email"):
        raise TrialError('two users can have the same address: CREATE UNIQUE INDEX "User_email_key" ON "User"("email")')
    key = secrets.token_hex(32)
    label = "a" * 60
    domain = f"{label}.{label}.{label}.example"
    local = f"trial-{key}"[: WIDTHS["email"] - len(domain) - 1]
    name, address = "Trial ".ljust(WIDTHS["name"], "x"), f"{local}@{domain}"
    password = f"$argon2id$v=19$m=19456,t=2,p=1${'a' * 22}$".ljust(WIDTHS["password"], "a")
    try:
        with db.transaction(force_rollback=True):
            first, repeated = (db.execute(_SIGN_UP, [name, address, password, key]).fetchall() for _ in range(2))
            # Deferred constraints would be checked at COMMIT, but this transaction is rolled back.
            db.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as exc:
        raise TrialError(f"a trial sign-up fails: {_describe(exc)}") from exc
    if len(first) != 1 or first[0][1:4] != (name, address, None) or None in (first[0][0], first[0][4]):
        raise TrialError(
            "a trial sign-up does not return the user that it created: check for a trigger that changes new rows"
        )
    if repeated != [(*first[0][:3], password, first[0][4])]:
        raise TrialError(
            "a repeated trial sign-up does not find its user: check for a policy or a trigger that hides the row"
        )


def _describe(exc: psycopg.Error) -> str:
    constraint, column = exc.diag.constraint_name, exc.diag.column_name
    # The primary message names tables and columns. Only DETAIL quotes rows, and the rows of the trial are invented.
    text = f"{exc.diag.message_primary or type(exc).__name__} ({exc.sqlstate})"
    if isinstance(exc, psycopg.errors.UniqueViolation):
        return (
            f'{text}, "{constraint}": if this is the primary key, set its sequence to the largest id (setval); a '
            "unique index on any other column than the address must be dropped"
        )
    if isinstance(exc, psycopg.errors.CheckViolation):
        return f'{text}: drop the constraint "{constraint}", or widen it to what the Worker stores'
    if isinstance(exc, psycopg.errors.NotNullViolation):
        return f'{text}: give the column "{column}" a default, or drop its NOT NULL'
    if isinstance(exc, psycopg.errors.InsufficientPrivilege):
        return f"{text}: grant these rights to the owner of the function sign_up, and exempt it from row-level security"
    return f"{text}: change the table, its triggers or its rules so that this succeeds"
