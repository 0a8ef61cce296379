"""The rows of an older stack's "User" table: read in pages, locked, and changed one value at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg import Connection

# Rows that are read at once.
PAGE = 1000

_ROWS = 'SELECT u.id::TEXT, u.email::TEXT, u.password::TEXT FROM "User" u'


class AdoptionError(Exception):
    """The table, or a trigger of it, does not allow the change; the message holds no value of a row."""


class RefusedError(Exception):
    """The database does not take this value for this row."""


class Row(NamedTuple):
    """A user; the id in Postgres' text form, whatever its type."""

    id: str
    email: str | None
    password: str | None


class UserRows:
    """The rows, in the order of their ids.

    Args:
        db: a connection in autocommit mode, whose search path leads to the table; transactions are the caller's.
        email_type: of the column, as it compares two addresses.
    """

    def __init__(self, db: Connection, email_type: str) -> None:
        self._db = db
        self._email_type = email_type

    def pages(self) -> Iterator[list[Row]]:
        """Yield all rows in lists, each read when it is asked for."""
        query, last = f"{_ROWS} ORDER BY u.id LIMIT {PAGE}", list[str]()
        while page := [Row(*row) for row in self._db.execute(query.encode(), last)]:
            yield page
            query, last = f"{_ROWS} WHERE u.id > %s ORDER BY u.id LIMIT {PAGE}", [page[-1].id]

    def lock(self, batch: Sequence[Row], *, skip_locked: bool = False) -> list[Row]:
        """Lock rows until the transaction ends, and return them as they are now.

        Args:
            batch: at least one.
            skip_locked: whether to leave out those that another transaction has locked, rather than to wait.
        """
        marks = ", ".join(["%s"] * len(batch))
        skip = "SKIP LOCKED" if skip_locked else ""
        query = f"{_ROWS} WHERE u.id IN ({marks}) ORDER BY u.id FOR UPDATE {skip}"
        return [Row(*row) for row in self._db.execute(query.encode(), [row.id for row in batch])]

    def has_address(self, other: Row, address: str) -> bool:
        """Return whether a row other than this one has the address, as the column's type compares (citext)."""
        query = sql.SQL("""SELECT FROM "User" WHERE email = {}::{} AND id <> %s""").format(
            sql.Placeholder(), sql.SQL(self._email_type)
        )
        return self._db.execute(query, [address, other.id]).rowcount > 0

    def update(self, row: Row, column: str, value: str) -> None:
        """Change one value inside a transaction of the caller's.

        Raises:
            AdoptionError: the statement succeeds, and the value is not there.
            psycopg.errors.UniqueViolation: another row has it.
            RefusedError: a constraint or a trigger raises another error.
        """
        query = f'UPDATE "User" SET {column} = %s WHERE id = %s RETURNING {column}::TEXT'  # noqa: S608 - a literal name
        try:
            with self._db.transaction():
                stored = self._db.execute(query.encode(), [value, row.id]).fetchall()
        except psycopg.errors.UniqueViolation:
            raise
        except (psycopg.IntegrityError, psycopg.DataError, psycopg.errors.RaiseException) as exc:
            raise RefusedError from exc
        except psycopg.errors.FeatureNotSupported:
            # A rule does something else instead.
            stored = []
        if stored != [(value,)]:
            raise AdoptionError(
                f"a trigger, rule or policy keeps an UPDATE of {column} from taking effect. Disable it for this run, "
                'such as with ALTER TABLE "User" DISABLE TRIGGER USER'
            )
