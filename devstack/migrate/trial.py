"""A trial sign-up that is rolled back: it meets what no catalog tells, such as checks, triggers and policies."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import psycopg

from devstack.migrate.user_table import WIDTHS, unique_indexes

if TYPE_CHECKING:
    from psycopg import Connection

_SIGN_UP = "SELECT id, name, email, password, created_at FROM sign_up(%s, %s, %s, %s)"


class TrialError(Exception):
    """A sign-up would fail; the message says why, and what to do about it."""


def sign_up(db: Connection) -> None:
    """Sign a user up twice with one key, with values as long as a user's may be, and roll that back.

    Nothing remains but a gap of two in the ids. A schema without the function `sign_up` is not tried.

    Args:
        db: a connection whose search path leads to the table.

    Raises:
        TrialError: that failed, or returned something else.
    """
    if db.execute("SELECT to_regprocedure('sign_up(text, text, text, text)') IS NULL").fetchone() == (True,):
        return
    if not unique_indexes(db, "email"):
        raise TrialError(
            'nothing keeps two users from one address: CREATE UNIQUE INDEX "User_email_key" ON "User"("email")'
        )
    key = secrets.token_hex(32)
    label = "a" * 60
    domain = f"{label}.{label}.{label}.example"
    local = f"trial-{key}"[: WIDTHS["email"] - len(domain) - 1]
    name, address = "Trial ".ljust(WIDTHS["name"], "x"), f"{local}@{domain}"
    password = f"$argon2id$v=19$m=19456,t=2,p=1${'a' * 22}$".ljust(WIDTHS["password"], "a")
    try:
        with db.transaction(force_rollback=True):
            first, again = (db.execute(_SIGN_UP, [name, address, password, key]).fetchall() for _ in range(2))
            # A deferred constraint is checked at the end, which a transaction that is rolled back does not reach.
            db.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as exc:
        raise TrialError(f"a trial sign-up fails: {_why(exc)}") from exc
    if len(first) != 1 or first[0][1:4] != (name, address, None) or None in (first[0][0], first[0][4]):
        raise TrialError("a trial sign-up does not return the user that it makes: does a trigger change new rows?")
    if again != [(*first[0][:3], password, first[0][4])]:
        raise TrialError("a trial sign-up that is repeated does not find its user: does a policy or a trigger hide it?")


def _why(exc: psycopg.Error) -> str:
    constraint, column = exc.diag.constraint_name, exc.diag.column_name
    # The primary message names tables and columns; only DETAIL quotes rows, and those are made up here.
    text = f"{exc.diag.message_primary or type(exc).__name__} ({exc.sqlstate})"
    if isinstance(exc, psycopg.errors.UniqueViolation):
        return (
            f'{text}, "{constraint}": where that is the primary key, its sequence is behind the largest id (setval); a '
            "unique index on anything but the address cannot stay"
        )
    if isinstance(exc, psycopg.errors.CheckViolation):
        return f'{text}: drop the constraint "{constraint}", or widen it to what the Worker stores'
    if isinstance(exc, psycopg.errors.NotNullViolation):
        return f'{text}: give the column "{column}" a default, or drop its NOT NULL'
    if isinstance(exc, psycopg.errors.InsufficientPrivilege):
        return f"{text}: the owner of the function sign_up needs these rights, past row-level security too"
    return f"{text}: change the table, its triggers or its rules so that this succeeds"
