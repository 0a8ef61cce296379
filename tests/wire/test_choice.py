"""The endpoint and the credentials for each form of DATABASE_URL except `hyperdrive:`, and URLs that are refused."""

import re
from base64 import b64decode
from datetime import UTC, datetime

import httpx
import pytest
import respx
from pydantic import SecretStr

from signup.database.dialects.choose import choose
from signup.problems import Misconfigured
from tests.fakes import Warnings, stock_http

pytestmark = pytest.mark.anyio

PRISMA_POSTGRES = "postgres://id:canary%2Fkey@db.prisma.io:5432/postgres?sslmode=require"
HOSTED = "prisma://accelerate.prisma-data.net/?api_key=canary"
NEON = "postgres://user:canary%2Fpw@ep-name-123-pooler.eu-central-1.aws.neon.tech/neondb?sslmode=require"

PLANETSCALE = "postgresql://user.b1:canary%2Fpw@eu-west-2.pg.psdb.cloud:5432/db?sslmode=verify-full&sslrootcert=system"
XATA = "postgresql://xata:canary%2Fpw@b1.us-east-1.xata.tech/db?sslmode=require"
# Before the end of hosted Accelerate.
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC).timestamp()


async def request_for(url: str) -> httpx.Request:
    """Execute a statement with this DATABASE_URL; return the HTTP request. The response is valid in every dialect."""
    response = {"rows": [], "data": {"types": [], "rows": []}, "complete": True}
    with respx.mock:
        route = respx.post().respond(json=response)
        async with stock_http() as http:
            await choose(SecretStr(url), http, Warnings(), lambda: NOVEMBER).execute("SELECT 1")
        return route.calls.last.request


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("sql+https://token@proxy.example.com/", "https://proxy.example.com/sql"),
        ("sql+https://token@proxy.example.com", "https://proxy.example.com/sql"),
        ("sql+https://token@proxy.example.com:8443/pool/", "https://proxy.example.com:8443/pool/sql"),
        ("SQL+HTTPS://token@proxy.example.com/", "https://proxy.example.com/sql"),
        ("sql+http://token@127.0.0.1:4444/", "http://127.0.0.1:4444/sql"),
        ("sql+http://token@127.8.9.1:4444/", "http://127.8.9.1:4444/sql"),
        ("sql+http://token@localhost:4444/", "http://localhost:4444/sql"),
        ("sql+http://token@[::1]:4444/", "http://[::1]:4444/sql"),
    ],
)
async def test_a_sqlproxy_url_selects_its_endpoint_and_token(url: str, endpoint: str) -> None:
    """The endpoint is /sql below the URL's path, over plain HTTP for `sql+http`. The token is a bearer token."""
    request = await request_for(url)
    assert (str(request.url), request.headers["authorization"]) == (endpoint, "Bearer token")
    assert "neon-connection-string" not in request.headers


async def test_a_token_is_percent_decoded() -> None:
    """Reserved characters are escaped in the URL, but not in the header."""
    request = await request_for("sql+https://a%2Fb%40c%3A@proxy.example.com/")
    assert request.headers["authorization"] == "Bearer a/b@c:"


@pytest.mark.parametrize("url", [NEON, NEON.replace("postgres:", "postgresql:"), NEON.replace("-pooler", "")])
async def test_a_neon_url_selects_the_api_host_of_its_region(url: str) -> None:
    """The endpoint of direct and pooled hosts is the `api.` host of their region. A header contains the whole URL."""
    request = await request_for(url)
    assert str(request.url) == "https://api.eu-central-1.aws.neon.tech/sql"
    assert request.headers["neon-connection-string"] == url
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (PLANETSCALE, "https://eu-west-2.pg.psdb.cloud/sql"),
        (PLANETSCALE.replace(":5432", ":6432"), "https://eu-west-2.pg.psdb.cloud/sql"),
        (PLANETSCALE.replace("eu-west-2", "aws-eu-central-1-1"), "https://aws-eu-central-1-1.pg.psdb.cloud/sql"),
        (XATA, "https://b1.us-east-1.xata.tech/sql"),
        (XATA.replace("b1.", "b1-pooler."), "https://b1-pooler.us-east-1.xata.tech/sql"),
        (XATA.replace("b1.", "b1-rw."), "https://b1-rw.us-east-1.xata.tech/sql"),
    ],
)
async def test_a_planetscale_or_xata_url_selects_its_own_host(url: str, endpoint: str) -> None:
    """The endpoint is /sql on the same host, over https and without the port. A header contains the whole URL."""
    request = await request_for(url)
    assert str(request.url) == endpoint
    assert request.headers["neon-connection-string"] == url
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        (PRISMA_POSTGRES, "https://db.prisma.io/v0/statement?db=postgres"),
        (PRISMA_POSTGRES.replace("postgres:", "postgresql:"), "https://db.prisma.io/v0/statement?db=postgres"),
        (PRISMA_POSTGRES.replace("@", "@pooled."), "https://db.prisma.io/v0/statement?db=postgres"),
        (PRISMA_POSTGRES.replace("db.prisma.io", "DB.prisma.io."), "https://db.prisma.io/v0/statement?db=postgres"),
        (PRISMA_POSTGRES.replace("/postgres?", "/?"), "https://db.prisma.io/v0/statement"),
        (PRISMA_POSTGRES.replace("/postgres?", "?"), "https://db.prisma.io/v0/statement"),
        (PRISMA_POSTGRES.replace("/postgres?", "/a%26b?"), "https://db.prisma.io/v0/statement?db=a%26b"),
    ],
)
async def test_a_prisma_postgres_url_selects_the_direct_host(url: str, endpoint: str) -> None:
    """Direct and pooled URLs use the direct host over https, without the port; the ID and the key are decoded."""
    request = await request_for(url)
    assert str(request.url) == endpoint
    assert b64decode(request.headers["authorization"].removeprefix("Basic ")) == b"id:canary/key"


@pytest.mark.parametrize(
    ("url", "endpoint", "engine"),
    [
        (HOSTED, "https://accelerate.prisma-data.net/query", "7.10.0"),
        (HOSTED.replace("prisma:", "prisma+postgres:"), "https://accelerate.prisma-data.net/query", "7.10.0"),
        ("prisma+postgres://executor.example.com?api_key=canary", "https://executor.example.com/query", "7.10.0"),
        ("prisma://executor.example.com:8443/a/?api_key=canary", "https://executor.example.com:8443/a/query", "7.10.0"),
        ("prisma+postgres://localhost:51213/?api_key=canary", "http://localhost:51213/query", "0.0.0"),
        ("prisma://127.0.0.1:51213/?api_key=canary", "http://127.0.0.1:51213/query", "0.0.0"),
        ("prisma+postgres://[::1]:51213/?api_key=c%61nary", "http://[::1]:51213/query", "0.0.0"),
    ],
)
async def test_an_accelerate_url_selects_its_endpoint_and_key(url: str, endpoint: str, engine: str) -> None:
    """The key is a bearer token. Loopback URLs, such as those of `prisma dev`, use http and engine version 0.0.0."""
    request = await request_for(url)
    assert str(request.url) == endpoint
    assert request.headers["authorization"] == "Bearer canary"
    assert request.headers["prisma-engine-hash"] == engine


@pytest.mark.parametrize(
    ("url", "has_notice"),
    [
        *((HOSTED, True), (HOSTED.replace("prisma:", "prisma+postgres:"), True)),
        *(("prisma+postgres://localhost:51213/?api_key=canary", False), (PRISMA_POSTGRES, False), (NEON, False)),
        *(("prisma://accelerate.prisma-data.net.example.com/?api_key=canary", False),),
    ],
)
async def test_hosted_accelerate_logs_a_notice(url: str, has_notice: bool) -> None:
    """The notice states the end of the service and two alternatives, without the URL. Other URLs cause no notice."""
    warnings = Warnings()
    async with stock_http() as http:
        choose(SecretStr(url), http, warnings, lambda: NOVEMBER)
    assert [line["event"] for line in warnings.lines] == ["data_proxy_retired"] * has_notice
    if has_notice:
        assert re.search("DATABASE_URL .* 2026-12-01.*db.prisma.io.*sqlproxy", str(warnings.lines[0]["reason"]))
        assert "canary" not in str(warnings.lines)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("canary", "not a plain URL"),
        ("https://", "not a URL"),
        ("sql+https://canary@/", "not a URL"),
        ("sql+https://canary@host:port/", "not a URL"),
        ("sql+https://canary@host:99999/", "not a URL"),
        ("sql+https://canary@[::1/", "not a URL"),
        ("sql+https://canary@ho st/", "not a URL: percent-encode"),
        ("sql+https://can\nary@host/", "not a URL: percent-encode"),
        ("postgres://user:canary\u00fc@ep-x.neon.tech/db", "not a URL: percent-encode"),
        (f"sql+https://canary@{'a' * 70}.example.com/", "labels have 1 to 63"),
        (f"sql+https://canary@{'a.' * 127}example/", "valid host"),
        ("sql+https://canary@xn--zz-canary/", "not a URL"),
        ("sql+https://canary@host..example/", "valid host"),
        ("sql+https://canary@-host.example/", "valid host"),
        ("sql+https://canary@ho%73t/", "valid host"),
        ("sql+https://canary@256.0.0.1/", "not a URL"),
        ("sql+https://canary@0x7f.1/", "valid host"),
        ("sql+https://canary@example.1/", "valid host"),
        ("sql+https://canary@[fe80::1%25eth0]/", "not a URL"),
        ("sql+https://canary@[v1.a]/", "not a URL"),
        ("sql+https://canary\ud800@host/", "not a URL: percent-encode"),
        ("sql+https://canary%FF@host/", "not UTF-8"),
        ("postgres://id:canary%ED%A0%80@db.prisma.io/postgres", "not UTF-8"),
        ("postgres://user:canary@ep-x.neon.tech/d%80b", "not UTF-8"),
        ("prisma+postgres://localhost:51213/?api_key=canary%C3", "not UTF-8"),
        (
            "mysql://user:canary@host/db",
            "are sql.https://TOKEN@host/, postgres:.*neon.tech.*, postgres:.*db.prisma.io.*, prisma:.*, prisma",
        ),
        ("postgres://user:canary@db.example.com/db", "unknown form"),
        ("postgres://user:canary@evilneon.tech/db", "unknown form"),
        ("postgres://user:canary@ep-x.neon.tech.example.com/db", "unknown form"),
        ("https://canary@proxy.example.com/", "unknown form"),
        ("postgres://id:canary@evildb.prisma.io/postgres", "unknown form"),
        ("postgres://id:canary@db.prisma.io.example.com/postgres", "unknown form"),
        ("postgres://id:canary@other.db.prisma.io/postgres", "needs an id, a key and Prisma's host"),
        ("postgres://canary@db.prisma.io/postgres", "needs an id"),
        ("postgres://:canary@db.prisma.io/postgres", "needs an id"),
        ("prisma+postgres://localhost:51213/?apikey=canary", "needs one API key"),
        ("prisma+postgres://localhost:51213/?api_key=", "needs one API key"),
        ("prisma+postgres://localhost:51213/?api_key=canary&api_key=canary", "a parameter twice"),
        ("prisma+postgres://localhost:51213/?api_key=can%0aary", "needs one API key"),
        ("prisma+postgres://localhost:51213/?api_key=can%C3%BCary", "needs one API key"),
        ("prisma+postgres://canary@localhost:51213/?api_key=canary", "more than an API key"),
        ("sql+https://proxy.example.com/", "needs a token"),
        ("sql+https://user:canary@proxy.example.com/", "needs a token"),
        ("sql+https://can%0aary@proxy.example.com/", "needs a token"),
        ("sql+http://canary@proxy.example.com/", "unencrypted"),
        ("sql+http://canary@10.0.0.1/", "unencrypted"),
        ("sql+http://canary@localhost.example.com/", "unencrypted"),
        ("postgres://user@ep-x.neon.tech/db", "needs a user"),
        ("postgres://user:canary@ep-x.neon.tech/", "needs a user"),
        ("postgres://user:canary@neon.tech/db", "needs a user"),
        ("postgres://user:canary@pg.psdb.cloud/db", "needs a user"),
        ("postgres://user@eu-west-2.pg.psdb.cloud/db", "needs a user"),
        ("postgres://user.b1|replica:canary@eu-west-2.pg.psdb.cloud/db", "points to a replica"),
        ("postgres://user:canary@eu-west-2.psdb.cloud/db", "unknown form"),
        ("postgres://user:canary@api.xata.tech/db", "needs a user"),
        ("postgres://user:canary@b1.eu.west.xata.tech/db", "needs a user"),
        ("postgres://user:canary@b1-r.us-east-1.xata.tech/db", "points to a replica"),
        ("postgres://workspace:canary@us-east-1.sql.xata.sh/db", "unknown form"),
    ],
)
async def test_an_unusable_url_raises_misconfigured(url: str, reason: str) -> None:
    """The message names the setting and the reason, and does not quote the URL."""
    async with stock_http() as http:
        with pytest.raises(Misconfigured, match=reason) as caught:
            choose(SecretStr(url), http, Warnings())
    assert caught.value.setting == "DATABASE_URL"
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None
