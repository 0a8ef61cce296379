"""Connect the operator's commands to the database in DATABASE_URL, and describe database errors."""

import argparse
import contextlib
import os
from collections.abc import Iterator

import psycopg
from psycopg import Connection, conninfo, sql

from devstack.postgres import dburl
from devstack.setup.console import printable


class DatabaseError(Exception):
    """The database failed. The message is for the operator and contains no secret and no value of a row."""


def read_target(parser: argparse.ArgumentParser) -> dburl.Target:
    """Return the target of DATABASE_URL, or end the program with a usage error.

    The URL is not an option, because every user of the machine can read command lines.
    """
    try:
        return dburl.parse(os.environ.get("DATABASE_URL", ""))
    except dburl.UrlError as exc:
        parser.error(printable(f"DATABASE_URL {exc}"))


def connect(target: dburl.Target, application: str) -> Connection:
    """Open a connection in autocommit mode, whose search path is the schema of the URL.

    Raises:
        psycopg.Error: the database failed.
        UnicodeError: the host name is invalid; the message quotes it.
    """
    defaults = {"connect_timeout": "10", "application_name": application}
    parameters = {**defaults, **target.parameters, "client_encoding": "UTF8"}
    db = psycopg.connect(conninfo.make_conninfo("", **parameters), autocommit=True)
    set_search_path(db, target.schema)
    return db


@contextlib.contextmanager
def connected(target: dburl.Target, application: str) -> Iterator[Connection]:
    """Yield a connection, and close it when the block ends.

    Raises:
        DatabaseError: the database failed while connecting or inside the block.
    """
    try:
        with connect(target, application) as db:
            yield db
    except UnicodeError as exc:
        raise DatabaseError("the host of DATABASE_URL is not a valid name") from exc
    except psycopg.Error as exc:
        raise DatabaseError(target.redact(describe(exc))) from exc


def set_search_path(db: Connection, schema: str) -> None:
    """Make a schema the default for unqualified names."""
    db.execute("SELECT set_config('search_path', %s, false)", [sql.Identifier(schema).as_string(db)])


def describe(exc: psycopg.Error) -> str:
    """Return the message of a database error without DETAIL, which quotes rows."""
    if exc.diag.message_primary:
        return f"{exc.diag.message_primary} ({exc.sqlstate})"
    return str(exc).strip()
