"""What every dialect must make of the same statements, and the differences that are accepted.

A statement's outcome is its rows, every value in Postgres' text form, or how it failed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from signup.problems import DatabaseError, Problem

if TYPE_CHECKING:
    from signup.database.proxy import DataProxy, Rows


class Failure(NamedTuple):
    """A statement that failed: the problem's class, and what the database said."""

    problem: str
    sqlstate: str = ""
    constraint: str = ""


class Case(NamedTuple):
    """A statement with its parameters, and its outcome."""

    statement: str
    parameters: tuple[str | None, ...]
    outcome: Rows | Failure


class Difference(NamedTuple):
    """Outcomes of cases that some counterparts have instead, and why that is accepted."""

    cases: tuple[str, ...]
    counterparts: tuple[str, ...]
    outcome: Rows | Failure
    reason: str


async def outcome(proxy: DataProxy, statement: str, parameters: tuple[str | None, ...] = ()) -> Rows | Failure:
    """Run a statement and return its outcome."""
    try:
        return await proxy.execute(statement, parameters)
    except DatabaseError as exc:
        return Failure("DatabaseError", exc.sqlstate, exc.constraint)
    except Problem as exc:
        return Failure(type(exc).__name__)


ECHO = "SELECT $1::text"
TAKEN = 'INSERT INTO "User" ("name", "email", "password") VALUES ($1, $2, $3)'

# The first and the last character of each plane of Unicode, noncharacters and private use included.
PLANES = "".join(chr(plane << 16 | offset) for plane in range(17) for offset in (0x21, 0xFFFD, 0xFFFE, 0xFFFF))
CONTROLS = "".join(map(chr, (*range(1, 32), *range(127, 160), 0x2028, 0x2029, 0xFEFF, 0xD7FF, 0xE000)))


def echo(value: str | None) -> Case:
    """Return the case of a value that comes back as it went."""
    return Case(ECHO, (value,), [[value]])


def fails(statement: str, *parameters: str, sqlstate: str = "", constraint: str = "", problem: str = "") -> Case:
    """Return the case of a statement that the database refuses."""
    return Case(statement, parameters, Failure(problem or "DatabaseError", sqlstate, constraint))


CASES = {
    "null": echo(None),
    "empty text": echo(""),
    "every plane of Unicode": echo(PLANES),
    "control characters": echo(CONTROLS),
    "combining characters are left as they are": echo("e\u0301 \u00e9 \u1e9b\u0323 \u212b"),
    "quotes and statements": echo('\'; DROP TABLE "User"; --'),
    "backslashes and dollars": echo("\\x00 \\u0000 \\' $1 $$ $a$ %s %(a)s ? :a {0} ${a}"),
    "markup": echo('{"a": [null]}]} </script>\r\n--boundary--\r\nContent-Type: text/plain\r\n\r\n'),
    "a timestamp in a text": echo("2026-01-01T00:00:00Z"),
    "text of 1,024 bytes": echo("\u00e9" * 512),
    "text of 1,025 bytes": echo("\u00e9" * 512 + "x"),
    "text of 100,000 bytes": echo("\U0001f980" * 25_000),
    "long and short values in order": Case(
        "SELECT $3::text, $1::text, $2::text, $4::text",
        ("a" * 2000, "b", "c" * 2000, None),
        [["c" * 2000, "a" * 2000, "b", None]],
    ),
    "a parameter twice": Case("SELECT $1::text || $1::text", ("a",), [["aa"]]),
    "a parameter for a number": Case("SELECT $1::int + 1", ("41",), [["42"]]),
    "no parameters": Case("SELECT 1", (), [["1"]]),
    "no rows": Case("SELECT 1 WHERE false", (), []),
    "many rows in order": Case("SELECT generate_series(1, 500)", (), [[str(n)] for n in range(1, 501)]),
    "columns of one name": Case("SELECT 'a' AS x, 'b' AS x", (), [["a", "b"]]),
    "no columns of rows": Case("DO $$ BEGIN END $$", (), []),
    "whole numbers": Case(
        "SELECT (-1)::int2, 2147483647::int4, 9007199254740993::int8, 12345678901234567890123::numeric",
        (),
        [["-1", "2147483647", "9007199254740993", "12345678901234567890123"]],
    ),
    "decimals keep their zeros": Case("SELECT 1.50::numeric", (), [["1.50"]]),
    "booleans": Case("SELECT true, false", (), [["t", "f"]]),
    "uuid": Case("SELECT '0E37DF36-F698-11E6-8DD4-CB9CED3DF976'::uuid", (), [["0e37df36-f698-11e6-8dd4-cb9ced3df976"]]),
    "a float": Case("SELECT 1e16::float8", (), [["1e+16"]]),
    "a time": Case("SELECT '2026-11-22 20:00:00.5'::timestamp", (), [["2026-11-22 20:00:00.5"]]),
    "json": Case("SELECT '{\"a\":  1}'::json", (), [['{"a":  1}']]),
    "bytes": Case("SELECT '\\x00ff'::bytea", (), [["\\x00ff"]]),
    "an array": Case("SELECT ARRAY['a', NULL]", (), [["{a,NULL}"]]),
    "an interval": Case("SELECT '1 day'::interval", (), [["1 day"]]),
    "NUL in a text": fails(ECHO, "a\0b", sqlstate="22021"),
    "unique violation": fails(TAKEN, "Ada", "taken@example.com", "x", sqlstate="23505", constraint="User_email_key"),
    "check violation": fails(
        TAKEN.replace(") V", ', "idempotency_key") V').replace("$3)", "$3, '\\x00')"),
        *("Ada", "new@example.com", "x"),
        sqlstate="23514",
        constraint="User_idempotency_key_hashed",
    ),
    "syntax error": fails("SELEC 1", sqlstate="42601"),
    "division by zero": fails("SELECT 1 / 0", sqlstate="22012"),
    "text that is no number": fails("SELECT $1::int", "x", sqlstate="22P02"),
    "two statements": fails("SELECT 1; SELECT 2", sqlstate="42601"),
    "two statements with parameters": fails("SELECT $1::text; SELECT 2", "a", sqlstate="42601"),
    "too few parameters": fails("SELECT $1::text, $2::text", "a", problem="ProxyUnavailable"),
    "no such table": fails('SELECT * FROM "Missing"', problem="Misconfigured"),
    "no such column": fails('SELECT "missing" FROM "User"', problem="Misconfigured"),
    "serialization failure": fails(
        "DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '40001'; END $$", problem="ProxyUnavailable"
    ),
    "cancelled": fails("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '57014'; END $$", problem="ProxyTimeout"),
    "no connection left": fails("DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '53300'; END $$", problem="ProxyBusy"),
    "an answer of 2 MB": Case("SELECT repeat('x', 2000000)", (), Failure("ProxyUnavailable")),
}

# The number of users in the table when a sign-up that was too slow has had the time to be carried out all the same.
LATE = "users that were made after all"

DIFFERENCES = (
    Difference(
        ("a float", "a time", "json", "bytes", "an array"),
        ("executor", "prisma dev"),
        Failure("ProxyUnavailable"),
        "the executor sends JavaScript's form of these types, not Postgres' text; our statements cast to text",
    ),
    Difference(
        ("an interval",),
        ("executor", "prisma dev"),
        Failure("ProxyUnavailable"),
        "the executor has no such type, and answers with an error of its own after the statement ran",
    ),
    Difference(
        ("check violation",),
        ("executor", "prisma dev"),
        Failure("DatabaseError", "23514"),
        "the executor names the constraint in a text alone, which may quote values and is not read",
    ),
    Difference(
        ("unique violation",),
        ("prisma dev",),
        Failure("DatabaseError", "23505"),
        "its executor, which is older (7.2.0), names the columns instead of the constraint",
    ),
    Difference(
        ("two statements",),
        ("executor", "prisma dev"),
        Failure("ProxyUnavailable"),
        "without parameters the executor uses the simple protocol, runs both and fails on two results with status 500",
    ),
    Difference(
        ("an answer of 2 MB",),
        ("executor", "prisma dev", "prisma postgres"),
        [["x" * 2_000_000]],
        "they have no limit (the executor has a setting for one that does nothing); the Worker's transport has",
    ),
    Difference(
        (LATE,),
        ("executor",),
        [["2"]],
        "the executor stops waiting, and cancels nothing: a 504 of ours says that the outcome is unknown",
    ),
)

OUTCOMES: dict[str, Rows | Failure] = {name: case.outcome for name, case in CASES.items()}
OUTCOMES[LATE] = [["1"]]


def expected(name: str, counterpart: str) -> Rows | Failure:
    """Return the outcome of a case at a counterpart."""
    others = [each.outcome for each in DIFFERENCES if name in each.cases and counterpart in each.counterparts]
    return others[0] if others else OUTCOMES[name]
