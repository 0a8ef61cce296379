"""List the messages that could not be delivered, or retry them: `DATABASE_URL=postgres://… make outbox`.

Exit status: 0 success; 1 the database failed; 2 usage error.
"""

import argparse
import sys
from collections.abc import Sequence

from psycopg import Connection

from devstack.postgres.connection import DatabaseError, connected, read_target
from devstack.setup.console import fail, printable

_COUNTS = 'SELECT count(*) FILTER (WHERE dead_at IS NULL), count(*) FILTER (WHERE dead_at IS NOT NULL) FROM "Outbox"'
# The messages that are no longer retried (dead), by cause. The operator does not need addresses or names.
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
    try:
        with connected(read_target(parser), "signup-outbox") as db:
            db.execute("SET timezone = 'UTC'")
            if options.retry:
                retried = db.execute(_RETRY, {"kind": options.kind, "error": options.error}).rowcount
                print(f"to be retried  {retried}")
            else:
                _print_messages(db)
    except DatabaseError as exc:
        return fail("outbox", str(exc))
    return 0


def _print_messages(db: Connection) -> None:
    ((pending, dead),) = db.execute(_COUNTS).fetchall()
    print(f"pending  {pending}\ndead     {dead}")
    for kind, error, count, first, last in db.execute(_DEAD):
        print(printable(f"  {count}  {kind}  {error}  from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"))


if __name__ == "__main__":
    sys.exit(main())
