"""Find, export, delete and verify users: `DATABASE_URL=postgres://… make users ARGS='find ada@example.com'`.

Exit status: 0 success; 1 an error, for example no such user or a failed database (an export may then be incomplete);
2 a usage error; 130 Ctrl-C.
"""

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

from devstack.postgres.connection import DatabaseError
from devstack.setup import console
from devstack.setup.console import fail, printable
from devstack.users.session import connected
from devstack.users.table import User, Users, UsersError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.address is not None and options.id is not None:
        parser.error("give an address or --id, not both")
    if options.address is None and options.id is None and options.command != "export":
        parser.error(f"{options.command} needs an address, or --id")
    if any("\udc80" <= each <= "\udcff" for each in f"{options.address}{options.id}"):
        parser.error("the argument is not in UTF-8")
    try:
        with connected(parser, writes=options.command in ("delete", "verify")) as db:
            return _run(Users(db), options, parser)
    except (UsersError, DatabaseError, OSError) as exc:
        return fail("users", str(exc))
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make users", description=__doc__.partition(":")[0])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, about in (
        ("find", "show a user"),
        ("export", "write one user or all users as JSON Lines"),
        ("delete", "delete a user after a confirmation"),
        ("verify", "record that a user's address is verified"),
    ):
        command = commands.add_parser(name, help=about, description=about)
        command.add_argument("address", nargs="?", help="e-mail address; upper and lower case are equivalent")
        command.add_argument("--id", help="the user's id, instead of the address")
        if name == "export":
            command.add_argument("--output", metavar="FILE", help="a new file, which only its owner can read")
        if name == "delete":
            command.add_argument("--yes", action="store_true", help="skip the confirmation")
    return parser


def _run(users: Users, options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if options.address is None and options.id is None:
        return _export(users, users.records(), options.output)
    matches = users.with_address(options.address) if options.id is None else users.with_id(options.id)
    if not matches:
        return fail("users", f"there is no user with this {'address' if options.id is None else 'id'}")
    if options.command == "export":
        return _export(users, (user.record for user in matches), options.output)
    if options.command == "find":
        for user in matches:
            _show(user)
        return 0
    if len(matches) > 1:
        ids = ", ".join(user.id for user in matches)
        message = f"{len(matches)} users have this address in different spellings: choose one with --id ({ids})"
        return fail("users", message)
    return _delete(users, matches[0], options, parser) if options.command == "delete" else _verify(users, matches[0])


def _verify(users: Users, user: User) -> int:
    print(f"{'verified' if users.verify(user) else 'already verified'}  id {printable(user.id)}")
    return 0


def _delete(users: Users, user: User, options: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    if not options.yes:
        if not sys.stdin.isatty():
            parser.error("cannot ask for confirmation, because standard input is not a terminal: add --yes")
        _show(user)
        if not _confirm(users):
            return fail("users", "nothing was deleted")
    users.delete(user)
    print(f"deleted  id {printable(user.id)}")
    return 0


def _confirm(users: Users) -> bool:
    if tables := users.cascades():
        print(printable(f"Rows that refer to the user are also deleted from: {', '.join(tables)}"))
    try:
        return input("Delete this user? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _show(user: User) -> None:
    fields = {_one_line(name): value for name, value in json.loads(user.record).items()}
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        text = _one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        print(f"  {console.paint(f'{name:<{width}}', 'dim', sys.stdout)}  {text}")
    print()


def _one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _export(users: Users, records: Iterable[str], output: str | None) -> int:
    count = 0
    with _open_output(output) as file:
        try:
            for record in records:
                file.write(record.encode() + b"\n")
                count += 1
            file.flush()
        except BrokenPipeError:
            # The reader closed the pipe. Python flushes stdout again at exit, which must not fail.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
    withheld = printable(", ".join(users.withheld)) or "none"
    print(f"exported {count} user{'' if count == 1 else 's'}; omitted secret columns: {withheld}", file=sys.stderr)
    return 0


@contextlib.contextmanager
def _open_output(output: str | None) -> Iterator[BinaryIO]:
    if output is None:
        yield sys.stdout.buffer
        return
    with open(os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - not a path
        yield file


if __name__ == "__main__":
    sys.exit(main())
