"""Compare the requests and results of the dialects with those of the reference clients.

The clients are npm's @neondatabase/serverless, @prisma/ppg, and @prisma/client with the project's schema.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import TYPE_CHECKING, Any, NamedTuple

import httpx
import pytest
from pydantic import SecretStr

from signup.database.dialects.choose import choose
from signup.http_client import Http
from signup.problems import EmailTaken
from tests.contract.proxies.cases import CASES, PLANES
from tests.contract.proxies.counterparts import HERE, KEY, NODE, ROOT, add
from tests.fakes import Warnings

if TYPE_CHECKING:
    from pathlib import Path

    import psycopg

    from tests.contract.proxies.counterparts import Counterpart

pytestmark = pytest.mark.anyio
CLIENT = ROOT / ".local" / "prisma-client" / "client.ts"
STATEMENT = ("SELECT $1::text, $2::text, $3::text", ("\u00e9'\"\\\u2028\U0001f980\n", None, "\u00e9" * 1000))
# Headers that depend on the HTTP library.
LIBRARY_HEADERS = {
    *("accept-encoding", "accept-language", "connection", "content-length", "host", "sec-fetch-mode"),
    *("transfer-encoding", "user-agent"),
}


class HeaderDifference(NamedTuple):
    """A header that differs from that of the reference client, and the reason why this does not matter."""

    dialect: str
    header: str
    ours: str | None
    theirs: str | None
    reason: str


# Hosts with Neon's protocol, each with a connection string as its console shows it.
NEON_HOSTS = {
    "neon": f"postgres://user:{KEY}@ep-x-1.eu.aws.neon.tech/db?sslmode=require&channel_binding=require",
    "planetscale": f"postgresql://user.b1:{KEY}@eu-west-2.pg.psdb.cloud:5432/db?sslmode=verify-full",
    "xata": f"postgresql://xata:{KEY}@b1.us-east-1.xata.tech/db?sslmode=require",
}
APPLICATION = "application_name=pkg%3Anpm%2F%2540neondatabase%2Fserverless%401.2.0"

HEADER_DIFFERENCES = (
    *(
        HeaderDifference(
            *(name, "content-type", "application/json", "text/plain;charset=UTF-8"),
            reason="fetch's default for text; the body is JSON nevertheless",
        )
        for name in NEON_HOSTS
    ),
    *(
        HeaderDifference(
            *(name, "neon-connection-string", url, f"{url.replace('postgres:', 'postgresql:')}&{APPLICATION}"),
            reason="the driver sets application_name; both schemes are equivalent",
        )
        for name, url in NEON_HOSTS.items()
    ),
    HeaderDifference(
        *("prisma", "prisma-engine-version", None, "0edf323efd1d98336f3f0a68684b56f689b900d3"),
        reason="the engine's commit, which no server reads",
    ),
    HeaderDifference(
        *("prisma", "x-capture-telemetry", None, "error"),
        reason="requests the executor's log lines in the response",
    ),
)


def run_node(script: str, arguments: object, **environ: str) -> Any:
    """Run a script with JSON on its standard input; return the JSON that it prints."""
    # Without this option Node warns that it has to guess the module type of the generated client.
    command = [NODE, "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", str(HERE / script)]
    done = subprocess.run(
        command, input=json.dumps(arguments), env={**os.environ, **environ}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="session")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Generate Prisma Client from the project's schema without network access; return the path of its main file."""
    command = [NODE, str(ROOT / "node_modules" / "prisma" / "build" / "index.js"), "generate"]
    xdg_folder = str(tmp_path_factory.mktemp("prisma"))
    environ = {
        # Without this setting Prisma downloads an engine, although `generate` does not run it.
        "PRISMA_SCHEMA_ENGINE_BINARY": NODE,
        "CHECKPOINT_DISABLE": "1",
        "XDG_CACHE_HOME": xdg_folder,
        "XDG_CONFIG_HOME": xdg_folder,
    }
    done = subprocess.run(
        [*command, "--schema", str(ROOT / "prisma" / "schema.prisma")],
        cwd=ROOT,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return CLIENT


def _camel_case(column: str) -> str:
    """Return the name that the column has in schema.prisma."""
    return re.sub("_(.)", lambda letter: letter[1].upper(), column)


async def our_request(url: str) -> tuple[str, tuple[str, dict[str, str], str]]:
    """Return the URL of the Worker's request for `STATEMENT`, and the request's path, headers and body."""
    requests = []

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={"rows": [], "complete": True, "data": {"types": [], "rows": []}})

    http = Http(httpx.MockTransport(respond), 5)
    await choose(SecretStr(url), http, Warnings()).execute(*STATEMENT)
    [request] = requests
    return str(request.url), (request.url.raw_path.decode(), dict(request.headers), request.content.decode())


def with_fixed_boundary(path: str, headers: dict[str, str], body: str) -> tuple[str, dict[str, str], str]:
    """Replace the random multipart boundary of a request."""
    _, _, boundary = headers["content-type"].partition("boundary=")
    if not boundary:
        return path, headers, body
    content_type = headers["content-type"].replace(boundary, "BOUNDARY")
    return path, headers | {"content-type": content_type}, body.replace(boundary, "BOUNDARY")


async def test_our_requests_match_those_of_the_reference_clients(generated: Path) -> None:
    """URL and body are identical, and so are the headers, except for those of the HTTP library and listed differences.

    Prisma's clients send their requests to a local server, so only the paths of their URLs are compared.
    """
    sql, parameters = STATEMENT
    arguments = {"client": str(generated), "sql": sql, "parameters": parameters, "key": KEY, "urls": NEON_HOSTS}
    theirs = run_node("references.mjs", arguments)
    urls = NEON_HOSTS | {
        "ppg": f"postgres://id:{KEY}@db.prisma.io:5432/db?sslmode=require",
        "prisma": f"prisma+postgres://executor.example.com/?api_key={KEY}",
    }
    differences = set()
    for dialect, url in urls.items():
        address, request = await our_request(url)
        assert theirs[dialect].pop("url", address) == address
        path, headers, body = with_fixed_boundary(*request)
        their_path, their_headers, their_body = with_fixed_boundary(*theirs[dialect].values())
        assert (path, body) == (their_path, their_body)
        for name in (headers.keys() | their_headers.keys()) - LIBRARY_HEADERS:
            if headers.get(name) != their_headers.get(name):
                differences.add((dialect, name, headers.get(name), their_headers.get(name)))
    assert differences == {each[:4] for each in HEADER_DIFFERENCES}
    assert all(each.reason for each in HEADER_DIFFERENCES)


@pytest.mark.usefixtures("pg_users")
async def test_the_fake_of_prisma_postgres_works_with_the_reference_client(
    all_counterparts: dict[str, Counterpart],
) -> None:
    """The reference client gets the expected rows and SQLSTATEs from the fake, and 401 with a wrong key."""
    counterpart = all_counterparts["prisma postgres"]
    arguments = {"endpoint": counterpart.address, "username": "id", "password": KEY, "database": "postgres"}
    statements = [(case.statement, case.parameters) for case in CASES.values()]
    theirs = run_node("ppg.mjs", arguments | {"statements": statements})
    for (name, case), outcome in zip(CASES.items(), theirs, strict=True):
        if isinstance(case.outcome, list):
            assert outcome == case.outcome, name
        elif case.outcome.sqlstate:
            assert outcome == {"code": case.outcome.sqlstate} | (
                {"constraint": case.outcome.constraint} if case.outcome.constraint else {}
            ), name
        elif name != "2 MB response":
            assert re.fullmatch("[0-9A-Z]{5}", outcome["code"]), name
    [refused] = run_node("ppg.mjs", arguments | {"password": "wrong", "statements": [("SELECT 1", [])]})
    assert refused == {"status": 401}


async def test_prisma_client_reads_and_writes_the_same_table(
    generated: Path, all_counterparts: dict[str, Counterpart], pg_users: psycopg.Connection
) -> None:
    """Prisma Client reads the users that were added over the dialects.

    A sign-up with the address of a user that Prisma Client created is refused.
    """
    names = [name for name, each in all_counterparts.items() if each.database == all_counterparts["executor"].database]
    for name in names:
        async with all_counterparts[name].proxy() as proxy:
            await add(proxy, PLANES, f"{name}@example.com", "x" * 2000)
    create = {"name": "Grace", "email": "grace@example.com", "password": "y"}
    result = run_node(
        "prisma_client.mjs", {"client": str(generated), "url": all_counterparts["executor"].url, "create": create}
    )
    rows = pg_users.execute("""
        SELECT to_jsonb(u) || jsonb_build_object(
            'created_at', to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'),
            'idempotency_key', encode(idempotency_key, 'hex')
        ) FROM "User" u WHERE name <> 'Grace' ORDER BY id
    """).fetchall()
    assert result["users"] == [{_camel_case(name): value for name, value in row.items()} for (row,) in rows]
    assert [user["email"] for user in result["users"][1:]] == [f"{name}@example.com" for name in names]
    assert result["created"] | create == result["created"]
    assert result["code"] == "P2002"
    async with all_counterparts["executor"].proxy() as proxy:
        with pytest.raises(EmailTaken):
            await add(proxy, "Eve", "grace@example.com", "z")
