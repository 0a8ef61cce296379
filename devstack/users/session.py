"""The database session of the commands for users and invitations."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg
from psycopg import conninfo, sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.postgres import dburl

_LOCK_TIMEOUT = "10s"


@contextlib.contextmanager
def connected(target: dburl.Target, *, writes: bool) -> Iterator[psycopg.Connection]:
    """Connect in autocommit mode, with the search path of the target.

    Args:
        target: the target of DATABASE_URL.
        writes: whether the session may change rows.
    """
    defaults = {"connect_timeout": "10", "application_name": "signup-users"}
    parameters = {**defaults, **target.parameters, "client_encoding": "UTF8"}
    with psycopg.connect(conninfo.make_conninfo("", **parameters), autocommit=True) as db:
        db.execute("SELECT set_config('search_path', %s, false)", [sql.Identifier(target.schema).as_string(db)])
        # From here on, row-level security that would hide rows is an error.
        db.execute("SET row_security = off")
        db.execute("SET timezone = 'UTC'")
        db.execute("SELECT set_config('lock_timeout', %s, false)", [_LOCK_TIMEOUT])
        if not writes:
            db.execute("SET default_transaction_read_only = on")
        yield db
