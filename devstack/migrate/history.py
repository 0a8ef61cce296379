"""Read the migrations folder, and maintain Prisma's table of applied migrations, `_prisma_migrations`.

Sources: prisma/prisma-engines, schema-engine: checksum.rs, migrations_directory.rs, sql_migration_persistence.rs,
flavour/postgres.rs.
"""

import hashlib
import uuid
from datetime import datetime
from pathlib import Path
from typing import LiteralString, NamedTuple

from psycopg import Connection, Cursor, sql

TABLE = "_prisma_migrations"

_CREATE = """
CREATE TABLE {} (
    id                      VARCHAR(36) PRIMARY KEY NOT NULL,
    checksum                VARCHAR(64) NOT NULL,
    finished_at             TIMESTAMPTZ,
    migration_name          VARCHAR(255) NOT NULL,
    logs                    TEXT,
    rolled_back_at          TIMESTAMPTZ,
    started_at              TIMESTAMPTZ NOT NULL DEFAULT now(),
    applied_steps_count     INTEGER NOT NULL DEFAULT 0
)
"""


class Migration(NamedTuple):
    """A directory in the migrations folder.

    Attributes:
        name: the directory's name, `<timestamp>_<description>`; migrations run in the order of their names.
        script: the content of migration.sql.
    """

    name: str
    script: str

    @property
    def checksum(self) -> str:
        """The SHA-256 of the script in hexadecimal, as Prisma records it."""
        return _digest(self.script)

    def matches(self, checksum: str) -> bool:
        """Return whether a recorded checksum fits the script, even if git has converted the script's line endings."""
        line_feeds = self.script.replace("\r\n", "\n")
        return checksum in map(_digest, (self.script, line_feeds, line_feeds.replace("\n", "\r\n")))


class Record(NamedTuple):
    """A row of `_prisma_migrations`. A migration that is neither finished nor rolled back counts as failed."""

    id: str
    name: str
    checksum: str
    started_at: datetime
    finished_at: datetime | None
    rolled_back_at: datetime | None

    @property
    def failed(self) -> bool:
        """Whether the migration failed. Prisma then refuses to apply other migrations (P3009)."""
        return self.finished_at is None and self.rolled_back_at is None


class HistoryTable:
    """The table `_prisma_migrations` of one schema.

    Args:
        db: an open connection in autocommit mode; the caller manages transactions.
        schema: the table's schema.
    """

    def __init__(self, db: Connection, schema: str) -> None:
        self._db = db
        self._schema = schema
        # As in Prisma, the name is qualified with the schema, because a migration may change search_path.
        self._table = sql.Identifier(schema, TABLE)

    def tables(self) -> set[str]:
        """Return the names of the schema's ordinary tables."""
        query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = to_regnamespace(%s)"
        return {name for (name,) in self._db.execute(query, [sql.Identifier(self._schema).as_string()])}

    def create(self) -> None:
        """Create the table."""
        self._execute(_CREATE)

    def records(self) -> list[Record]:
        """Return every row, oldest first."""
        query = (
            "SELECT id, migration_name, checksum, started_at, finished_at, rolled_back_at FROM {} ORDER BY started_at"
        )
        return [Record(*row) for row in self._execute(query)]

    def start(self, migration: Migration) -> str:
        """Record the start of a migration, and return its row's id."""
        row_id = str(uuid.uuid4())
        query = "INSERT INTO {} (id, checksum, started_at, migration_name) VALUES (%s, %s, clock_timestamp(), %s)"
        self._execute(query, row_id, migration.checksum, migration.name)
        return row_id

    def finish(self, row_id: str) -> None:
        """Record the success of a migration."""
        self._execute("UPDATE {} SET applied_steps_count = 1, finished_at = clock_timestamp() WHERE id = %s", row_id)

    def fail(self, row_id: str, logs: str) -> bool:
        """Record the error of a migration; return whether its row still exists."""
        return self._execute("UPDATE {} SET logs = %s WHERE id = %s", logs, row_id).rowcount == 1

    def resolve(self, migration: Migration) -> None:
        """Record a migration as applied without running it, and its failed attempts as rolled back."""
        query = (
            "UPDATE {} SET rolled_back_at = now()"
            " WHERE migration_name = %s AND finished_at IS NULL AND rolled_back_at IS NULL"
        )
        self._execute(query, migration.name)
        row_id = self.start(migration)
        self._execute("UPDATE {} SET logs = '', finished_at = started_at WHERE id = %s", row_id)

    def _execute(self, query: LiteralString, *values: object) -> Cursor:
        """Execute a statement with `{}` in place of the table's name."""
        return self._db.execute(sql.SQL(query).format(self._table), values or None)


def read_folder(folder: Path) -> list[Migration]:
    """Return the folder's migrations in the order in which they run.

    Raises:
        OSError: the folder or a migration.sql cannot be read, for example because it is missing (Prisma: P3015).
        UnicodeDecodeError: a script is not UTF-8.
    """
    directories = sorted(entry for entry in folder.iterdir() if entry.is_dir())
    # Text mode would convert line endings, which the checksum includes.
    return [Migration(each.name, (each / "migration.sql").read_bytes().decode("utf-8")) for each in directories]


def _digest(script: str) -> str:
    return hashlib.sha256(script.encode()).hexdigest()
