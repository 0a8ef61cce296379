"""Take over the users of an older stack: `DATABASE_URL=postgres://… python -m devstack.migrate.adopt`.

The stack that this one replaces stored passwords as they came, and addresses as they were typed. This hashes each
password that is in the clear, and brings each address into its canonical form, in place. Nothing else is touched: ids
and names stay. It may run while users sign up, be interrupted, and be run again; several of it share the work.

A value that looks like a hash of an unknown kind stops the run before anything is written. An address stays as it is,
and its user's id is reported, when a sign-up would refuse it, or when its canonical form belongs to another user
already: a program cannot decide which of the two is right.

A row that is updated leaves its old version, with the password in the clear, in the table's files until they are
rewritten, in the server's write-ahead log and in backups: docs/migrate-from-accelerate.md says what to do about those.

Exit status: 0 done; 1 something is left, or the database failed; 2 called wrongly.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from typing import TYPE_CHECKING

import psycopg
from psycopg import conninfo, sql
from pydantic import SecretStr

from devstack.kdf import cpython_kdf
from devstack.migrate import user_table
from devstack.migrate.adoption import Adoption, Outcome
from devstack.migrate.stored_passwords import HASHABLE, LEAVABLE, Action, Decisions, classify, undecided_message
from devstack.migrate.user_rows import AdoptionError, UserRows
from devstack.postgres import dburl
from devstack.setup.console import printable
from signup.hashing.password_hasher import Hasher
from signup.hashing.profiles import DEFAULT

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_NO_DECISIONS = Decisions()
# More ids than these are counted.
_SHOWN_IDS = 100


def adopt(  # noqa: PLR0913 - what the command's options say
    url: str,
    *,
    write: bool = True,
    passwords: bool = True,
    decisions: Decisions = _NO_DECISIONS,
    report: Callable[[str], None] = lambda _: None,
    hasher: Hasher | None = None,
) -> Outcome:
    """Hash and canonicalise what is not.

    Args:
        url: a postgres:// URL of the database itself (`dburl.parse`).
        write: False to only count; the counts are those of a run.
        passwords: False to leave passwords alone, and to change addresses only.
        decisions: the operator's, about shapes of stored passwords.
        report: gets a line of progress now and then, without any value.
        hasher: makes PHC strings; the Worker's default parameters unless given.

    Raises:
        dburl.UrlError: the URL cannot be used.
        AdoptionError: nothing can be changed safely, and nothing was.
        psycopg.Error: the database failed; what was done so far stays done.
    """
    target = dburl.parse(url)
    hasher = hasher or Hasher(cpython_kdf, DEFAULT)
    defaults = {"connect_timeout": "10", "application_name": "signup-adopt"}
    parameters = {**defaults, **target.parameters, "client_encoding": "UTF8"}
    with psycopg.connect(conninfo.make_conninfo("", **parameters), autocommit=True) as db:
        db.execute("SELECT set_config('search_path', %s, false)", [sql.Identifier(target.schema).as_string(db)])
        # Row-level security that would hide rows is an error from here on.
        db.execute("SET row_security = off")
        sample = asyncio.run(hasher.hash(SecretStr("a sample"))).get_secret_value() if passwords else ""
        # Or it would be hashed again.
        assert not passwords or decisions.action(classify(sample)) is Action.LEAVE
        if obstacles := user_table.obstacles_to_adoption(db, len(sample)):
            raise AdoptionError("; ".join(obstacles))
        rows = UserRows(db, user_table.columns(db)["email"].type)
        work = Adoption(db, rows, hasher, decisions, report)
        undecided = work.undecided()
        if undecided and passwords and write:
            raise AdoptionError(undecided_message(undecided, work.outcome.shapes))
        if passwords:
            work.require_updates()
        work.canonicalise(write=write)
        if passwords and write:
            work.hash_passwords()
        elif passwords:
            work.outcome.counts["hashed"] = work.in_the_clear()
    return work.outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    if both := set(options.leave) & set(options.clear_text):
        _parser().error(f"--leave and --clear-text both have {', '.join(sorted(both))}")
    decisions = Decisions(frozenset(options.leave), frozenset(options.clear_text))
    # No option takes the URL: every user of the machine can read a command line.
    url = os.environ.get("DATABASE_URL", "")
    try:
        outcome = adopt(
            url,
            write=not options.dry_run,
            passwords=not options.addresses_only,
            decisions=decisions,
            report=lambda line: print(printable(line), flush=True),
        )
    except dburl.UrlError as exc:
        _parser().error(f"DATABASE_URL {exc}")
    except AdoptionError as exc:
        return _fail(str(exc))
    except psycopg.Error as exc:
        return _fail(_describe(exc))
    return _tell(outcome, decisions, options)


def _parser() -> argparse.ArgumentParser:
    summary = "Hash the passwords and canonicalise the addresses that an older stack left in the User table."
    parser = argparse.ArgumentParser(prog="make adopt", description=summary)
    parser.add_argument("--dry-run", action="store_true", help="only say what there is to do; writes nothing")
    parser.add_argument("--addresses-only", action="store_true", help="leave the passwords for later")
    for option, shapes, about in (
        ("--leave", LEAVABLE, "stored passwords of this shape are hashes: keep them"),
        ("--clear-text", HASHABLE, "stored passwords of this shape are in the clear: hash them"),
    ):
        parser.add_argument(
            option, action="append", default=[], choices=shapes, metavar="SHAPE", help=f"{about} ({', '.join(shapes)})"
        )
    return parser


def _tell(outcome: Outcome, decisions: Decisions, options: argparse.Namespace) -> int:
    """Print the outcome and return the exit status."""
    names = ["looked at", *([] if options.addresses_only else ["hashed"]), "address changed"]
    counts = ", ".join(f"{outcome.counts[name]} {name}" for name in names)
    print(f"{'would do' if options.dry_run else 'done'}: {counts}")
    if not options.addresses_only:
        for shape, count in sorted(outcome.shapes.items()):
            print(f"  {count:>9}  {shape.name:<16}  {decisions.action(shape).value}")
    for ids, what in (
        (outcome.taken, "have an address that is another user's but for its spelling"),
        (outcome.invalid, "have an address that a sign-up refuses"),
        (outcome.without_address, "have no address"),
        (list(outcome.refused), "have a value that the database does not let us change"),
    ):
        if ids:
            more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
            shown = printable(", ".join(ids[:_SHOWN_IDS]))
            print(f"left as they are, since they {what}: ids {shown}{more}", file=sys.stderr)
    undecided = [shape for shape in outcome.shapes if decisions.action(shape) is Action.STOP]
    if undecided and not options.addresses_only:
        return _fail(undecided_message(undecided, outcome.shapes))
    if outcome.clear_text_left:
        return _fail(f"{outcome.clear_text_left} passwords are in the clear still; run it again")
    return 1 if outcome.taken or outcome.invalid or outcome.refused else 0


def _describe(exc: psycopg.Error) -> str:
    # Never its message: a server's DETAIL quotes rows, and libpq's the address of the server.
    state = exc.sqlstate or type(exc).__name__
    if isinstance(exc, psycopg.errors.InsufficientPrivilege):
        return (
            f"the database refuses this login rows of the table ({state}): use the table's owner, and where it has "
            'row-level security: ALTER TABLE "User" NO FORCE ROW LEVEL SECURITY'
        )
    if isinstance(exc, psycopg.errors.CharacterNotInRepertoire):
        # Of a database in SQL_ASCII, found while everything is read.
        return f"the table has texts that are not UTF-8 ({state}), and nothing was changed: convert them first"
    if isinstance(exc, psycopg.OperationalError):
        return f"the database failed ({state}); run it again"
    return f"the database does not take a statement ({state}); its own log says which"


def _fail(message: str) -> int:
    print(f"adopt: {printable(message)}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
