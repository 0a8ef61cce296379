"""List the messages that could not be delivered, and retry them: `DATABASE_URL=postgres://… make outbox`.

Exit status: 0 success, 1 the database failed, 2 usage error.
"""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

import psycopg
from psycopg import conninfo, sql

from devstack.migrate.scripts import describe
from devstack.postgres import dburl
from devstack.setup.console import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from psycopg import Connection

_COUNTS = 'SELECT count(*) FILTER (WHERE dead_at IS NULL), count(*) FILTER (WHERE dead_at IS NOT NULL) FROM "Outbox"'
# An operator needs the causes, but no addresses or names.
_DEAD = """
    SELECT kind, coalesce(last_error, ''), count(*), min(dead_at), max(dead_at) FROM "Outbox"
    WHERE dead_at IS NOT NULL GROUP BY kind, last_error ORDER BY count(*) DESC, kind, last_error
"""
_RETRY = """
    UPDATE "Outbox" SET dead_at = NULL, attempts = 0, next_attempt_at = now()
    WHERE dead_at IS NOT NULL AND (%(kind)s::text IS NULL OR kind = %(kind)s)
      AND (%(error)s::text IS NULL OR last_error = %(error)s)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    parser = argparse.ArgumentParser(prog="make outbox", description=__doc__.partition(":")[0])
    parser.add_argument("--retry", action="store_true", help="retry the dead messages in the next scheduled run")
    parser.add_argument("--kind", help="only messages of this kind, such as verify_email")
    parser.add_argument("--error", help="only messages with this error, such as status_403")
    options = parser.parse_args(arguments)
    if not options.retry and (options.kind or options.error):
        parser.error("--kind and --error require --retry")
    # The URL is not an option, because every user of the machine can read command lines.
    try:
        target = dburl.parse(os.environ.get("DATABASE_URL", ""))
    except dburl.UrlError as exc:
        parser.error(printable(f"DATABASE_URL {exc}"))
    defaults = {"connect_timeout": "10", "application_name": "signup-outbox"}
    parameters = {**defaults, **target.parameters, "client_encoding": "UTF8"}
    try:
        with psycopg.connect(conninfo.make_conninfo("", **parameters), autocommit=True) as db:
            db.execute("SELECT set_config('search_path', %s, false)", [sql.Identifier(target.schema).as_string(db)])
            db.execute("SET timezone = 'UTC'")
            if options.retry:
                retried = db.execute(_RETRY, {"kind": options.kind, "error": options.error}).rowcount
                print(f"to be retried  {retried}")
            else:
                _list(db)
    except UnicodeError:
        # An invalid host name, which the exception's message quotes.
        print("outbox: the host of DATABASE_URL is not a valid name", file=sys.stderr)
        return 1
    except psycopg.Error as exc:
        print(printable(f"outbox: {target.redact(describe(exc))}"), file=sys.stderr)
        return 1
    return 0


def _list(db: Connection) -> None:
    ((pending, dead),) = db.execute(_COUNTS).fetchall()
    print(f"pending  {pending}\ndead     {dead}")
    for kind, error, count, first, last in db.execute(_DEAD):
        print(printable(f"  {count}  {kind}  {error}  from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"))


if __name__ == "__main__":
    sys.exit(main())
