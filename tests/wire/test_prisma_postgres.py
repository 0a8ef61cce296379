"""Requests and responses of Prisma Postgres' HTTP protocol, with HTTP mocked by respx."""

import json
import re
from collections.abc import AsyncIterator
from email import message_from_bytes

import httpx
import pytest
import respx
from pydantic import SecretStr

from signup.database.dialects.prisma_postgres import LONGEST_INLINE, PrismaPostgres
from signup.database.proxy import Rows
from signup.problems import DatabaseError, Misconfigured, Problem, ProxyBusy, ProxyTimeout, ProxyUnavailable
from tests.fakes import stock_http
from tests.wire.chain import exception_texts

pytestmark = pytest.mark.anyio
URL = "https://proxy.example/v0/statement?db=postgres"
COLUMNS = b'{"columns":[{"name":"a","typeOid":25}]}\n'
COMPLETE = b'{"complete":true}\n'


@pytest.fixture
async def proxy() -> AsyncIterator[PrismaPostgres]:
    """Return a `DataProxy` for Prisma Postgres."""
    async with stock_http() as http:
        yield PrismaPostgres(http, URL, SecretStr("canary"), SecretStr("key"))


async def execute(proxy: PrismaPostgres, response: httpx.Response | Exception | bytes) -> Rows:
    """Execute a statement while the server returns this response or content, or the request raises this exception."""
    if isinstance(response, bytes):
        response = httpx.Response(200, content=response)
    with respx.mock:
        respx.post(URL).mock(side_effect=[response])
        return await proxy.execute("SELECT $1", ("canary-value",))


async def send_statement(
    proxy: PrismaPostgres, *parameters: str | None
) -> tuple[httpx.Request, list[tuple[str, str, bytes]]]:
    """Execute a statement; return the request, and the name, media type and content of each part of its body."""
    with respx.mock:
        route = respx.post(URL).respond(content=COMPLETE)
        await proxy.execute("SELECT \u00e9", parameters)
    request = route.calls.last.request
    head = f"content-type: {request.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + request.content)
    assert message.is_multipart()
    assert not message.defects
    parts = []
    for part in message.walk():
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            parts.append((str(part.get_param("name", header="content-disposition")), part["content-type"], content))
    return request, parts


async def test_a_statement_is_one_multipart_post(proxy: PrismaPostgres) -> None:
    """The first part describes the statement and its parameters; the credentials are in a header."""
    request, [(name, media_type, content)] = await send_statement(proxy, "\U0001f980", None, "")
    assert request.headers["authorization"] == "Basic Y2FuYXJ5OmtleQ=="
    assert request.headers["content-type"].startswith('multipart/form-data; profile="urn:prisma:query"; boundary=')
    assert name == "urn:prisma:query:descriptor"
    assert media_type == 'application/json; profile="urn:prisma:query:descriptor"'
    values: list[object] = ["\U0001f980", None, ""]
    assert json.loads(content) == {
        "query": "SELECT \u00e9",
        "parameters": [{"type": "text", "value": value} for value in values],
    }


async def test_an_empty_list_of_parameters_is_omitted(proxy: PrismaPostgres) -> None:
    """Prisma's own client, npm's @prisma/ppg, does the same."""
    _, [(_, _, content)] = await send_statement(proxy)
    assert json.loads(content) == {"query": "SELECT \u00e9"}


async def test_long_parameters_have_their_own_parts(proxy: PrismaPostgres) -> None:
    """Parameters over 1,024 bytes of UTF-8 follow the descriptor, in order and unchanged."""
    short, long = "\u00e9" * (LONGEST_INLINE // 2), "\u00e9" * (LONGEST_INLINE // 2) + "x"
    lines = "--boundary\r\n\r\n\n" * 100
    _, [(_, _, descriptor), *parts] = await send_statement(proxy, long, short, None, lines)
    assert json.loads(descriptor)["parameters"] == [
        {"type": "text", "byteSize": LONGEST_INLINE + 1},
        {"type": "text", "value": short},
        {"type": "text", "value": None},
        {"type": "text", "byteSize": len(lines)},
    ]
    name_and_type = ("urn:prisma:query:param:text", 'text/plain; charset=utf-8; profile="urn:prisma:query:param:text"')
    assert parts == [(*name_and_type, long.encode()), (*name_and_type, lines.encode())]


async def test_boundaries_are_random(proxy: PrismaPostgres) -> None:
    """A value that contains a predictable boundary could end its part."""
    boundaries = {re.sub(".*boundary=", "", (await send_statement(proxy))[0].headers["content-type"]) for _ in range(3)}
    assert len(boundaries) == 3
    assert all(len(boundary) >= 32 for boundary in boundaries)


async def test_rows_are_returned_as_text(proxy: PrismaPostgres) -> None:
    """Rows are lists of text and None; empty lines, unknown lines and bytes after the end are ignored."""
    rows = b'{"values":["1",null]}\r\n\n{"values":["2","\xc3\xa9"]}\n{"notice":"canary-value"}\n'
    assert await execute(proxy, COLUMNS + rows + COMPLETE + b"garbage") == [["1", None], ["2", "\u00e9"]]
    assert await execute(proxy, COMPLETE.strip()) == []


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"\n", COLUMNS, COLUMNS + b'{"values":["1"]}\n', COLUMNS + b'{"values":["1"]}\n{"comp'),
        *(b'{"complete":false}\n', b'{"complete":1}\n', b'{"complete":"true"}\n'),
    ],
)
async def test_an_incomplete_stream_raises_proxy_unavailable(proxy: PrismaPostgres, content: bytes) -> None:
    """Without the line `complete`, the outcome is unknown."""
    with pytest.raises(ProxyUnavailable):
        await execute(proxy, content)


@pytest.mark.parametrize(
    "line",
    [
        *(b"{", b"[]", b"null", b"<html>canary-value</html>", b'{"values":{}}', b'{"values":[1]}', b'{"values":"a"}'),
        *(b'{"error":"canary-value"}', b'{"error":{}}', b'{"values":["\xff"]}'),
    ],
)
async def test_an_invalid_line_raises_proxy_unavailable(proxy: PrismaPostgres, line: bytes) -> None:
    """The response is invalid even if its last line is `complete`."""
    with pytest.raises(ProxyUnavailable):
        await execute(proxy, line + b"\n" + COMPLETE)


@pytest.mark.parametrize("before", [b"", COLUMNS, COLUMNS + b'{"values":["1"]}\n'])
@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("57014", ProxyTimeout),
        ("53300", ProxyBusy),
        ("57P01", ProxyUnavailable),
        ("28P01", Misconfigured),
        ("42P01", Misconfigured),
        ("23505", DatabaseError),
    ],
)
async def test_an_error_within_a_200_is_mapped_to_its_problem(
    proxy: PrismaPostgres, before: bytes, sqlstate: str, expected: type[Problem]
) -> None:
    """A database error is a line, which may follow rows. Its SQLSTATE is mapped as in every dialect."""
    error = {"message": "canary-value", "code": sqlstate, "detail": "canary-value", "constraint": "c"}
    with pytest.raises(Problem) as caught:
        await execute(proxy, before + json.dumps({"error": error}).encode() + b"\n" + COMPLETE)
    assert type(caught.value) is expected
    if isinstance(caught.value, DatabaseError):
        assert (caught.value.sqlstate, caught.value.constraint) == (sqlstate, "c")


async def test_an_error_without_sqlstate_raises_proxy_unavailable(proxy: PrismaPostgres) -> None:
    """Errors of the service itself have only a text, which is not parsed."""
    with pytest.raises(ProxyUnavailable, match="upstream_error"):
        await execute(proxy, b'{"error":{"message":"canary-value"}}\n')


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((204, ProxyUnavailable), (307, ProxyUnavailable), (400, ProxyUnavailable), (401, Misconfigured)),
        *((403, Misconfigured), (404, Misconfigured), (429, ProxyBusy), (500, ProxyUnavailable)),
        *((503, ProxyUnavailable), (504, ProxyTimeout)),
    ],
)
async def test_a_status_is_mapped_to_its_problem(proxy: PrismaPostgres, status: int, expected: type[Problem]) -> None:
    """The body is ignored, even if it is valid."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, httpx.Response(status, content=COLUMNS + COMPLETE))
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    "response",
    [
        b'{"values":["canary-value"]}\n',
        b'{"values":"canary-value"}\n',
        b'{"error":{"message":"canary-value","code":"23505","detail":"canary-value"}}\n',
        b'{"error":{"message":"canary-value","code":"canary-value"}}\n',
        httpx.Response(401, content=b"canary-key"),
        httpx.Response(500, content=b"canary-value"),
        httpx.ConnectError("canary-value"),
    ],
)
async def test_no_problem_quotes_a_request_or_response(
    proxy: PrismaPostgres, response: httpx.Response | Exception | bytes
) -> None:
    """The text, members and causes of a problem contain no values or credentials."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, response)
    assert "canary" not in exception_texts(caught.value)
