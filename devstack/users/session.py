"""The database session of the commands for users and invitations."""

import argparse
import contextlib
from collections.abc import Iterator

from psycopg import Connection

from devstack.postgres import connection

_LOCK_TIMEOUT = "10s"


@contextlib.contextmanager
def connected(parser: argparse.ArgumentParser, *, writes: bool) -> Iterator[Connection]:
    """Yield a connection to the database in DATABASE_URL, and close it when the block ends.

    Args:
        parser: reports an invalid URL as a usage error.
        writes: whether the session may change rows.

    Raises:
        DatabaseError: the database failed while connecting or inside the block.
    """
    with connection.connected(connection.read_target(parser), "signup-users") as db:
        # With this setting, a query fails if row-level security would hide rows from it.
        db.execute("SET row_security = off")
        db.execute("SET timezone = 'UTC'")
        db.execute("SELECT set_config('lock_timeout', %s, false)", [_LOCK_TIMEOUT])
        if not writes:
            db.execute("SET default_transaction_read_only = on")
        yield db
