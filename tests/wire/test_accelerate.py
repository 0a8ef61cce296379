"""Requests and responses of Accelerate's protocol, with HTTP mocked by respx.

The server of this protocol is Prisma's query plan executor ("the executor").
"""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import respx
from pydantic import SecretStr

from signup.database.dialects.accelerate import Accelerate
from signup.database.proxy import Rows
from signup.problems import DatabaseError, Misconfigured, Problem, ProxyBusy, ProxyTimeout, ProxyUnavailable
from tests.fakes import stock_http
from tests.wire.chain import exception_texts

pytestmark = pytest.mark.anyio
URL = "https://proxy.example/query"


@pytest.fixture
async def proxy() -> AsyncIterator[Accelerate]:
    """Return a `DataProxy` for Accelerate's protocol."""
    async with stock_http() as http:
        yield Accelerate(http, URL, SecretStr("canary-key"), "1.2.3")


async def execute(proxy: Accelerate, response: httpx.Response | Exception) -> Rows:
    """Execute a statement while the server returns this response, or the request raises this exception."""
    with respx.mock:
        respx.post(URL).mock(side_effect=[response])
        return await proxy.execute("SELECT $1", ("canary-value",))


def result(types: list[str], *rows: list[Any]) -> httpx.Response:
    """Return a response with these column types and rows."""
    return httpx.Response(200, json={"data": {"columns": types, "types": types, "rows": rows}})


def error(code: str = "P2010", **cause: object) -> httpx.Response:
    """Return an error response of the executor; its texts quote values."""
    meta = {"driverAdapterError": {"name": "canary-value", "cause": {"originalMessage": "canary-value", **cause}}}
    return httpx.Response(400, json={"code": code, "error": "canary-value", "meta": meta if cause else None})


async def test_a_statement_is_one_post_with_a_raw_query(proxy: Accelerate) -> None:
    """Parameters are text or null, and the key is a bearer token."""
    with respx.mock:
        route = respx.post(URL).mock(return_value=result([]))
        await proxy.execute("SELECT $1, $2", ("\u00e9\U0001f980", None))
    request = route.calls.last.request
    types = [{"scalarType": name, "arity": "scalar"} for name in ("string", "unknown")]
    args = {"type": "rawSql", "sql": "SELECT $1, $2", "args": ["\u00e9\U0001f980", None], "argTypes": types}
    assert json.loads(request.content) == {
        "operation": "queryRaw",
        "plan": {"type": "query", "args": args},
        "params": {},
    }
    assert "\u00e9".encode() in request.content
    assert request.headers.items() >= {
        ("accept", "application/json"),
        ("content-type", "application/json"),
        ("authorization", "Bearer canary-key"),
        ("prisma-engine-hash", "1.2.3"),
    }


async def test_values_are_returned_as_text(proxy: Accelerate) -> None:
    """Numbers and booleans have the text format of Postgres; integers of any size keep every digit."""
    types = ["int", "bigint", "decimal", "bool", "bool", "string", "uuid", "enum", "string"]
    row = [-7, "9007199254740993", "1.50", True, False, "1", "u", "e", None]
    assert await execute(proxy, result(types, row)) == [
        ["-7", "9007199254740993", "1.50", "t", "f", "1", "u", "e", None]
    ]


@pytest.mark.parametrize(
    "type_name", ["double", "float", "datetime", "date", "time", "json", "bytes", "string-array", "new"]
)
async def test_a_type_without_exact_text_is_rejected(proxy: Accelerate, type_name: str) -> None:
    """The executor reformats the values of these types; `new` is unknown. A result without rows is rejected too."""
    with pytest.raises(ProxyUnavailable, match="unsupported_type"):
        await execute(proxy, result([type_name], ["canary-value"]))
    with pytest.raises(ProxyUnavailable, match="unsupported_type"):
        await execute(proxy, result([type_name]))


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"<html>canary-value</html>", b"{}", b'{"data":null}', b'{"data":{"rows":[]}}'),
        *(b'{"data":{"types":["int"],"rows":[[1]', b'{"data":{"types":["int"],"rows":[[1.5]]}}'),
        *(b'{"data":{"types":["int"],"rows":[[1,2]]}}', b'{"data":{"types":["string"],"rows":[["a"],[]]}}'),
        *(b'{"data":{"types":["string"],"rows":[{"a":"b"}]}}', b'{"code":"P2010","error":"canary-value"}'),
    ],
)
async def test_an_invalid_200_raises_proxy_unavailable(proxy: Accelerate, content: bytes) -> None:
    """A truncated or unexpected response is not a result."""
    with pytest.raises(ProxyUnavailable):
        await execute(proxy, httpx.Response(200, content=content))


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("57014", ProxyTimeout),
        ("53300", ProxyBusy),
        ("57P01", ProxyUnavailable),
        ("28P01", Misconfigured),
        ("42P01", Misconfigured),
        ("23514", DatabaseError),
    ],
)
async def test_a_sqlstate_is_mapped_to_its_problem(proxy: Accelerate, sqlstate: str, expected: type[Problem]) -> None:
    """Prisma's error contains the database error, which is mapped as in every dialect."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, error(kind="postgres", originalCode=sqlstate))
    assert type(caught.value) is expected
    assert caught.value.details.get("sqlstate") == sqlstate or sqlstate in caught.value.reason


@pytest.mark.parametrize(
    ("constraint", "name"),
    [({"index": "User_email_key"}, "User_email_key"), ({"fields": ["email"]}, ""), (None, "")],
)
async def test_the_violated_constraint_is_reported(proxy: Accelerate, constraint: object, name: str) -> None:
    """The name of the index is used if Prisma provides it."""
    with pytest.raises(DatabaseError) as caught:
        await execute(proxy, error(kind="UniqueConstraintViolation", originalCode="23505", constraint=constraint))
    assert (caught.value.sqlstate, caught.value.constraint) == ("23505", name)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("DatabaseNotReachable", ProxyUnavailable),
        ("ConnectionClosed", ProxyUnavailable),
        ("UnsupportedNativeDataType", ProxyUnavailable),
        ("SocketTimeout", ProxyTimeout),
        ("TooManyConnections", ProxyBusy),
        ("AuthenticationFailed", Misconfigured),
        ("DatabaseDoesNotExist", Misconfigured),
        ("DatabaseAccessDenied", Misconfigured),
    ],
)
async def test_an_error_without_a_sqlstate_is_mapped_to_its_problem(
    proxy: Accelerate, kind: str, expected: type[Problem]
) -> None:
    """The executor reports some errors with a kind instead of a SQLSTATE."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, error(kind=kind))
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        *(("P1000", Misconfigured), ("P1003", Misconfigured), ("P1010", Misconfigured), ("P6002", Misconfigured)),
        *(("P6003", Misconfigured), ("P6010", Misconfigured), ("P2024", ProxyBusy), ("P2037", ProxyBusy)),
        *(("P5011", ProxyBusy), ("P1008", ProxyTimeout), ("P6004", ProxyTimeout), ("P1001", ProxyUnavailable)),
        *(("P1017", ProxyUnavailable), ("P6008", ProxyUnavailable), ("P6009", ProxyUnavailable)),
    ],
)
async def test_a_prisma_code_is_mapped_to_its_problem(proxy: Accelerate, code: str, expected: type[Problem]) -> None:
    """Prisma's code is used if there is no database error. The problem contains the code for the log."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, error(code))
    assert type(caught.value) is expected
    assert caught.value.details.get("upstream_code") == code or code in caught.value.reason


async def test_a_query_timeout_raises_proxy_timeout(proxy: Accelerate) -> None:
    """The executor responds with 422 and keeps running the statement, so the outcome is unknown."""
    with pytest.raises(ProxyTimeout):
        await execute(proxy, httpx.Response(422, json={"error": "Query timeout exceeded"}))


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        *((307, ProxyUnavailable), (400, ProxyUnavailable), (401, Misconfigured), (403, Misconfigured)),
        *((404, Misconfigured), (409, ProxyUnavailable), (429, ProxyBusy), (500, ProxyUnavailable)),
        *((502, ProxyUnavailable), (504, ProxyTimeout)),
    ],
)
@pytest.mark.parametrize("content", [b"Invalid API Key canary-value", b'{"error":"canary-value"}', b""])
async def test_a_status_without_a_code_is_mapped_to_its_problem(
    proxy: Accelerate, status: int, expected: type[Problem], content: bytes
) -> None:
    """The body is ignored."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, httpx.Response(status, content=content))
    assert type(caught.value) is expected


@pytest.mark.parametrize(
    "response",
    [
        result(["int"], ["canary-value", "canary-value"]),
        httpx.Response(200, json={"data": "canary-value"}),
        error(kind="postgres", originalCode="23514", detail="canary-value"),
        error(kind="canary-value", originalCode="canary-value"),
        error(kind="canary-value"),
        error("canary-value"),
        httpx.Response(401, content=b"canary-key"),
        httpx.Response(422, content=b"canary-value"),
        httpx.ConnectError("canary-value"),
    ],
)
async def test_no_problem_quotes_a_request_or_response(proxy: Accelerate, response: httpx.Response | Exception) -> None:
    """The text, members and causes of a problem contain no values or credentials."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, response)
    assert "canary" not in exception_texts(caught.value)
