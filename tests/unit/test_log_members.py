"""docs/deploy.md lists the fields of the log, which queries and alerts use."""

import re
from pathlib import Path

import pytest

from signup.problems import DatabaseError, Misconfigured
from tests.fakes import Client

GUIDE = Path(__file__).parents[2] / "docs" / "deploy.md"

pytestmark = pytest.mark.anyio


def documented_fields() -> set[str]:
    """Return the fields in the guide's table."""
    text = GUIDE.read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| member \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    return {name for row in table.strip().splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}


async def test_the_guide_lists_all_fields_of_the_log() -> None:
    """The table matches the log of requests with every outcome."""
    logged = set[str]()
    problems = (DatabaseError("23514", constraint="c"), Misconfigured("X", "is wrong"), RuntimeError("mistake"))
    for outcome in problems:
        client = Client(outcome)
        await client.request()
        logged |= {name for line in client.log() for name in line}
    # Cloudflare provides these two.
    assert logged | {"country", "colo"} == documented_fields()


async def test_the_queries_use_existing_fields() -> None:
    """Each filter, group and percentile of the guide names a field of the table."""
    text = GUIDE.read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| query \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    queries = [row.split("|")[1] for row in table.strip().splitlines()[2:]]
    used = {name for query in queries for name in re.findall(r"`([a-z_]+)(?: [=>]+ [^`]*)?`", query)}
    assert used
    assert used <= documented_fields()
