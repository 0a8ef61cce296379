"""Adopt the users of an older application: `DATABASE_URL=postgres://… python -m devstack.migrate.adopt`.

The older application stored passwords in clear text and addresses as typed. This command hashes each clear-text
password and canonicalises each address, in place. Ids, names and other columns do not change. The command may run while
users sign up, and may be interrupted and repeated. Concurrent runs share the work.

A stored password that looks like a hash in an unknown format stops the run before anything is written, unless `--leave`
or `--clear-text` names the format, or only addresses are changed. An address is not changed, and its user's id is
reported, if a sign-up would refuse the address, if its canonical form already belongs to another user, or if the
database refuses the new value. In the second case the operator must decide between the two users.

The clear-text password of an updated row remains in the table's files until they are rewritten, in the server's
write-ahead log and in backups. docs/migrate-from-accelerate.md describes how to remove these copies.

Exit status: 0 success; 1 the run was refused, some values could not be changed, or the database failed; 2 usage error.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable, Sequence

import psycopg
from pydantic import SecretStr

from devstack.kdf import cpython_kdf
from devstack.migrate import user_table
from devstack.migrate.adoption import Adoption, Outcome
from devstack.migrate.stored_passwords import HASHABLE, LEAVABLE, Action, Decisions, classify, undecided_message
from devstack.migrate.user_rows import AdoptionError, UserRows
from devstack.postgres import dburl
from devstack.postgres.connection import connect
from devstack.setup.console import fail, printable
from signup.hashing.password_hasher import Hasher
from signup.hashing.profiles import DEFAULT

_NO_DECISIONS = Decisions()
# The number of ids that a message lists. Further ids are only counted.
_SHOWN_IDS = 100


def adopt(  # noqa: PLR0913 - one parameter for each option of the command
    url: str,
    *,
    write: bool = True,
    passwords: bool = True,
    decisions: Decisions = _NO_DECISIONS,
    report: Callable[[str], None] = lambda _: None,
    hasher: Hasher | None = None,
) -> Outcome:
    """Hash the clear-text passwords, and canonicalise the addresses.

    Args:
        url: a postgres:// URL of the database, not of a pooler (`dburl.parse`).
        write: False for a dry run, which reports the changes without making them.
        passwords: False to change addresses only.
        decisions: the operator's decisions about formats of stored passwords.
        report: receives progress messages, which contain no value of a row.
        hasher: hashes the passwords; by default with the Worker's default parameters.

    Raises:
        dburl.UrlError: the URL cannot be used.
        AdoptionError: the table or a stored password does not allow the changes.
        psycopg.Error: the database failed; completed batches are not rolled back.
    """
    target = dburl.parse(url)
    hasher = hasher or Hasher(cpython_kdf, DEFAULT)
    with connect(target, "signup-adopt") as db:
        # With this setting, a query fails if row-level security would hide rows from it.
        db.execute("SET row_security = off")
        sample = asyncio.run(hasher.hash(SecretStr("a sample"))).get_secret_value() if passwords else ""
        # If the new hashes counted as clear text, they would be hashed again.
        assert not passwords or decisions.action(classify(sample)) is Action.LEAVE
        if obstacles := user_table.obstacles_to_adoption(db, len(sample)):
            raise AdoptionError("; ".join(obstacles))
        rows = UserRows(db, user_table.columns(db)["email"].type)
        adoption = Adoption(db, rows, hasher, decisions, report)
        undecided = adoption.find_undecided()
        if undecided and passwords and write:
            raise AdoptionError(undecided_message(undecided, adoption.outcome.shapes))
        if passwords:
            adoption.require_updates()
        adoption.canonicalise(write=write)
        if passwords and write:
            adoption.hash_passwords()
        elif passwords:
            adoption.outcome.counts["hashed"] = adoption.count_clear_text()
    return adoption.outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    options = _parser().parse_args(arguments)
    if conflicting := set(options.leave) & set(options.clear_text):
        _parser().error(f"--leave and --clear-text both have {', '.join(sorted(conflicting))}")
    decisions = Decisions(frozenset(options.leave), frozenset(options.clear_text))
    # The URL is not an option, because every user of the machine can read command lines.
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
        return fail("adopt", str(exc))
    except psycopg.Error as exc:
        return fail("adopt", _describe(exc))
    return _print_outcome(outcome, decisions, options)


def _parser() -> argparse.ArgumentParser:
    summary = "Hash the passwords and canonicalise the addresses that an older application left in the User table."
    parser = argparse.ArgumentParser(prog="make adopt", description=summary)
    parser.add_argument("--dry-run", action="store_true", help="report the changes without making them")
    parser.add_argument("--addresses-only", action="store_true", help="change the addresses only")
    for option, shapes, about in (
        ("--leave", LEAVABLE, "stored passwords of this format are hashes: keep them"),
        ("--clear-text", HASHABLE, "stored passwords of this format are clear text: hash them"),
    ):
        parser.add_argument(
            option, action="append", default=[], choices=shapes, metavar="FORMAT", help=f"{about} ({', '.join(shapes)})"
        )
    return parser


def _print_outcome(outcome: Outcome, decisions: Decisions, options: argparse.Namespace) -> int:
    """Print the outcome and return the exit status."""
    hashed, changed = ("to hash", "to change") if options.dry_run else ("hashed", "changed")
    counts = {
        "users checked": outcome.counts["checked"],
        **({} if options.addresses_only else {f"passwords {hashed}": outcome.counts["hashed"]}),
        f"addresses {changed}": outcome.counts["addresses changed"],
    }
    print("; ".join(f"{name}: {count}" for name, count in counts.items()))
    if not options.addresses_only:
        for shape, count in sorted(outcome.shapes.items()):
            print(f"  {count:>9}  {shape.name:<16}  {decisions.action(shape).value}")
    for ids, reason in (
        (outcome.taken, "have an address that differs from another user's only in its spelling"),
        (outcome.invalid, "have an address that a sign-up would refuse"),
        (outcome.without_address, "have no address"),
        (list(outcome.refused), "have a value that the database does not allow to be changed"),
    ):
        if ids:
            more = f" and {len(ids) - _SHOWN_IDS} more" if len(ids) > _SHOWN_IDS else ""
            shown = printable(", ".join(ids[:_SHOWN_IDS]))
            print(f"not changed, because they {reason}: ids {shown}{more}", file=sys.stderr)
    undecided = [shape for shape in outcome.shapes if decisions.action(shape) is Action.STOP]
    if undecided and not options.addresses_only:
        return fail("adopt", undecided_message(undecided, outcome.shapes))
    if outcome.clear_text_left:
        return fail("adopt", f"passwords that are still clear text: {outcome.clear_text_left}; run the command again")
    return 1 if outcome.taken or outcome.invalid or outcome.refused else 0


def _describe(exc: psycopg.Error) -> str:
    # Postgres' messages are not shown, because DETAIL quotes rows and libpq quotes the server's address.
    state = exc.sqlstate or type(exc).__name__
    if isinstance(exc, psycopg.errors.InsufficientPrivilege):
        return (
            f"this login may not read all rows of the table ({state}): log in as the table's owner; if the table has "
            'row-level security, ALTER TABLE "User" NO FORCE ROW LEVEL SECURITY'
        )
    if isinstance(exc, psycopg.errors.CharacterNotInRepertoire):
        # The database has the encoding SQL_ASCII. The first pass, which only reads, fails before any change.
        return f"the table has texts that are not UTF-8 ({state}): convert them first; nothing was changed"
    if isinstance(exc, psycopg.OperationalError):
        return f"the database failed ({state}); run the command again"
    return f"the database refused a statement ({state}); the server's log has the reason"


if __name__ == "__main__":
    sys.exit(main())
