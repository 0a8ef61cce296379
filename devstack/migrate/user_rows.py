"""Read the rows of an older application's "User" table in pages, lock them, and update single values."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import psycopg
from psycopg import Connection, sql

# The number of rows per page.
PAGE = 1000

_ROWS = 'SELECT u.id::TEXT, u.email::TEXT, u.password::TEXT FROM "User" u'


class AdoptionError(Exception):
    """The table or a stored password prevents the adoption. The message contains no value of a row."""


class RefusedError(Exception):
    """The database refuses the value for this row."""


class Row(NamedTuple):
    """A row. The id is in Postgres' text format, whatever its type."""

    id: str
    email: str | None
    password: str | None


class UserRows:
    """The rows of the table, in the order of their ids.

    Args:
        db: a connection in autocommit mode, whose search path contains the table's schema. The caller manages
            transactions.
        email_type: the type of the column `email`, which determines how addresses are compared.
    """

    def __init__(self, db: Connection, email_type: str) -> None:
        self._db = db
        self._email_type = email_type

    def pages(self) -> Iterator[list[Row]]:
        """Yield all rows in pages, each read on demand."""
        query, parameters = f"{_ROWS} ORDER BY u.id LIMIT {PAGE}", list[str]()
        while page := [Row(*row) for row in self._db.execute(query.encode(), parameters)]:
            yield page
            query, parameters = f"{_ROWS} WHERE u.id > %s ORDER BY u.id LIMIT {PAGE}", [page[-1].id]

    def lock(self, batch: Sequence[Row], *, skip_locked: bool = False) -> list[Row]:
        """Lock rows until the transaction ends, and return their current values.

        Args:
            batch: at least one row.
            skip_locked: whether to skip rows that another transaction has locked, instead of waiting.
        """
        placeholders = ", ".join(["%s"] * len(batch))
        skip = "SKIP LOCKED" if skip_locked else ""
        query = f"{_ROWS} WHERE u.id IN ({placeholders}) ORDER BY u.id FOR UPDATE {skip}"
        return [Row(*row) for row in self._db.execute(query.encode(), [row.id for row in batch])]

    def has_address(self, row: Row, address: str) -> bool:
        """Return whether another row has the address, compared in the column's type, such as citext."""
        query = sql.SQL("""SELECT FROM "User" WHERE email = {}::{} AND id <> %s""").format(
            sql.Placeholder(), sql.SQL(self._email_type)
        )
        return self._db.execute(query, [address, row.id]).rowcount > 0

    def update(self, row: Row, column: str, value: str) -> None:
        """Update one value inside the caller's transaction.

        Raises:
            AdoptionError: a trigger, rule or policy kept the statement from storing the value.
            psycopg.errors.UniqueViolation: another row has the value.
            RefusedError: a constraint, the column's type or a trigger refuses the value.
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
            # A rule replaces the UPDATE, and does not support RETURNING.
            stored = []
        if stored != [(value,)]:
            raise AdoptionError(
                f"a trigger, rule or policy keeps an UPDATE of {column} from taking effect. Disable it for this run, "
                'for example with ALTER TABLE "User" DISABLE TRIGGER USER'
            )
