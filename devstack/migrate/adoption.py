"""Bring the rows of an older stack's "User" table into the form of ours; `devstack.migrate.adopt` is the command.

First everything is read and nothing is written: every stored password must have a shape that is known
(`devstack.migrate.stored_passwords`). Then addresses are changed, since that is quick, and then passwords. Each batch
is one transaction, in which its rows are locked and looked at again. A batch skips rows that another process has
locked, so that several share the work; the last pass waits for them. In the end the clear text that is left is counted.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import psycopg
from pydantic import SecretStr

from devstack.migrate.stored_passwords import Action, Decisions, Shape, classify
from devstack.migrate.user_rows import RefusedError, Row, UserRows
from signup.fields.email_address import canonical
from signup.hashing.password_hasher import normalised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg import Connection

    from signup.hashing.password_hasher import Hasher

# Rows that a transaction changes: at about 0.03 s a hash, locks are held for less than a second.
BATCH = 20


@dataclass
class Outcome:
    """What was done, or would be.

    Args:
        counts: of users: `looked at`, `hashed`, `address changed`.
        shapes: how many stored passwords had each shape, before.
        taken: ids of users whose address, in its canonical form, belongs to another.
        invalid: ids of users whose address a sign-up would refuse.
        without_address: ids of users whose address is NULL.
        refused: ids of users whose new value the database does not take.
        clear_text_left: the passwords in the clear that remain.
    """

    counts: Counter[str] = field(default_factory=Counter)
    shapes: Counter[Shape] = field(default_factory=Counter)
    taken: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    without_address: list[str] = field(default_factory=list)
    # Without values; by id, because a later pass tries them again.
    refused: dict[str, None] = field(default_factory=dict)
    clear_text_left: int = 0


class Adoption:
    """One run over the table.

    Args:
        db: a connection in autocommit mode, whose search path leads to the table.
        rows: those of the table, over this connection.
        hasher: makes PHC strings.
        decisions: the operator's.
        report: gets a line of progress now and then, without any value.
    """

    def __init__(
        self, db: Connection, rows: UserRows, hasher: Hasher, decisions: Decisions, report: Callable[[str], None]
    ) -> None:
        self._db = db
        self._rows = rows
        self._hasher = hasher
        self._decisions = decisions
        self._report = report
        self._sample: Row | None = None
        self.outcome = Outcome()

    def undecided(self) -> list[Shape]:
        """Count every row and the shape of its password; return the shapes that the operator must decide about."""
        for page in self._rows.pages():
            self.outcome.counts["looked at"] += len(page)
            self.outcome.shapes.update(classify(row.password) for row in page)
            self._sample = self._sample or next(filter(self._is_in_the_clear, page), None)
        return [shape for shape in self.outcome.shapes if self._decisions.action(shape) is Action.STOP]

    def in_the_clear(self) -> int:
        """Return how many of the passwords that were counted are in the clear."""
        shapes = self.outcome.shapes
        return sum(count for shape, count in shapes.items() if self._decisions.action(shape) is Action.HASH)

    def require_updates(self) -> None:
        """Replace one password and roll that back.

        Raises:
            AdoptionError: a trigger, rule or policy interferes.
        """
        if self._sample:
            with self._db.transaction(force_rollback=True):
                for row in self._rows.lock([self._sample], skip_locked=True):
                    self._hash(row)
            self.outcome.counts["hashed"] = 0
            self.outcome.refused.clear()

    def canonicalise(self, *, write: bool) -> None:
        """Bring the addresses into their canonical form, the lowest id first."""
        assigned: set[str] = set()
        for page in self._rows.pages():
            changes = {row: change for row in page if (change := self._change_of_address(row))}
            for batch in _batches(list(changes)) if write else ():
                with self._db.transaction():
                    now = {row.id: row.email for row in self._rows.lock(batch)}
                    # Its user, or another process, may have changed it since it was read.
                    for row in (row for row in batch if now.get(row.id) == row.email):
                        self._change_address(row, changes[row])
            for row, change in {} if write else changes.items():
                free = change not in assigned and not self._rows.has_address(row, change)
                if free:
                    assigned.add(change)
                    self.outcome.counts["address changed"] += 1
                else:
                    self.outcome.taken.append(row.id)

    def hash_passwords(self) -> None:
        """Replace each password in the clear by its hash, until none is left or no more can be done."""
        total = self.in_the_clear()
        for number in count():
            before = self.outcome.counts["hashed"]
            for page in self._rows.pages():
                for batch in _batches(list(filter(self._is_in_the_clear, page))):
                    with self._db.transaction():
                        # The first pass leaves to others what they have locked; a later one waits for them.
                        for row in self._rows.lock(batch, skip_locked=number == 0):
                            self._hash(row)
                    self._report(f"{self.outcome.counts['hashed']} of {total} hashed")
            pages = self._rows.pages()
            self.outcome.clear_text_left = sum(self._is_in_the_clear(row) for page in pages for row in page)
            stuck = number > 0 and self.outcome.counts["hashed"] == before
            if stuck or not self.outcome.clear_text_left:
                return

    def _is_in_the_clear(self, row: Row) -> bool:
        return self._decisions.action(classify(row.password)) is Action.HASH

    def _hash(self, row: Row) -> None:
        # Another process, or its user, may have changed it since it was read.
        if row.password is None or not self._is_in_the_clear(row):
            return
        hashed = asyncio.run(self._hasher.hash(SecretStr(normalised(row.password))))
        try:
            self._rows.update(row, "password", hashed.get_secret_value())
        except RefusedError:
            self.outcome.refused[row.id] = None
        else:
            self.outcome.counts["hashed"] += 1

    def _change_of_address(self, row: Row) -> str:
        """Return the canonical form where it is another one; note what has none."""
        if row.email is None:
            self.outcome.without_address.append(row.id)
            return ""
        try:
            right = canonical(row.email)
        except ValueError:
            self.outcome.invalid.append(row.id)
            return ""
        return "" if right == row.email else right

    def _change_address(self, row: Row, address: str) -> None:
        try:
            self._rows.update(row, "email", address)
        except RefusedError:
            self.outcome.refused[row.id] = None
        except psycopg.errors.UniqueViolation:
            # Another user's sign-up may take it between a look and an update: the unique index decides.
            self.outcome.taken.append(row.id)
        else:
            self.outcome.counts["address changed"] += 1


def _batches(rows: list[Row]) -> Iterator[list[Row]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
