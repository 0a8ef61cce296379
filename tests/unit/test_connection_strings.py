"""How each program handles the connection strings that users paste; docs/connection-strings.md has the same rows."""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
from pydantic import SecretStr

from devstack.postgres import dburl
from signup.database.dialects.choose import FORMS, Form, choose
from signup.http_client import Http
from signup.problems import Misconfigured
from signup.settings import Settings
from sqlproxy.errors import SettingError
from sqlproxy.operations.settings import read
from tests.fakes import Warnings

pytestmark = pytest.mark.anyio

PAGE = Path(__file__).parents[2] / "docs" / "connection-strings.md"
NEON = "postgres://user:password@ep-x.eu.aws.neon.tech/db"
ANY = "postgres://user:password@db.example.com/app"
PARTS = {"user": "user", "password": "password", "host": "db.example.com", "dbname": "app"}
SYSTEM = {"sslmode": "verify-full", "sslrootcert": ssl.get_default_verify_paths().cafile or "system"}
# Before and after hosted Accelerate's end on 2026-12-01, 00:00 UTC.
BEFORE, AFTER = 1_796_083_199.0, 1_796_083_200.0


class Row(NamedTuple):
    """A connection string, and how each program handles it; `refused: ` is followed by a pattern of the reason.

    Args:
        pasted: the URL, or a parameter that is appended to a URL.
        worker: the connection string that the data proxy gets, or the proxy's endpoint; None for the unchanged string.
        sqlproxy: the libpq parameters that differ from `PARTS`.
        migrate: the libpq parameters that differ from `PARTS`, and Prisma's `schema`.
    """

    pasted: str
    worker: str | None
    sqlproxy: str | dict[str, str]
    migrate: str | dict[str, str]


REFUSED = "refused: "
HTTPS = f"{REFUSED}.*only over https"
HTTP_PROXY = f"{REFUSED}needs a postgres:// URL of the database itself"
ENCODE = f"{REFUSED}.*percent-encode"
POOLER = f"{REFUSED}points to a connection pooler"


def pool(flag: str, worker: str | None, name: str) -> Row:
    """Return the row of a parameter of Prisma's pool, for which sqlproxy has a flag."""
    return Row(f"?{name}=5", worker, f"{REFUSED}has a {name}, .*: {flag}", {})


ROWS = [
    # Hosts.
    Row(
        "postgresql://user:password@ep-x.eu.aws.neon.tech/db",
        None,
        {"host": "ep-x.eu.aws.neon.tech", "dbname": "db"},
        {"host": "ep-x.eu.aws.neon.tech", "dbname": "db"},
    ),
    Row(
        "postgres://user:password@ep-x-pooler.eu.aws.neon.tech/db",
        None,
        {"host": "ep-x-pooler.eu.aws.neon.tech", "dbname": "db"},
        POOLER,
    ),
    Row(
        "postgres://user:password@eu-west-2.pg.psdb.cloud:5432/db",
        None,
        {"host": "eu-west-2.pg.psdb.cloud", "port": "5432", "dbname": "db"},
        {"host": "eu-west-2.pg.psdb.cloud", "port": "5432", "dbname": "db"},
    ),
    Row(
        "postgres://user:password@eu-west-2.pg.psdb.cloud:6432/db",
        None,
        {"host": "eu-west-2.pg.psdb.cloud", "port": "6432", "dbname": "db"},
        POOLER,
    ),
    Row(
        "postgres://user%7Creplica:password@eu-west-2.pg.psdb.cloud/db",
        f"{REFUSED}points to a replica",
        {"user": "user|replica", "host": "eu-west-2.pg.psdb.cloud", "dbname": "db"},
        {"user": "user|replica", "host": "eu-west-2.pg.psdb.cloud", "dbname": "db"},
    ),
    Row(
        "postgres://user:password@branch.us-east-1.xata.tech/db",
        None,
        {"host": "branch.us-east-1.xata.tech", "dbname": "db"},
        {"host": "branch.us-east-1.xata.tech", "dbname": "db"},
    ),
    Row(
        "postgres://user:password@branch-ro.us-east-1.xata.tech/db",
        f"{REFUSED}points to a replica",
        {"host": "branch-ro.us-east-1.xata.tech", "dbname": "db"},
        {"host": "branch-ro.us-east-1.xata.tech", "dbname": "db"},
    ),
    Row(
        "postgres://ID:KEY@db.prisma.io:5432/postgres",
        "https://db.prisma.io/v0/statement?db=postgres",
        {"user": "ID", "password": "KEY", "host": "db.prisma.io", "port": "5432", "dbname": "postgres"},
        {"user": "ID", "password": "KEY", "host": "db.prisma.io", "port": "5432", "dbname": "postgres"},
    ),
    Row(
        "postgres://user:password@db.example.com/app",
        f"{REFUSED}has an unknown form; .*reached through sqlproxy",
        {},
        {},
    ),
    Row("sql+https://TOKEN@proxy.example.com/", "https://proxy.example.com/sql", HTTP_PROXY, HTTP_PROXY),
    Row("sql+https://TOKEN@proxy.example.com/?sslmode=require", f"{REFUSED}has parameters", HTTP_PROXY, HTTP_PROXY),
    Row(
        "prisma+postgres://executor.example.com/?api_key=KEY",
        "https://executor.example.com/query",
        HTTP_PROXY,
        HTTP_PROXY,
    ),
    Row(
        "prisma+postgres://executor.example.com/?api_key=KEY&schema=app",
        f"{REFUSED}has more than an API key",
        HTTP_PROXY,
        HTTP_PROXY,
    ),
    Row(
        "prisma://accelerate.prisma-data.net/?api_key=KEY",
        f"{REFUSED}.*2026-12-01\\)\\. Use",
        HTTP_PROXY,
        HTTP_PROXY,
    ),
    Row(
        "prisma+postgres://accelerate.prisma-data.net/?api_key=KEY",
        f"{REFUSED}.*2026-12-01\\)\\. Use",
        HTTP_PROXY,
        HTTP_PROXY,
    ),
    # Encryption.
    Row("?sslmode=require", None, {"sslmode": "require"}, {"sslmode": "require"}),
    Row("?sslmode=verify-full", None, SYSTEM, SYSTEM),
    Row("?sslmode=verify-full&sslrootcert=system", None, SYSTEM, SYSTEM),
    Row(
        "?sslmode=verify-ca",
        None,
        f"{REFUSED}.*add it, or write verify-full",
        f"{REFUSED}.*add it, or write verify-full",
    ),
    Row("?sslmode=disable", HTTPS, f"{REFUSED}.*write sslmode=require", f"{REFUSED}.*write sslmode=require"),
    Row(
        "?sslmode=no-verify",
        HTTPS,
        f"{REFUSED}has a sslmode that is not one of",
        f"{REFUSED}has a sslmode that is not one of",
    ),
    Row("?ssl=true", None, {"sslmode": "require"}, {"sslmode": "require"}),
    Row("?sslmode=verify-full&ssl=true", None, SYSTEM, SYSTEM),
    Row("?sslmode=prefer&ssl=true", None, {"sslmode": "require"}, {"sslmode": "require"}),
    Row("?ssl=false", HTTPS, f"{REFUSED}.*write sslmode", f"{REFUSED}.*write sslmode"),
    Row("?sslaccept=strict", None, SYSTEM, SYSTEM),
    Row(
        "?sslcert=client.pem", f"{REFUSED}.*a Worker has no files", {"sslcert": "client.pem"}, {"sslcert": "client.pem"}
    ),
    Row("?channel_binding=require", None, {"channel_binding": "require"}, {"channel_binding": "require"}),
    # Pools.
    Row("?pgbouncer=true", None, {}, POOLER),
    pool("use --pool-size", None, "connection_limit"),
    pool("use --wait-timeout", None, "pool_timeout"),
    pool("use --statement-timeout", f"{REFUSED}.*use PROXY_TIMEOUT", "socket_timeout"),
    pool("use --prepare-threshold", None, "statement_cache_size"),
    pool("use --max-lifetime", f"{REFUSED}has the parameter max_connection_lifetime", "max_connection_lifetime"),
    Row("?connect_timeout=10", None, {"connect_timeout": "10"}, {"connect_timeout": "10"}),
    Row("?application_name=app", None, {"application_name": "app"}, {"application_name": "app"}),
    # Schemas and servers.
    Row("?schema=public", None, {}, {}),
    Row(
        "?schema=app",
        f"{REFUSED}.*in the schema public",
        f"{REFUSED}.*write options=-csearch_path%3DNAME",
        {"schema": "app"},
    ),
    Row(
        "?search_path=app",
        f"{REFUSED}.*in the schema public",
        f"{REFUSED}.*write schema=NAME",
        f"{REFUSED}.*write schema=NAME",
    ),
    Row(
        "?options=-csearch_path%3Dapp",
        f"{REFUSED}.*has no session",
        {"options": "-csearch_path=app"},
        {"options": "-csearch_path=app"},
    ),
    Row("?options=endpoint%3Dep-x", None, {"options": "endpoint=ep-x"}, {"options": "endpoint=ep-x"}),
    Row(
        "?options=endpoint%3Dep-other",
        f"{REFUSED}.*has no session",
        {"options": "endpoint=ep-other"},
        {"options": "endpoint=ep-other"},
    ),
    Row(
        "?target_session_attrs=read-write",
        None,
        {"target_session_attrs": "read-write"},
        {"target_session_attrs": "read-write"},
    ),
    Row(
        "?target_session_attrs=read-only",
        f"{REFUSED}.*a writable server",
        {"target_session_attrs": "read-only"},
        {"target_session_attrs": "read-only"},
    ),
    Row(
        "postgres://user:password@one.example.com:5432,two.example.com:5433/app",
        f"{REFUSED}names several hosts",
        {"host": "one.example.com,two.example.com", "port": "5432,5433"},
        {"host": "one.example.com,two.example.com", "port": "5432,5433"},
    ),
    Row(
        "?host=db2.example.com",
        f"{REFUSED}.*before the question mark",
        {"host": "db2.example.com"},
        {"host": "db2.example.com"},
    ),
    Row(
        "?sslmode=require&sslmode=disable",
        f"{REFUSED}has a parameter twice",
        f"{REFUSED}has a parameter twice",
        f"{REFUSED}has a parameter twice",
    ),
    Row(
        "?frobnicate=1",
        f"{REFUSED}has the parameter frobnicate",
        f"{REFUSED}has unknown parameters: frobnicate",
        f"{REFUSED}has unknown parameters: frobnicate",
    ),
    # Spelling.
    Row(
        '"postgres://user:password@ep-x.eu.aws.neon.tech/db"',
        NEON,
        {"host": "ep-x.eu.aws.neon.tech", "dbname": "db"},
        {"host": "ep-x.eu.aws.neon.tech", "dbname": "db"},
    ),
    Row(
        "postgres://user:password@ep-x.eu.aws.neon.tech/db\\n",
        NEON,
        {"host": "ep-x.eu.aws.neon.tech", "dbname": "db"},
        {"host": "ep-x.eu.aws.neon.tech", "dbname": "db"},
    ),
    Row(
        "psql 'postgres://user:password@ep-x.eu.aws.neon.tech/db'",
        f"{REFUSED}is not a plain URL",
        HTTP_PROXY,
        HTTP_PROXY,
    ),
    Row(
        "host=db.example.com user=user password=password dbname=app",
        f"{REFUSED}is not a plain URL",
        {},
        f"{REFUSED}needs a postgres:// URL",
    ),
    Row("jdbc:postgresql://db.example.com/app", f"{REFUSED}is not a plain URL", HTTP_PROXY, HTTP_PROXY),
    # Passwords.
    Row(
        "postgres://user:p%40ss%2F@ep-x.eu.aws.neon.tech/db",
        None,
        {"password": "p@ss/", "host": "ep-x.eu.aws.neon.tech", "dbname": "db"},
        {"password": "p@ss/", "host": "ep-x.eu.aws.neon.tech", "dbname": "db"},
    ),
    Row(
        "postgres://user:p@ss@ep-x.eu.aws.neon.tech/db",
        "postgres://user:p%40ss@ep-x.eu.aws.neon.tech/db",
        ENCODE,
        ENCODE,
    ),
    Row(
        "postgres://user:p:[^]@ep-x.eu.aws.neon.tech/db",
        "postgres://user:p%3A%5B%5E%5D@ep-x.eu.aws.neon.tech/db",
        {"password": "p:[^]", "host": "ep-x.eu.aws.neon.tech", "dbname": "db"},
        {"password": "p:[^]", "host": "ep-x.eu.aws.neon.tech", "dbname": "db"},
    ),
    Row("postgres://user:p/ss@ep-x.eu.aws.neon.tech/db", ENCODE, ENCODE, ENCODE),
    Row(
        "postgres://user:p?s#s@ep-x.eu.aws.neon.tech/db",
        ENCODE,
        {"password": "p?s#s", "host": "ep-x.eu.aws.neon.tech", "dbname": "db"},
        {"password": "p?s#s", "host": "ep-x.eu.aws.neon.tech", "dbname": "db"},
    ),
    Row(
        "postgres://user:100%ss@ep-x.eu.aws.neon.tech/db",
        f"{REFUSED}.*write it as %25",
        f"{REFUSED}.*write it as %25",
        f"{REFUSED}.*write it as %25",
    ),
]


def url_of(pasted: str, base: str) -> str:
    """Return the URL of a row."""
    return f"{base}{pasted}" if pasted.startswith("?") else pasted.replace("\\n", "\n")


def refusal(outcome: str | dict[str, str] | None) -> str | None:
    """Return the expected reason of a refusal, or None if the string is accepted."""
    return outcome.removeprefix(REFUSED) if isinstance(outcome, str) and outcome.startswith(REFUSED) else None


async def send_statement(url: str, clock: float) -> tuple[str, str]:
    """Send a statement as the Worker does; return the endpoint and the connection string (or "") of its request."""
    requests = []

    def respond(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(200, json={"rows": [], "complete": True, "data": {"types": [], "rows": []}})

    settings = Settings.from_bindings({"DATABASE_URL": url}.get, lambda: clock)
    http = Http(httpx.MockTransport(respond), 5)
    await choose(settings.database_url, http, Warnings(), lambda: clock).execute("SELECT 1")
    [request] = requests
    return str(request.url), request.headers.get("neon-connection-string", "")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.pasted)
async def test_the_worker_accepts_or_refuses_a_string(row: Row) -> None:
    """The Worker uses the string for its data proxy, or refuses it for the row's reason."""
    url = url_of(row.pasted, NEON)
    if (reason := refusal(row.worker)) is not None:
        with pytest.raises(Misconfigured, match=f"DATABASE_URL {reason}"):
            await send_statement(url, AFTER)
        return
    endpoint, connection_string = await send_statement(url, AFTER)
    assert (row.worker or url) in (endpoint, connection_string)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.pasted)
def test_sqlproxy_accepts_or_refuses_a_string(row: Row, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The string becomes the row's libpq parameters, or is refused for the row's reason."""
    monkeypatch.setenv("HOME", str(tmp_path))
    environ = {"SQLPROXY_DATABASE_URL": url_of(row.pasted, ANY), "SQLPROXY_TOKEN": "t" * 16}
    if (reason := refusal(row.sqlproxy)) is not None:
        with pytest.raises(SettingError, match=f"SQLPROXY_DATABASE_URL {reason}"):
            read({}, environ)
        return
    assert isinstance(row.sqlproxy, dict)
    assert read({}, environ).conninfo == PARTS | row.sqlproxy


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.pasted)
def test_make_migrate_accepts_or_refuses_a_string(row: Row, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The string becomes the row's libpq parameters, or is refused for the row's reason."""
    monkeypatch.setenv("HOME", str(tmp_path))
    if (reason := refusal(row.migrate)) is not None:
        with pytest.raises(dburl.UrlError, match=reason):
            dburl.parse(url_of(row.pasted, ANY))
        return
    assert isinstance(row.migrate, dict)
    target = dburl.parse(url_of(row.pasted, ANY))
    schema = {} if target.schema == "public" else {"schema": target.schema}
    assert {**target.parameters, **schema} == PARTS | row.migrate


def test_the_document_has_the_same_rows() -> None:
    """docs/connection-strings.md lists each string, with `refused` where it is refused."""
    lines = [line.strip("| \n").split(" | ") for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    outcomes = {cells[0].strip("`"): [cell.split()[0].strip(",:") for cell in cells[1:4]] for cells in lines}
    expected = {
        row.pasted: ["refused" if refusal(each) is not None else "accepted" for each in row[1:]] for row in ROWS
    }
    assert list(outcomes) == list(expected)
    assert outcomes == expected


@pytest.mark.parametrize("form", [form for form in FORMS if form.parse], ids=lambda form: form.example)
def test_each_data_proxy_has_a_row(form: Form) -> None:
    """A row has a string with the scheme and the host of the data proxy."""
    schemes = "|".join(map(re.escape, form.schemes))
    assert any(re.match(f"({schemes})://.*{re.escape(form.host)}[:/]", row.pasted) for row in ROWS)


def test_pgbouncer_turns_prepared_statements_off() -> None:
    """A pooler in transaction mode may use another session for each transaction."""
    environ = {"SQLPROXY_DATABASE_URL": f"{ANY}?pgbouncer=true", "SQLPROXY_TOKEN": "t" * 16}
    assert read({"prepare_threshold": "5"}, environ).prepare_threshold == 0


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "[::1]", "10.0.0.5", "db", "db.local", "pg.internal", "%2Ftmp"]
)
def test_a_private_host_may_be_reached_without_encryption(host: str) -> None:
    """Private hosts are sockets, this machine, and hosts in a private network."""
    assert dburl.parse(f"postgres://user:password@{host}/app?sslmode=disable").parameters["sslmode"] == "disable"


@pytest.mark.parametrize(
    "url", ["postgres://u:p@8.8.8.8/d", "postgres://u:p@localhost,db.example.com/d", "host=db.example.com"]
)
def test_a_public_host_needs_encryption(url: str) -> None:
    """Encryption is also required if one of several hosts is public, and in libpq's key-value format."""
    separator = "?" if "://" in url else " "
    with pytest.raises(SettingError, match="sslmode=disable and a public host"):
        read({}, {"SQLPROXY_DATABASE_URL": f"{url}{separator}sslmode=disable", "SQLPROXY_TOKEN": "t" * 16})


def test_configured_root_certificates_are_kept(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The connection string, PGSSLROOTCERT or libpq's default file may configure root certificates."""
    url = f"{ANY}?sslmode=verify-full"
    assert dburl.parse(f"{url}&sslrootcert=ca.pem").parameters["sslrootcert"] == "ca.pem"
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".postgresql").mkdir()
    (tmp_path / ".postgresql" / "root.crt").touch()
    assert "sslrootcert" not in dburl.parse(url).parameters
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setenv("PGSSLROOTCERT", "ca.pem")
    assert "sslrootcert" not in dburl.parse(url).parameters


@pytest.mark.parametrize("scheme", ["prisma", "prisma+postgres"])
async def test_hosted_accelerate_ends_on_2026_12_01(scheme: str) -> None:
    """Before that date, the URL works with a warning. Then it is refused, and the error names the alternatives."""
    url = f"{scheme}://accelerate.prisma-data.net/?api_key=canary"
    warnings = Warnings()
    assert (await send_statement(url, BEFORE))[0] == "https://accelerate.prisma-data.net/query"
    choose(SecretStr(url), Http(httpx.MockTransport(lambda _: httpx.Response(200)), 5), warnings, lambda: BEFORE)
    assert [line["event"] for line in warnings.lines] == ["data_proxy_retired"]
    with pytest.raises(Misconfigured) as caught:
        Settings.from_bindings({"DATABASE_URL": url}.get, lambda: AFTER)
    reason = str(warnings.lines[0]["reason"])
    assert str(caught.value) == reason
    for words in ("retired on 2026-12-01", "postgres://ID:KEY@db.prisma.io", "sqlproxy"):
        assert words in reason
    assert "canary" not in reason


@pytest.mark.parametrize(
    "url", ["prisma+postgres://localhost:51213/?api_key=canary", "prisma://executor.example.com/?api_key=canary"]
)
async def test_the_accelerate_protocol_is_still_supported(url: str) -> None:
    """`prisma dev` and query plan executors use the Accelerate protocol."""
    assert (await send_statement(url, AFTER))[0].endswith("/query")
