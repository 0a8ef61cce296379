"""Outages cause the same `Problem` in every dialect, and no sign-up is confirmed unless it was stored."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from devstack.postgres.server import free_port
from signup.registration.user_store import SIGN_UP
from tests.contract.proxies.cases import LATE, Failure, expected, outcome
from tests.contract.proxies.counterparts import HTTP, NAMES
from tests.fakes import stored

if TYPE_CHECKING:
    import psycopg

    from devstack.postgres.server import Postgres
    from tests.contract.proxies.counterparts import Counterpart

pytestmark = pytest.mark.anyio
USER = (*stored(name="Ada", email="ada@example.com"), "x", "00" * 32)
# The connections of `prisma dev` share the only session of PGlite, so a test cannot lock a table or end a connection.
OWN_DATABASE = ("prisma dev",)
# Without `planetscale`, which has the same server as `neon`.
with_shared_postgres = pytest.mark.parametrize(
    "counterpart", [name for name in NAMES if name not in (*OWN_DATABASE, "planetscale")], indirect=True
)
over_http = pytest.mark.parametrize("counterpart", HTTP, indirect=True)


async def test_a_wrong_credential_causes_misconfigured(counterpart: Counterpart) -> None:
    """The credential may be an API key, a token or a password."""
    async with counterpart.proxy(key="another-canary-key-of-this-length") as proxy:
        assert await outcome(proxy, "SELECT 1") == Failure("Misconfigured")


async def test_a_closed_port_causes_proxy_unavailable(counterpart: Counterpart) -> None:
    """Nothing listens on the port, so the connection is refused."""
    async with counterpart.proxy(address=f"http://127.0.0.1:{free_port()}") as proxy:
        assert await outcome(proxy, "SELECT 1") == Failure("ProxyUnavailable")


async def test_a_slow_response_causes_proxy_timeout(counterpart: Counterpart) -> None:
    """The Worker's timeout limits the wait, and the next statement succeeds."""
    async with counterpart.proxy(deadline=0.3) as proxy:
        assert await outcome(proxy, "SELECT 1 FROM pg_sleep(0.8)") == Failure("ProxyTimeout")
    async with counterpart.proxy() as proxy:
        assert await outcome(proxy, "SELECT 1") == [["1"]]


@with_shared_postgres
async def test_a_statement_timeout_causes_proxy_timeout(counterpart: Counterpart, users: psycopg.Connection) -> None:
    """The outcome is unknown: Prisma's executor stores the user after the timeout, and the other servers do not."""
    async with counterpart.proxy() as proxy:
        with users.transaction():
            users.execute('LOCK TABLE "User"')
            assert await outcome(proxy, SIGN_UP, USER) == Failure("ProxyTimeout")
        # A statement that was not cancelled continues when the lock is released.
        await asyncio.sleep(0.3)
        assert await outcome(proxy, 'SELECT count(*) FROM "User"') == expected(LATE, counterpart.name)


async def test_a_stopped_database_causes_proxy_unavailable_until_it_restarts(
    all_counterparts: dict[str, Counterpart], pg: Postgres
) -> None:
    """The servers in front of this database recover without a restart."""
    counterparts = [each for name, each in all_counterparts.items() if name not in OWN_DATABASE]

    async def attempt(counterpart: Counterpart) -> object:
        async with counterpart.proxy() as proxy:
            return await outcome(proxy, "SELECT 1")

    async def wait_for_recovery(counterpart: Counterpart) -> object:
        deadline = time.monotonic() + 10
        while (result := await attempt(counterpart)) != [["1"]] and time.monotonic() < deadline:
            assert result == Failure("ProxyUnavailable")
            await asyncio.sleep(0.1)
        return result

    pg.stop()
    try:
        outcomes = await asyncio.gather(*map(attempt, counterparts))
    finally:
        pg.start()
    assert outcomes == [Failure("ProxyUnavailable")] * len(counterparts)
    assert await asyncio.gather(*map(wait_for_recovery, counterparts)) == [[["1"]]] * len(counterparts)


@with_shared_postgres
async def test_a_terminated_connection_causes_proxy_unavailable(counterpart: Counterpart) -> None:
    """The outcome is unknown; the next statement gets a new connection."""
    async with counterpart.proxy() as proxy:
        assert await outcome(proxy, "SELECT pg_terminate_backend(pg_backend_pid())") == Failure("ProxyUnavailable")
        assert await outcome(proxy, "SELECT 1") == [["1"]]


@over_http
@pytest.mark.usefixtures("users")
async def test_a_truncated_response_causes_proxy_unavailable(counterpart: Counterpart) -> None:
    """The body is truncated at each length, and content-length is the truncated length."""
    recorded = await record_response(counterpart)
    body = recorded.content.rstrip()
    for length in range(len(body) + 1):
        response = httpx.Response(
            recorded.status_code, headers=headers_without_framing(recorded), content=body[:length]
        )
        async with counterpart.proxy(transport=httpx.MockTransport(lambda _, response=response: response)) as proxy:
            result = await outcome(proxy, SIGN_UP, USER)
        if length == len(body):
            assert isinstance(result, list)
        else:
            assert result == Failure("ProxyUnavailable"), body[:length]


@over_http
@pytest.mark.usefixtures("users")
async def test_a_connection_closed_during_the_response_causes_proxy_unavailable(counterpart: Counterpart) -> None:
    """The server closes the connection one byte before the end that content-length announces."""
    recorded = await record_response(counterpart)

    async def truncate(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(recorded.content)}\r\n\r\n"
        writer.write(head.encode() + recorded.content[:-1])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(truncate, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with counterpart.proxy(address=f"http://127.0.0.1:{port}") as proxy:
            assert await outcome(proxy, SIGN_UP, USER) == Failure("ProxyUnavailable")


async def record_response(counterpart: Counterpart) -> httpx.Response:
    """Return the server's response to a sign-up."""
    responses: list[httpx.Response] = []

    class Recorder(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            response = await real_transport.handle_async_request(request)
            await response.aread()
            responses.append(response)
            return response

    real_transport = counterpart.transport()
    async with counterpart.proxy(transport=Recorder()) as proxy:
        assert isinstance(await outcome(proxy, SIGN_UP, USER), list)
    await real_transport.aclose()
    [response] = responses
    return response


def headers_without_framing(response: httpx.Response) -> dict[str, str]:
    """Return the headers of a response without content-length and transfer-encoding."""
    return {
        name: value for name, value in response.headers.items() if name not in ("content-length", "transfer-encoding")
    }
