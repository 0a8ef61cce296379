"""Take over the users of an older stack: `DATABASE_URL=postgres://… python -m devstack.migrate.adopt`.

The stack that this one replaces stored passwords as they came, and addresses as they were typed. This hashes each
password that is not a hash, and brings each address into its canonical form, in place. Nothing else is touched: ids and
names stay. It may run while users sign up, be interrupted, and be run again; two of it share the work.

An address stays as it is, and its user's id is reported, when a sign-up would refuse it, or when its canonical form
belongs to another user already: a program cannot decide which of the two is right.

A row that is updated leaves its old version, with the password in the clear, in the table's files until they are
rewritten, in the server's write-ahead log and in backups: docs/migrate-from-accelerate.md says what to do about those.

Exit status: 0 done; 1 some addresses are left, or the database failed; 2 called wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
from psycopg import conninfo, sql
from pydantic import SecretStr

from devstack.kdf import cpython_kdf
from devstack.postgres import dburl
from devstack.setup.console import printable
from signup.fields.email_address import canonical
from signup.hashing.password_hasher import Hasher, normalised
from signup.hashing.profiles import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# Rows a transaction: at about 0.03 s a hash, locks are held for less than a second.
BATCH = 20

# What is a hash already: PHC strings as we write them, and what bcrypt and argon2 libraries write. A password in the
# clear that looks exactly like one of these, salt and hash of the right length, is nobody's.
_HASHED = re.compile(
    r"\$scrypt\$ln=\d+,r=\d+,p=\d+(,keyid=[\w+/.-]+)?\$[\w+/]{11,}\$[\w+/]{22,}"
    r"|\$2[abxy]\$\d\d\$[./A-Za-z0-9]{53}"
    r"|\$argon2(id|i|d)\$v=\d+\$m=\d+,t=\d+,p=\d+(,keyid=[\w+/.-]+)?\$[\w+/]{11,}\$[\w+/]{22,}"
)


@dataclass
class Outcome:
    """What was done.

    Args:
        counts: of users by what was done with them: `hashed`, `address changed`, `looked at`.
        taken: ids of users whose address, in its canonical form, belongs to another.
        invalid: ids of users whose address a sign-up would refuse.
    """

    counts: Counter[str] = field(default_factory=Counter)
    taken: list[int] = field(default_factory=list)
    invalid: list[int] = field(default_factory=list)


def adopt(
    url: str, *, write: bool = True, report: Callable[[str], None] = lambda _: None, hasher: Hasher | None = None
) -> Outcome:
    """Hash and canonicalise what is not, in the order of the ids.

    Args:
        url: a postgres:// URL of the database itself (`dburl.parse`).
        write: False to only count.
        report: gets a line of progress now and then, without any value.
        hasher: makes PHC strings; Argon2id with the default profile unless given.

    Raises:
        dburl.UrlError: the URL cannot be used.
        psycopg.Error: the database failed; what was done so far stays done.
    """
    target = dburl.parse(url)
    parameters = {"connect_timeout": "10", "application_name": "signup-adopt", **target.parameters}
    outcome = Outcome()
    work = _Work(hasher or Hasher(cpython_kdf, DEFAULT), outcome, write)
    with psycopg.connect(conninfo.make_conninfo("", **parameters), autocommit=True) as db:
        db.execute("SELECT set_config('search_path', %s, false)", [sql.Identifier(target.schema).as_string(db)])
        last = 0
        while (through := work.batch(db, last)) is not None:
            last = through
            report(f"up to id {last}: {_told(outcome)}")
    return outcome


class _Work:
    def __init__(self, hasher: Hasher, outcome: Outcome, write: bool) -> None:
        self._hasher = hasher
        self._outcome = outcome
        self._write = write

    def batch(self, db: psycopg.Connection, last: int) -> int | None:
        """Work on the users that come after this id; return the last one's, or None when there is none."""
        with db.transaction():
            # Waits for another of these on the same rows, and then sees what it wrote.
            lock = "FOR UPDATE" if self._write else ""
            query = f'SELECT id, email, password FROM "User" WHERE id > %s ORDER BY id LIMIT {BATCH} {lock}'  # noqa: S608
            rows = db.execute(query.encode(), [last]).fetchall()
            for identity, email, password in rows:
                self._outcome.counts["looked at"] += 1
                self._password(db, identity, password)
                self._address(db, identity, email)
        return rows[-1][0] if rows else None

    def _password(self, db: psycopg.Connection, identity: int, password: str) -> None:
        if _HASHED.fullmatch(password):
            return
        self._outcome.counts["hashed"] += 1
        if self._write:
            hashed = asyncio.run(self._hasher.hash(SecretStr(normalised(password))))
            db.execute('UPDATE "User" SET password = %s WHERE id = %s', [hashed.get_secret_value(), identity])

    def _address(self, db: psycopg.Connection, identity: int, email: str) -> None:
        try:
            right = canonical(email)
        except ValueError:
            self._outcome.invalid.append(identity)
            return
        if right == email:
            return
        # Another user's sign-up may take it between a look and an update: the unique index decides.
        try:
            with db.transaction():
                if self._write:
                    db.execute('UPDATE "User" SET email = %s WHERE id = %s', [right, identity])
                elif db.execute('SELECT FROM "User" WHERE email = %s', [right]).rowcount:
                    raise psycopg.errors.UniqueViolation  # noqa: TRY301 - what the update would have said
        except psycopg.errors.UniqueViolation:
            self._outcome.taken.append(identity)
        else:
            self._outcome.counts["address changed"] += 1


def _told(outcome: Outcome) -> str:
    names = ("looked at", "hashed", "address changed")
    return ", ".join(f"{outcome.counts[name]} {name}" for name in names)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    summary = "Hash the passwords and canonicalise the addresses that an older stack left in the User table."
    parser = argparse.ArgumentParser(prog="make adopt", description=summary)
    parser.add_argument("--dry-run", action="store_true", help="only say what there is to do")
    options = parser.parse_args(arguments)
    # No option takes the URL: every user of the machine can read a command line.
    url = os.environ.get("DATABASE_URL", "")
    try:
        outcome = adopt(url, write=not options.dry_run, report=lambda line: print(printable(line), flush=True))
    except dburl.UrlError as exc:
        parser.error(f"DATABASE_URL {exc}")
    except psycopg.Error as exc:
        # Never its message: a server's DETAIL quotes rows, and libpq's the address of the server.
        print(f"adopt: the database failed ({exc.sqlstate or type(exc).__name__}); run it again", file=sys.stderr)
        return 1
    print(f"{'would do' if options.dry_run else 'done'}: {_told(outcome)}")
    for ids, what in (
        (outcome.taken, "have an address that is another user's but for its spelling"),
        (outcome.invalid, "have an address that a sign-up refuses"),
    ):
        if ids:
            print(f"left as they are, since they {what}: ids {', '.join(map(str, ids))}", file=sys.stderr)
    return 1 if outcome.taken or outcome.invalid else 0


if __name__ == "__main__":
    sys.exit(main())
