"""Neon's own driver (npm @neondatabase/serverless) as a client of the proxy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.contract.sqlproxy.harness import TOKEN, Proxy

if TYPE_CHECKING:
    from devstack.postgres.server import Postgres

SCRIPT = Path(__file__).with_name("driver.mjs")
NODE = Path(sys.executable).with_name("node")


def drive(proxy: Proxy, *operations: dict[str, Any], token: str = TOKEN) -> list[dict[str, Any]]:
    """Run the operations with Neon's driver and return their outcomes."""
    return _run_node(
        {
            "endpoint": f"{proxy.url}/sql",
            "connectionString": f"postgres://anybody:{token}@proxy.example/anything",
            "operations": operations,
        }
    )


def run_directly(url: str, *operations: dict[str, Any]) -> list[dict[str, Any]]:
    """Run the operations with npm's `pg` on a direct connection."""
    return _run_node({"direct": True, "connectionString": url, "operations": operations})


def _run_node(task: dict[str, Any]) -> list[dict[str, Any]]:
    done = subprocess.run(
        [NODE, SCRIPT], input=json.dumps(task), capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 0, done.stderr
    outcomes: list[dict[str, Any]] = json.loads(done.stdout)
    return outcomes


def value_of(outcome: dict[str, Any]) -> Any:
    """Return the only value of the only row."""
    (row,) = outcome["result"]
    (value,) = row.values()
    return value


VALUES: list[tuple[str, list[Any], Any]] = [
    ("SELECT 1 AS v", [], 1),
    ("SELECT NULL::int AS v", [], None),
    ("SELECT $1::text AS v", [None], None),
    ("SELECT $1::text AS v", ["é 😀 \u2028 '\"\\"], "é 😀 \u2028 '\"\\"),
    ("SELECT $1::text AS v", [""], ""),
    ("SELECT $1::text AS v", ["'; DROP TABLE x; --"], "'; DROP TABLE x; --"),
    ("SELECT $1::int + $2 AS v", [1, 2], 3),
    ("SELECT $1::boolean AS v", [True], True),
    ("SELECT 9007199254740993::int8 AS v", [], "9007199254740993"),
    ("SELECT 1.10::numeric AS v", [], "1.10"),
    ("SELECT 'NaN'::numeric AS v", [], "NaN"),
    ("SELECT 1.5::float8 AS v", [], 1.5),
    ("SELECT '-Infinity'::float8 IS NOT NULL AS v", [], True),
    ("SELECT '\\x00ff'::bytea AS v", [], {"$bytes": "00ff"}),
    ("SELECT $1::bytea AS v", [{"$bytes": "00ff10"}], {"$bytes": "00ff10"}),
    ("SELECT $1::timestamptz AS v", [{"$date": "2026-01-02T03:04:05.678Z"}], {"$date": "2026-01-02T03:04:05.678Z"}),
    ("SELECT '1999-12-31 23:59:59+02'::timestamptz AS v", [], {"$date": "1999-12-31T21:59:59.000Z"}),
    ("SELECT '12:34:56'::time AS v", [], "12:34:56"),
    ("SELECT '{\"a\": [1, null]}'::jsonb AS v", [], {"a": [1, None]}),
    ("SELECT $1::json AS v", [{"b": "é"}], {"b": "é"}),
    ("SELECT '{1,NULL,3}'::int[] AS v", [], [1, None, 3]),
    ("SELECT $1::text[] AS v", [["a b", 'q"', "\\", "NULL", ""]], ["a b", 'q"', "\\", "NULL", ""]),
    ("SELECT '{{1,2},{3,4}}'::int[] AS v", [], [[1, 2], [3, 4]]),
    ("SELECT '{t,f}'::bool[] AS v", [], [True, False]),
    ("SELECT gen_random_uuid() <> gen_random_uuid() AS v", [], True),
    ("SELECT row(1, 'a') AS v", [], "(1,a)"),
]


def test_values_equal_those_of_a_direct_connection(proxy: Proxy, pg: Postgres) -> None:
    """Results are equal to those of `pg`, for common types of columns and parameters."""
    operations = [{"query": query, "params": params} for query, params, _ in VALUES]
    outcomes = drive(proxy, *operations)
    assert outcomes == run_directly(pg.url(), *operations)
    for (query, params, expected), outcome in zip(VALUES, outcomes, strict=True):
        assert "result" in outcome, (query, outcome)
        assert value_of(outcome) == expected, (query, params)


@pytest.mark.usefixtures("people")
def test_array_mode_and_full_results_are_supported(proxy: Proxy) -> None:
    """Full results have fields, command and row count; without options rows are objects."""
    insert = "INSERT INTO people (email) VALUES ($1), ($2) RETURNING id, email"
    full, objects, arrays, no_rows = drive(
        proxy,
        {"query": insert, "params": ["a", "b"], "options": {"fullResults": True}},
        {"query": "SELECT id, email FROM people ORDER BY id"},
        {"query": "SELECT id, email FROM people ORDER BY id", "options": {"arrayMode": True}},
        {"query": "DELETE FROM people WHERE false", "options": {"fullResults": True, "arrayMode": True}},
    )
    assert objects["result"] == [{"id": 1, "email": "a"}, {"id": 2, "email": "b"}]
    assert arrays["result"] == [[1, "a"], [2, "b"]]
    result = full["result"]
    assert (result["command"], result["rowCount"], result["rowAsArray"]) == ("INSERT", 2, False)
    assert result["rows"] == objects["result"]
    assert [(column["name"], column["dataTypeID"], column["format"]) for column in result["fields"]] == [
        ("id", 23, "text"),
        ("email", 25, "text"),
    ]
    assert result["fields"][0]["tableID"] == result["fields"][1]["tableID"] > 0
    assert [column["columnID"] for column in result["fields"]] == [1, 2]
    assert no_rows["result"] == {"fields": [], "rows": [], "command": "DELETE", "rowCount": 0, "rowAsArray": True}


@pytest.mark.usefixtures("people")
def test_a_transaction_has_the_requested_isolation_level(proxy: Proxy) -> None:
    """Statements see earlier changes. The driver's options set the isolation level and the modes of the transaction."""
    show = [
        {"query": "SHOW transaction_isolation"},
        {"query": "SHOW transaction_read_only"},
        {"query": "SHOW transaction_deferrable"},
    ]
    insert = {"query": "INSERT INTO people (email) VALUES ($1)", "params": ["x"]}
    outcomes = drive(
        proxy,
        {"queries": [insert, {"query": "SELECT count(*)::int AS n FROM people"}]},
        {"queries": show, "options": {"isolationLevel": "Serializable", "readOnly": True, "deferrable": True}},
        {"queries": show, "options": {"isolationLevel": "RepeatableRead"}},
        {"queries": show, "options": {"isolationLevel": "ReadCommitted", "readOnly": False}},
        {"queries": show, "options": {"isolationLevel": "ReadUncommitted"}},
        {"queries": [insert], "options": {"readOnly": True}},
        {"queries": []},
    )
    assert outcomes[0]["result"] == [[], [{"n": 1}]]
    modes = [[next(iter(rows[0].values())) for rows in outcome["result"]] for outcome in outcomes[1:5]]
    assert modes == [
        ["serializable", "on", "on"],
        ["repeatable read", "off", "off"],
        ["read committed", "off", "off"],
        ["read uncommitted", "off", "off"],
    ]
    assert outcomes[5]["error"]["code"] == "25006"
    assert outcomes[6]["result"] == []


@pytest.mark.usefixtures("people")
def test_a_failed_transaction_is_rolled_back(proxy: Proxy) -> None:
    """Statements before the error are rolled back too."""
    insert = "INSERT INTO people (email) VALUES ($1)"
    (outcome,) = drive(proxy, {"queries": [{"query": insert, "params": ["a"]}, {"query": insert, "params": ["a"]}]})
    assert outcome["error"]["code"] == "23505"
    assert proxy.rows("SELECT count(*) FROM people") == [["0"]]


@pytest.mark.usefixtures("people")
def test_a_unique_violation_has_all_fields(proxy: Proxy) -> None:
    """Postgres' fields reach the driver's NeonDbError unchanged; missing fields are undefined."""
    insert = {"query": "INSERT INTO people (email) VALUES ($1)", "params": ["ada@example.com"]}
    _, outcome = drive(proxy, insert, insert)
    error = outcome["error"]
    assert error.pop("line").isdigit()
    assert error == {
        "name": "NeonDbError",
        "isNeonDbError": True,
        "message": 'duplicate key value violates unique constraint "people_email"',
        "severity": "ERROR",
        "code": "23505",
        "detail": "Key (email)=(ada@example.com) already exists.",
        "hint": {"$undefined": True},
        "position": {"$undefined": True},
        "internalPosition": {"$undefined": True},
        "internalQuery": {"$undefined": True},
        "where": {"$undefined": True},
        "schema": "public",
        "table": "people",
        "column": {"$undefined": True},
        "dataType": {"$undefined": True},
        "constraint": "people_email",
        "file": "nbtinsert.c",
        "routine": "_bt_check_unique",
    }


@pytest.mark.usefixtures("people")
def test_other_errors_have_their_fields(proxy: Proxy) -> None:
    """The fields include a position, a hint, a column, an inner query and a context."""
    syntax, unknown, missing, inner, timeout = (
        outcome["error"]
        for outcome in drive(
            proxy,
            {"query": "SELECT 1 FROM WHERE"},
            {"query": "SELECT emial FROM people"},
            {"query": "INSERT INTO people (id) VALUES (NULL)"},
            {"query": "DO $$ BEGIN EXECUTE 'SELECT nonsense'; END $$"},
            {"query": "SELECT pg_sleep(30)"},
        )
    )
    assert (syntax["code"], syntax["position"]) == ("42601", "15")
    assert unknown["code"] == "42703"
    assert 'Perhaps you meant to reference the column "people.email"' in unknown["hint"]
    assert (missing["code"], missing["column"], missing["table"]) == ("23502", "id", "people")
    assert (inner["internalQuery"], inner["internalPosition"]) == ("SELECT nonsense", "8")
    assert inner["where"].startswith("PL/pgSQL function inline_code_block")
    assert (timeout["code"], timeout["message"]) == ("57014", "canceling statement due to statement timeout")


@pytest.mark.usefixtures("people")
def test_errors_equal_those_of_a_direct_connection(proxy: Proxy, pg: Postgres) -> None:
    """All fields equal those of `pg`; only the class of the error differs."""
    queries = [
        "INSERT INTO people (email, n) VALUES ('a', 1), ('a', 2)",
        "SELECT 1 FROM WHERE",
        "SELECT emial FROM people",
        "SELECT 1 / 0",
        "SELECT 'x'::int",
        "INSERT INTO people (id) VALUES (NULL)",
        "DO $$ BEGIN EXECUTE 'SELECT nonsense'; END $$",
        "SELECT 300::int2 * 300::int2",
    ]
    operations = [{"query": query} for query in queries]
    proxied, expected = drive(proxy, *operations), run_directly(pg.url(), *operations)
    for query, ours, theirs in zip(queries, proxied, expected, strict=True):
        assert (ours["error"].pop("name"), ours["error"].pop("isNeonDbError")) == ("NeonDbError", True), query
        assert (theirs["error"].pop("name"), theirs["error"].pop("isNeonDbError")) == ("error", False), query
        assert ours == theirs, query


def test_a_wrong_password_is_an_error_without_details(proxy: Proxy) -> None:
    """The driver's error has the status and does not contain the password."""
    (outcome,) = drive(proxy, {"query": "SELECT 1"}, token="canary-wrong-password")
    assert "HTTP status 401" in outcome["error"]["message"]
    assert "canary" not in json.dumps(outcome)
