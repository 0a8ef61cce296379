"""Read the definition of an existing "User" table, and list obstacles to sign-ups and to the operator's commands.

Each obstacle is a message for the operator. It names the table, column or index, and usually a fix.
"""

from collections.abc import Iterator
from typing import NamedTuple

from psycopg import Connection, sql

# Characters that each column must hold: the longest name, the longest address, and a hash with room to spare.
WIDTHS = {"name": 100, "email": 254, "password": 128}
_TEXTS = ("text", "character varying", "bpchar", "citext")
_INTEGERS = ("smallint", "integer", "bigint")
_TIMESTAMPS = ("timestamp without time zone", "timestamp with time zone")
# Prisma Client sets these columns, so tables that Prisma created have no default for them. The migrations add
# a default.
UPDATED_AT = ("updatedAt", "updated_at")

_COLUMNS = """
    SELECT a.attname, format_type(a.atttypid, -1),
           CASE WHEN a.atttypid IN ('bpchar'::regtype, 'varchar'::regtype) AND a.atttypmod > 0 THEN a.atttypmod - 4 END,
           a.attnotnull, a.atthasdef OR a.attidentity <> ''
    FROM pg_attribute a WHERE a.attrelid = to_regclass('"User"') AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY a.attnum
"""
# Unique indexes that are valid, immediate and not partial, and whose only key is this column.
_UNIQUE = """
    SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    WHERE i.indrelid = to_regclass('"User"') AND a.attname = %s AND i.indnkeyatts = 1
      AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
"""
_LOOK_ALIKES = """
    SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND c.relnamespace = current_schema()::regnamespace
      AND a.attname ~* '^(e_?mail|pass)' GROUP BY c.relname ORDER BY count(*) DESC, c.relname LIMIT 3
"""


class Column(NamedTuple):
    """The properties of a column that decide whether sign-ups work.

    Attributes:
        type: the type's name without a length.
        size: the maximum number of characters; None for no limit.
        required: whether the column is NOT NULL.
        has_default: whether an INSERT may omit the column.
    """

    type: str
    size: int | None
    required: bool
    has_default: bool


def exists(db: Connection) -> bool:
    """Return whether the search path has a relation with the name "User"."""
    return db.execute("""SELECT to_regclass('"User"') IS NOT NULL""").fetchone() == (True,)


def columns(db: Connection) -> dict[str, Column]:
    """Return the table's columns by name; an empty dictionary if there is no table."""
    return {name: Column(*properties) for name, *properties in db.execute(_COLUMNS)}


def unique_indexes(db: Connection, column: str) -> set[str]:
    """Return the names of the unique indexes on this column alone."""
    return {name for (name,) in db.execute(_UNIQUE, [column])}


def obstacles_to_sign_up(db: Connection) -> list[str]:
    """Return the reasons why sign-ups would fail or create duplicates in the table on the search path."""
    if problem := _find_table_problem(db):
        return [problem]
    existing = columns(db)
    missing = [name for name in ("id", *WIDTHS) if name not in existing]
    if missing:
        return [f'table "User" has no column {", ".join(missing)}: rename the existing column; see {_GUIDE}']
    return [
        *_id_obstacles(db, existing["id"]),
        *_text_obstacles(existing),
        *_index_obstacles(db),
        *_other_column_obstacles(db, existing),
    ]


def obstacles_to_adoption(db: Connection, hash_length: int) -> list[str]:
    """Return the reasons why rows cannot be identified, or hashes or unique addresses cannot be stored."""
    if problem := _find_table_problem(db):
        return [problem]
    existing = columns(db)
    if missing := [name for name in ("id", "email", "password") if name not in existing]:
        return [f'table "User" has no column {", ".join(missing)}']
    return [
        *_key_obstacles(db, existing["id"]),
        *_text_obstacles({name: existing[name] for name in ("email", "password")}, {"password": hash_length}),
        *([] if unique_indexes(db, "email") else ['column "email" has no unique index: run `make migrate` first']),
    ]


def obstacles_to_lookup(db: Connection) -> list[str]:
    """Return the reasons why users cannot be found by id and address."""
    if problem := _find_table_problem(db):
        return [problem]
    existing = columns(db)
    if missing := [name for name in ("id", "email") if name not in existing]:
        return [f'table "User" has no column {", ".join(missing)}']
    return [*_key_obstacles(db, existing["id"])]


_GUIDE = "docs/migrate-from-accelerate.md, section 1"


def _find_table_problem(db: Connection) -> str:
    kind = db.execute("""SELECT relkind::TEXT FROM pg_class WHERE oid = to_regclass('"User"')""").fetchone()
    if kind is None:
        names = [sql.Identifier(name).as_string(db) for (name,) in db.execute(_LOOK_ALIKES)]
        hint = f'; if the users are in {" or ".join(names)}, rename that table to "User": {_GUIDE}' if names else ""
        return f'there is no table "User" in this schema{hint}'
    return "" if kind[0] in "rp" else '"User" is not a table: rename the table itself to "User"'


def _key_obstacles(db: Connection, identity: Column) -> Iterator[str]:
    if not identity.required or not unique_indexes(db, "id"):
        yield 'column "id" may be NULL or duplicate: ALTER TABLE "User" ADD PRIMARY KEY ("id")'


def _id_obstacles(db: Connection, identity: Column) -> Iterator[str]:
    yield from _key_obstacles(db, identity)
    if identity.type not in _INTEGERS:
        yield f'column "id" is {identity.type}, and the Worker returns ids as integers: keep the old Worker'
    elif not identity.has_default:
        yield (
            'column "id" has no default: ALTER TABLE "User" ALTER COLUMN "id" ADD GENERATED BY DEFAULT AS IDENTITY, '
            "and set its sequence to the largest id"
        )


def _text_obstacles(existing: dict[str, Column], widths: dict[str, int] = WIDTHS) -> Iterator[str]:
    for name in existing.keys() & WIDTHS.keys():
        column = existing[name]
        fix = f'ALTER TABLE "User" ALTER COLUMN "{name}" TYPE TEXT'
        # The name of an extension's type has a schema prefix if the schema is not on the search path.
        type_name = column.type.rpartition(".")[2]
        if type_name not in _TEXTS or (type_name == "citext" and name == "password"):
            yield f'column "{name}" is {column.type}, not text: {fix}'
        elif column.size is not None and column.size < widths.get(name, 0):
            yield f'column "{name}" holds {column.size} characters, but needs {widths[name]}: {fix}'


def _index_obstacles(db: Connection) -> Iterator[str]:
    name = "User_email_key"
    index_exists = db.execute("SELECT to_regclass(%s) IS NOT NULL", [f'"{name}"']).fetchone() == (True,)
    if index_exists and name not in unique_indexes(db, "email"):
        yield f'"{name}" is not a unique index on "email" alone: drop it; the migrations create the right one'


def _other_column_obstacles(db: Connection, existing: dict[str, Column]) -> Iterator[str]:
    if "created_at" in existing and existing["created_at"].type not in _TIMESTAMPS:
        yield f'column "created_at" is {existing["created_at"].type}, not a timestamp: rename it'
    elif "created_at" in existing and not existing["created_at"].has_default:
        yield (
            'column "created_at" has no default: '
            'ALTER TABLE "User" ALTER COLUMN "created_at" SET DEFAULT CURRENT_TIMESTAMP'
        )
    if "idempotency_key" in existing and not unique_indexes(db, "idempotency_key"):
        yield 'a column "idempotency_key" already exists: rename it'
    for name, column in existing.items():
        is_own = name in {"id", "created_at", "idempotency_key", *WIDTHS}
        gets_default = name in UPDATED_AT and column.type in _TIMESTAMPS
        if column.required and not column.has_default and not is_own and not gets_default:
            quoted = '"' + name.replace('"', '""') + '"'
            yield (
                f"column {quoted} is required and has no default: "
                f'ALTER TABLE "User" ALTER COLUMN {quoted} SET DEFAULT ..., or DROP NOT NULL'
            )
