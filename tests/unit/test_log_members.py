"""docs/deploy.md lists the members of the log's lines: queries and alerts are built on them."""

import re
from pathlib import Path

import pytest

from signup.problems import DatabaseError, Misconfigured
from tests.fakes import Client

GUIDE = Path(__file__).parents[2] / "docs" / "deploy.md"

pytestmark = pytest.mark.anyio


def listed() -> set[str]:
    """Return the members that the guide's table has."""
    text = GUIDE.read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| member \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    return {name for row in table.strip().splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}


async def test_the_guide_lists_the_members_of_the_log() -> None:
    """What requests of every outcome log is what the guide's table lists, all of it and no more."""
    logged = set[str]()
    problems = (DatabaseError("23514", constraint="c"), Misconfigured("X", "is wrong"), RuntimeError("mistake"))
    for outcome in problems:
        client = Client(outcome)
        await client.request()
        logged |= {name for line in client.log() for name in line}
    # These come from Cloudflare, which tests/e2e has in its place.
    assert logged | {"country", "colo"} == listed()


async def test_the_queries_use_members_that_there_are() -> None:
    """Each filter, group and percentile of the guide names a member of that table."""
    text = GUIDE.read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| query \|.*?\n\n", text, re.MULTILINE | re.DOTALL)
    queries = [row.split("|")[1] for row in table.strip().splitlines()[2:]]
    used = {name for query in queries for name in re.findall(r"`([a-z_]+)(?: [=>]+ [^`]*)?`", query)}
    assert used
    assert used <= listed()
