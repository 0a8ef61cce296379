"""Connections over Hyperdrive: authentication, failures, and the end of the connection after each exchange."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest
from psycopg import sql

from signup.problems import Misconfigured
from signup.registration.user_store import SIGN_UP
from tests.contract.proxies.cases import Failure, outcome
from tests.contract.proxies.counterparts import KEY
from tests.contract.proxies.hyperdrive import LOGIN, HyperdriveProxy
from tests.contract.proxies.test_outages import USER
from tests.contract.sqlproxy.relay import Relay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.postgres.server import Postgres
    from tests.contract.proxies.counterparts import Counterpart

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("pg_users")]
# Postgres' responses in one exchange, from authentication to the row, have more bytes than this.
SHORTEST_ANSWERS = 700
TOO_MANY_ITERATIONS = (
    "HYPERDRIVE has a login that this runtime cannot authenticate: store its password as md5, or as "
    "SCRAM-SHA-256 with at most 100,000 iterations (set scram_iterations, then run ALTER ROLE … PASSWORD again)"
)


@pytest.fixture
def hyperdrive(all_counterparts: dict[str, Counterpart]) -> Counterpart:
    """Return the server of the dialect `hyperdrive`."""
    return all_counterparts["hyperdrive"]


@pytest.fixture
def relay(pg: Postgres) -> Iterator[Relay]:
    """Run a relay in front of Postgres."""
    with Relay(pg.port) as running:
        yield running


def address(relay: Relay) -> str:
    """Return the relay's address as a URL."""
    return f"http://127.0.0.1:{relay.port}"


def wait_for_connections(pg: Postgres, number: int) -> None:
    """Wait until the login has this number of connections."""
    deadline = time.monotonic() + 10
    with psycopg.connect(pg.url(), autocommit=True) as db:
        query = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s"
        while db.execute(query, [LOGIN]).fetchone() != (number,):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize(
    ("statement", "result"),
    [
        ("SELECT 1", [["1"]]),
        ("SELECT 1 / 0", Failure("DatabaseError", "22012")),
        ("SELECT repeat('x', 2000000)", Failure("ProxyUnavailable")),
        ("SELECT pg_sleep(30)", Failure("ProxyTimeout")),
    ],
    ids=["success", "error", "too large", "timeout"],
)
async def test_each_exchange_closes_its_connection(
    hyperdrive: Counterpart, pg: Postgres, statement: str, result: object
) -> None:
    """The login's statement timeout cancels a statement that still runs in Postgres after the exchange."""
    async with hyperdrive.proxy(deadline=0.5) as proxy:
        assert await outcome(proxy, statement) == result
    wait_for_connections(pg, 0)


@pytest.mark.parametrize("statement", ["SELECT 1", "SELECT 1 / 0", "SELECT repeat('x', 2000000)"])
async def test_connections_are_closed_before_the_request_ends(hyperdrive: Counterpart, statement: str) -> None:
    """An open connection would count toward workerd's limit of six connections per request until the request ends."""
    async with httpx.AsyncClient(base_url=hyperdrive.url, timeout=60) as client:
        proxy = HyperdriveProxy(client, 15, {}, first=(*[statement] * 4, "SELECT pg_sleep(0.3)"))
        ((count,),) = await proxy.execute("SELECT count(*) FROM pg_stat_activity WHERE usename = session_user")
    # The statement's own connection, and perhaps the previous one.
    assert count in ("1", "2")


async def test_a_silent_database_causes_proxy_timeout(hyperdrive: Counterpart, relay: Relay) -> None:
    """Postgres does not even respond to the start-up message. The connection is closed after the deadline."""
    relay.frozen = True
    async with hyperdrive.proxy(deadline=0.3, address=address(relay)) as proxy:
        start = time.monotonic()
        assert await outcome(proxy, "SELECT 1") == Failure("ProxyTimeout")
        assert time.monotonic() - start < 2
        relay.frozen = False
        deadline = time.monotonic() + 5
        while relay.connections:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.01)
        assert await outcome(proxy, "SELECT 1") == [["1"]]


async def test_a_truncated_response_causes_proxy_unavailable(hyperdrive: Counterpart, relay: Relay) -> None:
    """The connection is cut at various points, from the first byte of the responses to one near their end."""
    async with hyperdrive.proxy(address=address(relay)) as proxy:
        for length in (*range(1, SHORTEST_ANSWERS, 29), *range(SHORTEST_ANSWERS - 5, SHORTEST_ANSWERS)):
            relay.response_bytes_left = length
            assert await outcome(proxy, SIGN_UP, USER) == Failure("ProxyUnavailable"), length
        relay.response_bytes_left = None
        assert isinstance(await outcome(proxy, SIGN_UP, USER), list)


async def login(hyperdrive: Counterpart, **binding: str) -> object:
    """Return the rows of a statement with another login, or the reason of `Misconfigured`."""
    async with httpx.AsyncClient(base_url=hyperdrive.url, timeout=60) as client:
        try:
            return await HyperdriveProxy(client, 15, binding).execute("SELECT session_user")
        except Misconfigured as exc:
            return exc.reason


@pytest.mark.parametrize(
    ("encryption", "iterations", "result"),
    [
        ("md5", 4096, [["another"]]),
        ("scram-sha-256", 4096, [["another"]]),
        ("scram-sha-256", 100_000, [["another"]]),
        (
            "scram-sha-256",
            100_001,
            TOO_MANY_ITERATIONS,
        ),
    ],
)
async def test_md5_and_scram_are_supported(
    hyperdrive: Counterpart, pg: Postgres, encryption: str, iterations: int, result: object
) -> None:
    """SCRAM-SHA-256 may have up to 100,000 iterations, the limit of PBKDF2 in workerd.

    With more iterations, the error message describes the fix. A wrong password is reported too.
    """
    file = pg.data / "pg_hba.conf"
    original = file.read_text()
    with psycopg.connect(pg.url(), autocommit=True) as db:
        db.execute(sql.SQL("SET password_encryption = {}").format(encryption))
        db.execute(sql.SQL("SET scram_iterations = {}").format(iterations))
        db.execute(sql.SQL("CREATE ROLE another LOGIN PASSWORD {}").format(f"{KEY}\u00e9"))
        try:
            file.write_text(f"host all another 127.0.0.1/32 {encryption}\n{original}")
            db.execute("SELECT pg_reload_conf()")
            assert await login(hyperdrive, user="another", password=f"{KEY}\u00e9") == result
            refused = "HYPERDRIVE has a login or database name that the database refuses (SQLSTATE 28P01)"
            if isinstance(result, list):
                assert await login(hyperdrive, user="another", password="wrong") == refused
        finally:
            file.write_text(original)
            db.execute("SELECT pg_reload_conf()")
            db.execute("DROP ROLE another")


async def test_a_missing_driver_causes_misconfigured(hyperdrive: Counterpart) -> None:
    """The driver's module is not deployed; the message describes how to deploy it."""
    async with httpx.AsyncClient(base_url=hyperdrive.url, timeout=60) as client:
        with pytest.raises(Misconfigured, match=r"its driver is not deployed: add .* in wrangler\.toml"):
            await HyperdriveProxy(client, 15, {}, "./not-deployed.mjs").execute("SELECT 1")
        assert await HyperdriveProxy(client, 15, {}).execute("SELECT 1") == [["1"]]
