"""Check that the tables contain a row for each successful sign-up."""

from typing import LiteralString, NamedTuple, Self

import psycopg

# By table, the query for the number of new rows, the number of distinct hashes among them, and the last id.
_SINCE: dict[str, LiteralString] = {
    "User": 'SELECT count(*), count(DISTINCT right("password", 43)), max("id") FROM "User" WHERE "id" > %s',
    "account": 'SELECT count(*), count(DISTINCT right("password", 43)), max("seq") FROM "account" WHERE "seq" > %s',
}


class NewRows(NamedTuple):
    """The number of rows inserted into a table, and the number of distinct password hashes among them."""

    rows: int
    keys: int


def find_mismatch(new: NewRows, answered: int, *, hashed: bool) -> str:
    """Return a description of how the rows differ from the successful sign-ups, or "".

    Args:
        new: the rows inserted into the table.
        answered: number of successful sign-ups.
        hashed: whether each password was hashed with its own salt. Otherwise all rows have the same clear text or key.
    """
    if new.rows != answered:
        return f"{answered} sign-ups succeeded, but the table has {new.rows} new rows"
    expected = answered if hashed else 1
    return "" if new.keys == expected else f"{answered} passwords have {new.keys} different keys, not {expected}"


class RowCounter:
    """Counts the rows inserted into the tables."""

    def __init__(self, url: str) -> None:
        self._db = psycopg.connect(url, autocommit=True)
        self._last: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def count_new(self, table: str) -> NewRows:
        """Count the rows inserted into a table since the last call."""
        rows, keys, last = self._db.execute(_SINCE[table], [self._last.get(table, 0)]).fetchone() or (0, 0, None)
        self._last[table] = last or self._last.get(table, 0)
        return NewRows(rows, keys)

    def check(self, table: str, answered: int, *, hashed: bool) -> None:
        """Check the rows inserted into a table since the last call; see `find_mismatch`.

        Raises:
            RuntimeError: the rows differ from the successful sign-ups.
        """
        if table and (mismatch := find_mismatch(self.count_new(table), answered, hashed=hashed)):
            raise RuntimeError(mismatch)
