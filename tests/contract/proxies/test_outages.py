"""Over every dialect, no sign-up is reported as done that is not there, and what went wrong has the same name."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from devstack.postgres.server import free_port
from signup.registration.user_store import SIGN_UP
from tests.contract.proxies.cases import LATE, Failure, expected, outcome
from tests.contract.proxies.counterparts import NAMES
from tests.fakes import stored

if TYPE_CHECKING:
    import psycopg

    from devstack.postgres.server import Postgres
    from tests.contract.proxies.counterparts import Counterpart

pytestmark = pytest.mark.anyio
USER = (*stored(name="Ada", email="ada@example.com"), "x", "00" * 32)
# PGlite, which `prisma dev` has, serves one connection at a time: nobody else can lock a table, or end a connection.
OWN_DATABASE = ("prisma dev",)
before_postgres = pytest.mark.parametrize(
    "counterpart", [name for name in NAMES if name not in OWN_DATABASE], indirect=True
)


async def test_a_wrong_key(counterpart: Counterpart) -> None:
    """A key, token or password that is not accepted is a setting that is wrong."""
    async with counterpart.proxy(key="another-canary-key-of-this-length") as proxy:
        assert await outcome(proxy, "SELECT 1") == Failure("Misconfigured")


async def test_nobody_listens(counterpart: Counterpart) -> None:
    """A proxy that is not there is unavailable."""
    async with counterpart.proxy(address=f"http://127.0.0.1:{free_port()}") as proxy:
        assert await outcome(proxy, "SELECT 1") == Failure("ProxyUnavailable")


async def test_our_own_deadline(counterpart: Counterpart) -> None:
    """We do not wait longer for an answer than our own setting says."""
    async with counterpart.proxy(deadline=0.3) as proxy:
        assert await outcome(proxy, "SELECT 1 FROM pg_sleep(0.8)") == Failure("ProxyTimeout")
    async with counterpart.proxy() as proxy:
        assert await outcome(proxy, "SELECT 1") == [["1"]]


@before_postgres
async def test_a_sign_up_that_is_too_slow(counterpart: Counterpart, users: psycopg.Connection) -> None:
    """Past the counterpart's own limit the outcome is unknown; the user may be there, if only at an executor."""
    async with counterpart.proxy() as proxy:
        with users.transaction():
            users.execute('LOCK TABLE "User"')
            assert await outcome(proxy, SIGN_UP, USER) == Failure("ProxyTimeout")
        # What was not cancelled goes on the moment that the lock is gone.
        await asyncio.sleep(0.3)
        assert await outcome(proxy, 'SELECT count(*) FROM "User"') == expected(LATE, counterpart.name)


async def test_the_database_goes_away_and_comes_back(every: dict[str, Counterpart], pg: Postgres) -> None:
    """Without its database a proxy is unavailable, and works again with no help when the database is back."""
    counterparts = [each for name, each in every.items() if name not in OWN_DATABASE]

    async def tried(counterpart: Counterpart) -> object:
        async with counterpart.proxy() as proxy:
            return await outcome(proxy, "SELECT 1")

    async def recovered(counterpart: Counterpart) -> object:
        deadline = time.monotonic() + 10
        while (result := await tried(counterpart)) != [["1"]] and time.monotonic() < deadline:
            assert result == Failure("ProxyUnavailable")
            await asyncio.sleep(0.1)
        return result

    pg.stop()
    try:
        down = await asyncio.gather(*map(tried, counterparts))
    finally:
        pg.start()
    assert down == [Failure("ProxyUnavailable")] * len(counterparts)
    assert await asyncio.gather(*map(recovered, counterparts)) == [[["1"]]] * len(counterparts)


@before_postgres
async def test_a_connection_that_is_cut_under_its_statement(counterpart: Counterpart) -> None:
    """The statement's fate is unknown, and the next one has a new connection."""
    async with counterpart.proxy() as proxy:
        assert await outcome(proxy, "SELECT pg_terminate_backend(pg_backend_pid())") == Failure("ProxyUnavailable")
        assert await outcome(proxy, "SELECT 1") == [["1"]]


@pytest.mark.usefixtures("users")
async def test_an_answer_that_is_cut_short(counterpart: Counterpart) -> None:
    """The counterpart's own answer, ended after any byte but its last in a way that HTTP does not notice, is none."""
    whole = await recorded(counterpart)
    body = whole.content.rstrip()
    for length in range(len(body) + 1):
        answer = httpx.Response(whole.status_code, headers=end_to_end(whole), content=body[:length])
        async with counterpart.proxy(transport=httpx.MockTransport(lambda _, answer=answer: answer)) as proxy:
            result = await outcome(proxy, SIGN_UP, USER)
        if length == len(body):
            assert isinstance(result, list)
        else:
            assert result == Failure("ProxyUnavailable"), body[:length]


@pytest.mark.usefixtures("users")
async def test_a_connection_that_ends_in_the_middle_of_an_answer(counterpart: Counterpart) -> None:
    """Fewer bytes than were announced are no answer."""
    whole = await recorded(counterpart)

    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(whole.content)}\r\n\r\n"
        writer.write(head.encode() + whole.content[:-1])
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        async with counterpart.proxy(address=f"http://127.0.0.1:{port}") as proxy:
            assert await outcome(proxy, SIGN_UP, USER) == Failure("ProxyUnavailable")


async def recorded(counterpart: Counterpart) -> httpx.Response:
    """Return the counterpart's answer to a sign-up."""
    answers: list[httpx.Response] = []

    class Recorder(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            answer = await stock.handle_async_request(request)
            await answer.aread()
            answers.append(answer)
            return answer

    stock = counterpart.transport()
    async with counterpart.proxy(transport=Recorder()) as proxy:
        assert isinstance(await outcome(proxy, SIGN_UP, USER), list)
    await stock.aclose()
    [answer] = answers
    return answer


def end_to_end(answer: httpx.Response) -> dict[str, str]:
    """Return an answer's headers without those about its transfer."""
    return {
        name: value for name, value in answer.headers.items() if name not in ("content-length", "transfer-encoding")
    }
