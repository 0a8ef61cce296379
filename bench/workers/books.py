"""What is in the tables, so that an answer alone proves nothing."""

from __future__ import annotations

from typing import LiteralString, NamedTuple, Self

import psycopg

__all__ = ["Books", "Entry", "verdict"]

# By table: how many are new, how many of their keys differ, and where the next ones begin.
_SINCE: dict[str, LiteralString] = {
    "User": 'SELECT count(*), count(DISTINCT right("password", 43)), max("id") FROM "User" WHERE "id" > %s',
    "account": 'SELECT count(*), count(DISTINCT right("password", 43)), max("seq") FROM "account" WHERE "seq" > %s',
}


class Entry(NamedTuple):
    """What came into a table.

    Attributes:
        rows: How many users.
        keys: How many different keys their passwords were hashed to.
    """

    rows: int
    keys: int


def verdict(entry: Entry, answered: int, *, hashed: bool) -> str:
    """What is wrong with it; nothing when all is well.

    Args:
        entry: What came into the table.
        answered: How many sign-ups were answered with success.
        hashed: Whether passwords were hashed, each with a salt of its own, or had a constant in the place of that.
    """
    if entry.rows != answered:
        return f"{answered} sign-ups were answered, and {entry.rows} are in the table"
    wanted = answered if hashed else 1
    return "" if entry.keys == wanted else f"{answered} passwords have {entry.keys} different keys, not {wanted}"


class Books:
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

    def news(self, table: str) -> Entry:
        """What came into a table since this was asked last."""
        rows, keys, last = self._db.execute(_SINCE[table], [self._last.get(table, 0)]).fetchone() or (0, 0, None)
        self._last[table] = last or self._last.get(table, 0)
        return Entry(rows, keys)

    def check(self, table: str, answered: int, *, hashed: bool) -> None:
        """Compares what came into a table with what was answered.

        Raises:
            RuntimeError: They differ, or the passwords are not as they should be.
        """
        if table and (wrong := verdict(self.news(table), answered, hashed=hashed)):
            raise RuntimeError(wrong)
