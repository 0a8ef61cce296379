"""Convert the rows of an older application's "User" table. `devstack.migrate.adopt` is the command.

First, all rows are read to find the formats of stored passwords that the operator must decide about
(`devstack.migrate.stored_passwords`). Then the addresses are changed, which is quick, and then the passwords. Each
batch is one transaction, which locks its rows and reads them again. The first pass over the passwords skips rows that
another process has locked, so that processes share the work; later passes wait for these rows. After each pass the
remaining clear-text passwords are counted.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import psycopg
from psycopg import Connection
from pydantic import SecretStr

from devstack.migrate.stored_passwords import Action, Decisions, Shape, classify
from devstack.migrate.user_rows import RefusedError, Row, UserRows
from signup.fields.email_address import canonical
from signup.hashing.password_hasher import Hasher, normalise_password

# The number of rows per transaction. A hash takes about 0.03 s, so locks are held for less than a second.
BATCH = 20


@dataclass
class Outcome:
    """The changes that a run made, or that would have been made without `--dry-run`.

    Args:
        counts: the numbers of users: `checked`, `hashed`, `addresses changed`.
        shapes: the number of stored passwords of each format before the run.
        taken: the ids of users whose canonical address belongs to another user.
        invalid: the ids of users whose address a sign-up would refuse.
        without_address: the ids of users whose address is NULL.
        refused: the ids of users whose new value the database refuses.
        clear_text_left: the number of clear-text passwords that remain.
    """

    counts: Counter[str] = field(default_factory=Counter)
    shapes: Counter[Shape] = field(default_factory=Counter)
    taken: list[str] = field(default_factory=list)
    invalid: list[str] = field(default_factory=list)
    without_address: list[str] = field(default_factory=list)
    # A dictionary serves as an ordered set: a later pass tries these rows again and must not add their ids twice.
    refused: dict[str, None] = field(default_factory=dict)
    clear_text_left: int = 0


class Adoption:
    """One run of `make adopt` over the table."""

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

    def find_undecided(self) -> list[Shape]:
        """Count the rows and the formats of their passwords; return the formats that the operator must decide about."""
        for page in self._rows.pages():
            self.outcome.counts["checked"] += len(page)
            self.outcome.shapes.update(classify(row.password) for row in page)
            self._sample = self._sample or next(filter(self._is_clear_text, page), None)
        return [shape for shape in self.outcome.shapes if self._decisions.action(shape) is Action.STOP]

    def count_clear_text(self) -> int:
        """Return the number of clear-text passwords that `find_undecided` counted."""
        shapes = self.outcome.shapes
        return sum(number for shape, number in shapes.items() if self._decisions.action(shape) is Action.HASH)

    def require_updates(self) -> None:
        """Check that passwords can be updated: hash a clear-text one, if there is any, and roll the change back.

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
        """Canonicalise the addresses in the order of the ids, or with `write=False` only count the changes."""
        assigned: set[str] = set()
        for page in self._rows.pages():
            new_addresses = {row: address for row in page if (address := self._new_address(row))}
            for batch in _batches(list(new_addresses)) if write else ():
                with self._db.transaction():
                    current = {row.id: row.email for row in self._rows.lock(batch)}
                    # The user or another process may have changed the row since it was read.
                    for row in (row for row in batch if current.get(row.id) == row.email):
                        self._update_address(row, new_addresses[row])
            for row, address in {} if write else new_addresses.items():
                is_free = address not in assigned and not self._rows.has_address(row, address)
                if is_free:
                    assigned.add(address)
                    self.outcome.counts["addresses changed"] += 1
                else:
                    self.outcome.taken.append(row.id)

    def hash_passwords(self) -> None:
        """Replace each clear-text password with its hash, until none remains or a later pass changes nothing."""
        total = self.count_clear_text()
        for pass_index in count():
            hashed_before = self.outcome.counts["hashed"]
            for page in self._rows.pages():
                for batch in _batches(list(filter(self._is_clear_text, page))):
                    with self._db.transaction():
                        # The first pass skips rows that other processes have locked. Later passes wait for them.
                        for row in self._rows.lock(batch, skip_locked=pass_index == 0):
                            self._hash(row)
                    self._report(f"{self.outcome.counts['hashed']} of {total} hashed")
            pages = self._rows.pages()
            self.outcome.clear_text_left = sum(self._is_clear_text(row) for page in pages for row in page)
            stuck = pass_index > 0 and self.outcome.counts["hashed"] == hashed_before
            if stuck or not self.outcome.clear_text_left:
                return

    def _is_clear_text(self, row: Row) -> bool:
        return self._decisions.action(classify(row.password)) is Action.HASH

    def _hash(self, row: Row) -> None:
        # The user or another process may have changed the row since it was read.
        if row.password is None or not self._is_clear_text(row):
            return
        hashed = asyncio.run(self._hasher.hash(SecretStr(normalise_password(row.password))))
        try:
            self._rows.update(row, "password", hashed.get_secret_value())
        except RefusedError:
            self.outcome.refused[row.id] = None
        else:
            self.outcome.counts["hashed"] += 1

    def _new_address(self, row: Row) -> str:
        """Return the canonical address if the stored one differs, else "". Record users without a valid address."""
        if row.email is None:
            self.outcome.without_address.append(row.id)
            return ""
        try:
            canonical_address = canonical(row.email)
        except ValueError:
            self.outcome.invalid.append(row.id)
            return ""
        return "" if canonical_address == row.email else canonical_address

    def _update_address(self, row: Row, address: str) -> None:
        try:
            self._rows.update(row, "email", address)
        except RefusedError:
            self.outcome.refused[row.id] = None
        except psycopg.errors.UniqueViolation:
            # Another user has the address. The unique index decides, because a sign-up may take an address at any time.
            self.outcome.taken.append(row.id)
        else:
            self.outcome.counts["addresses changed"] += 1


def _batches(rows: list[Row]) -> Iterator[list[Row]]:
    return (rows[start : start + BATCH] for start in range(0, len(rows), BATCH))
