"""What is in the tables, so that an answer alone proves nothing."""

from __future__ import annotations

from typing import LiteralString, NamedTuple, Self

import psycopg

__all__ = ["NewRows", "RowCounter", "find_mismatch"]

# By table: how many are new, how many of their keys differ, and where the next ones begin.
_SINCE: dict[str, LiteralString] = {
    "User": 'SELECT count(*), count(DISTINCT right("password", 43)), max("id") FROM "User" WHERE "id" > %s',
    "account": 'SELECT count(*), count(DISTINCT right("password", 43)), max("seq") FROM "account" WHERE "seq" > %s',
}


class NewRows(NamedTuple):
    """What came into a table.

    Attributes:
        rows: How many users.
        keys: How many different keys their passwords were hashed to.
    """

    rows: int
    keys: int


def find_mismatch(new: NewRows, answered: int, *, hashed: bool) -> str:
    """What is wrong with it; nothing when all is well.

    Args:
        new: What came into the table.
        answered: How many sign-ups were answered with success.
        hashed: Whether passwords were hashed, each with a salt of its own, or had a constant in the place of that.
    """
    if new.rows != answered:
        return f"{answered} sign-ups were answered, and {new.rows} are in the table"
    expected = answered if hashed else 1
    return "" if new.keys == expected else f"{answered} passwords have {new.keys} different keys, not {expected}"


class RowCounter:
    """Counts what comes into the tables.

    Args:
        url: Of Postgres.
    """

    def __init__(self, url: str) -> None:
        self._db = psycopg.connect(url, autocommit=True)
        self._last: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def count_new(self, table: str) -> NewRows:
        """What came into a table since this was asked last."""
        rows, keys, last = self._db.execute(_SINCE[table], [self._last.get(table, 0)]).fetchone() or (0, 0, None)
        self._last[table] = last or self._last.get(table, 0)
        return NewRows(rows, keys)

    def check(self, table: str, answered: int, *, hashed: bool) -> None:
        """Compares what came into a table with what was answered.

        Raises:
            RuntimeError: They differ, or the passwords are not as they should be.
        """
        if table and (wrong := find_mismatch(self.count_new(table), answered, hashed=hashed)):
            raise RuntimeError(wrong)
