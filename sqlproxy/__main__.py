"""`python -m sqlproxy`: the command line."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

from sqlproxy import server
from sqlproxy.errors import SettingError
from sqlproxy.operations import log
from sqlproxy.operations.settings import MIN_TOKEN_LENGTH, PREFIX, Settings, option_of, read
from sqlproxy.operations.worker_processes import EXIT_WRONG_SETTING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ABOUT = """\
An HTTP proxy for any Postgres. It speaks the protocol of Neon's serverless driver.

POST /sql runs {"query": "... $1", "params": [...]}, or {"queries": [...]} as one transaction, on one of a few pooled
connections. The token is required, as Authorization: Bearer TOKEN or as the password in Neon-Connection-String. GET
/metrics (Prometheus) requires it too; GET /health and GET /ready do not.

Times are in seconds, sizes in bytes.
"""
_SECRETS = f"""\
secrets, from the environment or a file, never from a flag (`ps` shows arguments to every user):
  {PREFIX}DATABASE_URL    the connection string of Postgres (required); libpq takes missing parts, such as the
                           password, from its own environment variables
  {PREFIX}TOKEN           the clients' token, at least {MIN_TOKEN_LENGTH} characters (required); two tokens,
                           separated by a space, during a rotation

Every error response is JSON with "message", "code" (a SQLSTATE), Neon's other fields, and "executed": false if nothing
was changed and a retry is safe, null if that is unknown, true if the statement took effect but its result was lost.
"""


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser, generated from the settings."""
    command_line = argparse.ArgumentParser(
        prog="sqlproxy",
        description=_ABOUT,
        epilog=_SECRETS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    groups: dict[str, argparse._ArgumentGroup] = {}
    for setting in fields(Settings):
        option = option_of(setting.name)
        if option is None:
            continue
        if option.group not in groups:
            groups[option.group] = command_line.add_argument_group(option.group)
        flag = "--" + setting.name.replace("_", "-")
        help_text = f"{option.about} [{PREFIX}{setting.name.upper()}]"
        if setting.type == "bool":
            groups[option.group].add_argument(flag, action="store_true", default=None, help=help_text)
            continue
        if option.choices:
            help_text += f" ({', '.join(option.choices)})"
        if setting.default != "":
            help_text += f" (default {setting.default})"
        metavar = {"str": "TEXT", "int": "N", "float": "SECONDS"}[str(setting.type)]
        groups[option.group].add_argument(flag, metavar=metavar, help=help_text.replace("%", "%%"))
    return command_line


def main(argv: Sequence[str] | None = None, environ: Mapping[str, str] = os.environ) -> int:
    """Run sqlproxy until it is stopped.

    Returns:
        The exit status: 0 after a graceful stop, 1 after a forced stop, 2 if a setting is wrong.
    """
    flags = vars(parser().parse_args(argv))
    try:
        settings = read({name: value for name, value in flags.items() if value is not None}, environ)
        log.configure(settings.log_level)
        return server.serve(settings)
    except SettingError as exc:
        sys.stderr.write(f"sqlproxy: {log.printable(str(exc))}\n")
        return EXIT_WRONG_SETTING


if __name__ == "__main__":
    sys.exit(main())
