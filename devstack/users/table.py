"""Find, export, delete and verify users in a "User" table, including one that another application created."""

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

import idna
import psycopg
from psycopg import Connection, sql

from devstack.migrate import user_table
from devstack.users.records import clean, is_secret
from signup.fields.email_address import AddressError, canonical

VERIFIED_AT = "email_verified_at"
# The number of rows per fetch.
_PAGE = 1000
# A partial index covers addresses that are not stored in lower case; see prisma/migrations.
_BY_ADDRESS = sql.SQL("""u.email::TEXT = ANY(%(forms)s) OR (u.email::TEXT <> lower(u.email::TEXT)
    AND lower(u.email::TEXT) = ANY(ARRAY(SELECT lower(form) FROM unnest(%(forms)s::TEXT[]) form)))""")
_BY_ID = sql.SQL("u.id = %(id)s")
_EVERY = sql.SQL("true")
# The id is compared in the column's type. The address must not have changed since the user was read.
_SAME = "id = %(id)s AND email::TEXT IS NOT DISTINCT FROM %(email)s"
_CASCADES = """
    SELECT DISTINCT conrelid::regclass::TEXT FROM pg_constraint
    WHERE contype = 'f' AND confdeltype = 'c' AND confrelid = to_regclass('"User"') ORDER BY 1
"""


class UsersError(Exception):
    """The table does not allow the command. The message contains no value of a row."""


class User(NamedTuple):
    """A row of the table.

    Args:
        id: the id in Postgres' text format, whatever its type.
        email: the stored address.
        record: all columns except secrets, as a JSON object.
    """

    id: str
    email: str | None
    record: str


class Users:
    """The users of a database.

    Raises:
        UsersError: the table or one of the columns `id` and `email` does not exist, or ids are not unique.
    """

    def __init__(self, db: Connection) -> None:
        if obstacles := user_table.obstacles_to_lookup(db):
            raise UsersError("; ".join(obstacles))
        self._db = db
        self._columns = user_table.columns(db)
        self.withheld = [name for name in self._columns if is_secret(name)]

    def with_address(self, address: str) -> list[User]:
        """Return the users with an address, regardless of its case and Unicode form."""
        return self._users(_BY_ADDRESS, {"forms": sorted(forms(address))})

    def with_id(self, identity: str) -> list[User]:
        """Return the user with an id: a list of one user, or an empty list."""
        try:
            return self._users(_BY_ID, {"id": identity})
        except psycopg.DataError:
            # The text is not a value of the id's type.
            return []

    def records(self) -> Iterator[str]:
        """Yield the records of all users in the order of their ids, read in pages from one snapshot."""
        with self._db.transaction(), self._db.cursor(name="users") as cursor:
            cursor.itersize = _PAGE
            cursor.execute(self._query(_EVERY))
            for _, _, record in cursor:
                yield clean(record)

    def cascades(self) -> list[str]:
        """Return the tables whose rows are deleted together with their user (ON DELETE CASCADE)."""
        return [name for (name,) in self._db.execute(_CASCADES)]

    def delete(self, user: User) -> None:
        """Delete a user, and the undelivered messages about the user.

        Raises:
            UsersError: the row has changed, or a trigger or policy prevents the deletion.
            psycopg.Error: the database failed, for example because another table refers to the user.
        """
        with self._db.transaction():
            self._change(f'DELETE FROM "User" WHERE {_SAME}', user, "DELETE")  # noqa: S608 - constants
            if self._has_outbox():
                self._db.execute('DELETE FROM "Outbox" WHERE user_id = %s', [user.id])

    def verify(self, user: User) -> bool:
        """Record that the user's address is verified, and return False if it already was.

        The undelivered verification e-mails of a newly verified user are deleted.

        Raises:
            UsersError: the column is missing, the row has changed, or a trigger or policy prevents the update.
        """
        if VERIFIED_AT not in self._columns:
            raise UsersError(
                f'table "User" has no column "{VERIFIED_AT}", which a migration adds: run `make migrate` of a version '
                "that verifies addresses"
            )
        with self._db.transaction():
            query = f'SELECT FROM "User" WHERE {_SAME} AND {VERIFIED_AT} IS NOT NULL'
            if self._db.execute(query.encode(), user._asdict()).rowcount:
                return False
            self._change(f'UPDATE "User" SET {VERIFIED_AT} = now() WHERE {_SAME}', user, "UPDATE")  # noqa: S608 - constants
            if self._has_outbox():
                self._db.execute("""DELETE FROM "Outbox" WHERE user_id = %s AND kind = 'verify_email'""", [user.id])
        return True

    def _change(self, statement: str, user: User, kind: str) -> None:
        if self._db.execute(statement.encode(), user._asdict()).rowcount != 1:
            raise UsersError(
                "the row has changed in the meantime, or a trigger, rule or policy keeps the "
                f"{kind} from taking effect; nothing was changed"
            )

    def _has_outbox(self) -> bool:
        query = """SELECT count(*) FROM pg_attribute
            WHERE attrelid = to_regclass('"Outbox"') AND attname IN ('user_id', 'kind', 'payload')"""
        return self._db.execute(query).fetchone() == (3,)

    def _users(self, condition: sql.SQL, parameters: dict[str, object]) -> list[User]:
        rows = self._db.execute(self._query(condition), parameters)
        return [User(identity, email, clean(record)) for identity, email, record in rows]

    def _query(self, condition: sql.SQL) -> sql.Composed:
        columns = sql.SQL(", ").join(sql.Identifier("u", name) for name in self._columns if name not in self.withheld)
        return sql.SQL("""
            SELECT u.id::TEXT, u.email::TEXT, (SELECT row_to_json(r) FROM (SELECT {shown}) r)::TEXT
            FROM "User" u WHERE {condition} ORDER BY u.id
        """).format(shown=columns, condition=condition)


def forms(address: str) -> set[str]:
    """Return the forms in which a table may store an address: canonical, as typed, lower case and upper case."""
    spellings = {address, address.strip(), unicodedata.normalize("NFC", address.strip())}
    try:
        email = canonical(address)
    except AddressError:
        # Another application may have accepted an invalid address.
        pass
    else:
        local, _, domain = email.rpartition("@")
        spellings |= {email, f"{local}@{idna.decode(domain)}"}
    # Unlike Python's lower(), Postgres' does not handle the final sigma, and in the locale C it only changes ASCII.
    lower = {each.lower() for each in spellings}
    lower |= {each.replace("\u03c2", "\u03c3") for each in lower}
    # Different addresses may have the same upper-case form: both a sharp s and ss become SS.
    return spellings | lower | {upper for each in spellings if (upper := each.upper()).lower() in lower}
