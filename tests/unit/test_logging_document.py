"""docs/logging.md lists every event, field and reason of the log, and nothing else."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

import sqlproxy.errors
from signup.log import Event, Fields, Reason
from signup.problems import DatabaseError, Misconfigured
from tests.fakes import Client

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.anyio


def documented(section: str, column: str) -> list[str]:
    """Return the names in the first column of a table of docs/logging.md."""
    text = (ROOT / "docs" / "logging.md").read_text(encoding="utf-8")
    (section_text,) = re.findall(rf"^## {section}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    (table,) = re.findall(rf"^\| {column} \|.*\n\| --- .*\n((?:\|.*\n)+)", section_text, re.MULTILINE)
    return [name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])]


def string_literals(folder: str) -> set[str]:
    """Return the string literals in a folder's modules, except in `signup.log`."""
    files = set((ROOT / folder).rglob("*.py")) - {ROOT / "src/signup/log.py"}
    nodes = (node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))))
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_the_workers_events_fields_and_reasons_are_documented() -> None:
    """The types in `signup.log` are the vocabulary; mypy checks that the Worker logs nothing else."""
    assert sorted(documented("Worker", "event")) == sorted(get_args(Event))
    assert sorted(documented("Worker", "field")) == sorted({"event", "level", *get_type_hints(Fields)})
    assert sorted(documented("Worker", "reason")) == sorted(get_args(Reason))


def test_the_worker_uses_every_event_and_reason() -> None:
    """The documented vocabulary has no unused entries."""
    assert {*get_args(Event), *get_args(Reason)} <= string_literals("src/signup")


@pytest.mark.parametrize("outcome", [DatabaseError("23514", "c"), Misconfigured("X", "is wrong"), RuntimeError("bug")])
async def test_a_logged_line_has_documented_fields(outcome: Exception) -> None:
    """A database error, a wrong setting and an unexpected exception cause lines with documented fields only."""
    client = Client(outcome)
    await client.request()
    logged = {name for line in client.log() for name in line}
    assert (
        {"event", "level", "request_id", "code", "status", "duration_ms"} < logged <= set(documented("Worker", "field"))
    )


def test_the_errors_of_deliveries_are_documented() -> None:
    """The Worker's own errors are listed; other errors contain a status or an error code of Cloudflare."""
    text = (ROOT / "docs" / "logging.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| `error` \| (why a message .*) \|$", text, re.MULTILINE)
    errors = {
        error
        for file in (ROOT / "src").rglob("*.py")
        for error in re.findall(r'DeliveryFailed\("(\w+)"', file.read_text(encoding="utf-8"))
    }
    assert errors == set(re.findall(r"`(\w+)`", row)) - {"status_"}


def sqlproxy_events() -> Iterator[tuple[str, set[str]]]:
    """Yield the name and the fields of each event that sqlproxy logs."""
    for file in (ROOT / "sqlproxy").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) or node.func.attr != "event":
                continue
            name = node.args[1]
            assert isinstance(name, ast.Constant), f"{file}:{node.lineno}"
            yield str(name.value), {str(keyword.arg) for keyword in node.keywords}


def test_sqlproxys_events_and_fields_are_documented() -> None:
    """The formatter adds the common fields, and those of exceptions and throttled events."""
    events = list(sqlproxy_events())
    assert set(documented("sqlproxy", "event")) == {name for name, _ in events}
    common = {"time", "level", "logger", "event", "error", "trace", "suppressed"}
    assert set(documented("sqlproxy", "field")) == common.union(*(fields for _, fields in events))


def test_sqlproxys_reasons_are_documented() -> None:
    """A database error is logged with its SQLSTATE instead of a reason. `PoolBusy` has one of two reasons."""
    reasons = {error.reason for error in _subclasses(sqlproxy.errors.RequestError)} - {"database"}
    assert set(documented("sqlproxy", "reason")) == reasons | {"queue_full", "wait_timeout"}
    assert {"queue_full", "wait_timeout"} <= string_literals("sqlproxy")


def _subclasses(root: type[sqlproxy.errors.RequestError]) -> Iterator[type[sqlproxy.errors.RequestError]]:
    for each in root.__subclasses__():
        yield each
        yield from _subclasses(each)


def test_the_services_of_make_dev_are_documented() -> None:
    """In the output of `make dev`, each line of a service begins with the service's name."""
    text = (ROOT / "devstack" / "stack" / "stack.py").read_text(encoding="utf-8")
    names = set(re.findall(r'self\._add_service\("(\w+)"', text))
    assert set(documented("make dev", "name")) == names


def test_the_queries_in_the_deployment_guide_use_existing_fields() -> None:
    """Each filter, group and percentile uses a documented field."""
    text = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| query \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    queries = [row.split("|")[1] for row in table.strip().splitlines()[2:]]
    used = {name for query in queries for name in re.findall(r"`([a-z_]+)(?: [=>]+ [^`]*)?`", query)}
    assert used
    assert used <= set(documented("Worker", "field"))
