"""Statements with their expected outcomes in every dialect, and the accepted differences.

An outcome is either the rows, with every value in Postgres' text format, or a `Failure`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from signup.problems import DatabaseError, Problem

if TYPE_CHECKING:
    from signup.database.proxy import DataProxy, Rows


class Failure(NamedTuple):
    """The failure of a statement: the name of the `Problem`'s class, the SQLSTATE and the constraint."""

    problem: str
    sqlstate: str = ""
    constraint: str = ""


class Case(NamedTuple):
    """A statement with its parameters and expected outcome."""

    statement: str
    parameters: tuple[str | None, ...]
    outcome: Rows | Failure


class Difference(NamedTuple):
    """An outcome of some cases that differs for some servers, and the reason why it is accepted."""

    cases: tuple[str, ...]
    counterparts: tuple[str, ...]
    outcome: Rows | Failure
    reason: str


async def outcome(proxy: DataProxy, statement: str, parameters: tuple[str | None, ...] = ()) -> Rows | Failure:
    """Execute a statement and return its outcome."""
    try:
        return await proxy.execute(statement, parameters)
    except DatabaseError as exc:
        return Failure("DatabaseError", exc.sqlstate, exc.constraint)
    except Problem as exc:
        return Failure(type(exc).__name__)


ECHO = "SELECT $1::text"
INSERT = 'INSERT INTO "User" ("name", "email", "password") VALUES ($1, $2, $3)'

# Characters near the start and at the end of each plane of Unicode, including noncharacters and private use.
PLANES = "".join(chr(plane << 16 | offset) for plane in range(17) for offset in (0x21, 0xFFFD, 0xFFFE, 0xFFFF))
CONTROLS = "".join(map(chr, (*range(1, 32), *range(127, 160), 0x2028, 0x2029, 0xFEFF, 0xD7FF, 0xE000)))


def echo(value: str | None) -> Case:
    """Return a case with a value that is returned unchanged."""
    return Case(ECHO, (value,), [[value]])


def fails(statement: str, *parameters: str, sqlstate: str = "", constraint: str = "", problem: str = "") -> Case:
    """Return a case with a statement that fails."""
    return Case(statement, parameters, Failure(problem or "DatabaseError", sqlstate, constraint))


CASES = {
    "null": echo(None),
    "empty text": echo(""),
    "every plane of Unicode": echo(PLANES),
    "control characters": echo(CONTROLS),
    "combining characters": echo("e\u0301 \u00e9 \u1e9b\u0323 \u212b"),
    "quotes and statements": echo('\'; DROP TABLE "User"; --'),
    "backslashes and dollars": echo("\\x00 \\u0000 \\' $1 $$ $a$ %s %(a)s ? :a {0} ${a}"),
    "markup": echo('{"a": [null]}]} </script>\r\n--boundary--\r\nContent-Type: text/plain\r\n\r\n'),
    "timestamp as text": echo("2026-01-01T00:00:00Z"),
    "text of 1,024 bytes": echo("\u00e9" * 512),
    "text of 1,025 bytes": echo("\u00e9" * 512 + "x"),
    "text of 100,000 bytes": echo("\U0001f980" * 25_000),
    "long and short values in order": Case(
        "SELECT $3::text, $1::text, $2::text, $4::text",
        ("a" * 2000, "b", "c" * 2000, None),
        [["c" * 2000, "a" * 2000, "b", None]],
    ),
    "repeated parameter": Case("SELECT $1::text || $1::text", ("a",), [["aa"]]),
    "parameter as number": Case("SELECT $1::int + 1", ("41",), [["42"]]),
    "no parameters": Case("SELECT 1", (), [["1"]]),
    "no rows": Case("SELECT 1 WHERE false", (), []),
    "many rows in order": Case("SELECT generate_series(1, 500)", (), [[str(n)] for n in range(1, 501)]),
    "columns with the same name": Case("SELECT 'a' AS x, 'b' AS x", (), [["a", "b"]]),
    "no columns": Case("DO $$ BEGIN END $$", (), []),
    "whole numbers": Case(
        "SELECT (-1)::int2, 2147483647::int4, 9007199254740993::int8, 12345678901234567890123::numeric",
        (),
        [["-1", "2147483647", "9007199254740993", "12345678901234567890123"]],
    ),
    "decimals with trailing zeros": Case("SELECT 1.50::numeric", (), [["1.50"]]),
    "booleans": Case("SELECT true, false", (), [["t", "f"]]),
    "uuid": Case("SELECT '0E37DF36-F698-11E6-8DD4-CB9CED3DF976'::uuid", (), [["0e37df36-f698-11e6-8dd4-cb9ced3df976"]]),
    "float": Case("SELECT 1e16::float8", (), [["1e+16"]]),
    "timestamp": Case("SELECT '2026-11-22 20:00:00.5'::timestamp", (), [["2026-11-22 20:00:00.5"]]),
    "json": Case("SELECT '{\"a\":  1}'::json", (), [['{"a":  1}']]),
    "bytes": Case("SELECT '\\x00ff'::bytea", (), [["\\x00ff"]]),
    "array": Case("SELECT ARRAY['a', NULL]", (), [["{a,NULL}"]]),
    "interval": Case("SELECT '1 day'::interval", (), [["1 day"]]),
    "NUL in a text": fails(ECHO, "a\0b", sqlstate="22021"),
    "unique violation": fails(INSERT, "Ada", "taken@example.com", "x", sqlstate="23505", constraint="User_email_key"),
    "check violation": fails(
        INSERT.replace(") V", ', "idempotency_key") V').replace("$3)", "$3, '\\x00')"),
        *("Ada", "new@example.com", "x"),
        sqlstate="23514",
        constraint="User_idempotency_key_hashed",
    ),
    "syntax error": fails("SELEC 1", sqlstate="42601"),
    "division by zero": fails("SELECT 1 / 0", sqlstate="22012"),
    "text instead of a number": fails("SELECT $1::int", "x", sqlstate="22P02"),
    "two statements": fails("SELECT 1; SELECT 2", sqlstate="42601"),
    "two statements with parameters": fails("SELECT $1::text; SELECT 2", "a", sqlstate="42601"),
    "too few parameters": fails("SELECT $1::text, $2::text", "a", problem="ProxyUnavailable"),
    "missing table": fails('SELECT * FROM "Missing"', problem="Misconfigured"),
    "missing column": fails('SELECT "missing" FROM "User"', problem="Misconfigured"),
    "serialization failure": fails(
        "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$", problem="ProxyUnavailable"
    ),
    "cancelled": fails("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '57014'; END $$", problem="ProxyTimeout"),
    "no connections left": fails(
        "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53300'; END $$", problem="ProxyBusy"
    ),
    "2 MB response": Case("SELECT repeat('x', 2000000)", (), Failure("ProxyUnavailable")),
}

# The name of a case in test_outages.py, which counts the users after a timed-out sign-up that may still be executed.
LATE = "users after a timed-out sign-up"

DIFFERENCES = (
    Difference(
        ("float", "timestamp", "json", "bytes", "array"),
        ("executor", "prisma dev"),
        Failure("ProxyUnavailable"),
        "the executor returns these types in JavaScript's format; the Worker's statements cast them to text",
    ),
    Difference(
        ("interval",),
        ("executor", "prisma dev"),
        Failure("ProxyUnavailable"),
        "the executor does not support this type, and responds with an error after it has executed the statement",
    ),
    Difference(
        ("check violation",),
        ("executor", "prisma dev"),
        Failure("DatabaseError", "23514"),
        "the executor names the constraint only in a text, which may quote values and is not parsed",
    ),
    Difference(
        ("unique violation",),
        ("prisma dev",),
        Failure("DatabaseError", "23505"),
        "the executor of `prisma dev` is older (7.2.0), and names the columns instead of the constraint",
    ),
    Difference(
        ("two statements",),
        ("executor", "prisma dev"),
        Failure("ProxyUnavailable"),
        "without parameters the executor uses the simple protocol, executes both, and responds to two results with 500",
    ),
    Difference(
        ("2 MB response",),
        ("executor", "prisma dev", "prisma postgres"),
        [["x" * 2_000_000]],
        "these servers do not limit results (the executor's setting has no effect); the Worker's transport does",
    ),
    Difference(
        (LATE,),
        ("executor",),
        [["2"]],
        "the executor stops waiting without cancelling the statement; the Worker's 504 means an unknown outcome",
    ),
)

OUTCOMES: dict[str, Rows | Failure] = {name: case.outcome for name, case in CASES.items()}
OUTCOMES[LATE] = [["1"]]


def expected(name: str, counterpart: str) -> Rows | Failure:
    """Return the expected outcome of a case with a server."""
    differences = [each.outcome for each in DIFFERENCES if name in each.cases and counterpart in each.counterparts]
    return differences[0] if differences else OUTCOMES[name]
