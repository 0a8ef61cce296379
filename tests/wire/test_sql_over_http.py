"""Requests and responses of Neon's SQL-over-HTTP protocol, with HTTP mocked by respx."""

import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
import respx
from pydantic import SecretStr

from signup.database.dialects.sql_over_http import SqlOverHttp
from signup.database.proxy import LONGEST_RETRY_AFTER
from signup.problems import (
    DatabaseError,
    Misconfigured,
    Problem,
    ProxyBusy,
    ProxyTimeout,
    ProxyUnavailable,
)
from tests.fakes import stock_http

pytestmark = pytest.mark.anyio
URL = "https://proxy.example/sql"


@pytest.fixture
async def proxy() -> AsyncIterator[SqlOverHttp]:
    """Return a `DataProxy` for Neon's protocol."""
    async with stock_http() as http:
        yield SqlOverHttp(http, URL, {"authorization": SecretStr("Bearer canary-token")})


async def execute(proxy: SqlOverHttp, response: httpx.Response | Exception) -> list[list[str | None]]:
    """Execute a statement while the server returns this response, or the request raises this exception."""
    with respx.mock:
        route = respx.post(URL)
        if isinstance(response, httpx.Response):
            route.mock(return_value=response)
        else:
            route.mock(side_effect=response)
        return await proxy.execute("SELECT $1", ("canary-value",))


async def test_a_statement_is_one_json_post(proxy: SqlOverHttp) -> None:
    """The headers request values as text and rows as arrays, and contain the credentials."""
    with respx.mock:
        route = respx.post(URL).respond(json={"rows": []})
        await proxy.execute("SELECT $1, $2", ("\u00e9\U0001f980", None))
    request = route.calls.last.request
    assert json.loads(request.content) == {"query": "SELECT $1, $2", "params": ["\u00e9\U0001f980", None]}
    assert "\u00e9".encode() in request.content
    assert request.headers.items() >= {
        ("content-type", "application/json"),
        ("neon-raw-text-output", "true"),
        ("neon-array-mode", "true"),
        ("authorization", "Bearer canary-token"),
    }


async def test_rows_are_returned_as_text(proxy: SqlOverHttp) -> None:
    """Rows are lists of text and None; other members are ignored."""
    rows = [["1", None], ["2", "b"]]
    response = {"fields": [{"name": "a"}], "rows": rows, "command": "SELECT", "rowCount": 2, "rowAsArray": True}
    assert await execute(proxy, httpx.Response(200, json=response)) == rows


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"<html>canary-value</html>", b"{}", b'{"rows":null}', b'{"rows":{}}'),
        *(b'{"rows":[["1"]', b'{"rows":[{"id":"1"}]}', b'{"rows":[[1]]}', b'{"message":"canary-value"}'),
    ],
)
async def test_an_invalid_200_raises_proxy_unavailable(proxy: SqlOverHttp, content: bytes) -> None:
    """A truncated or unexpected response is not a result."""
    with pytest.raises(ProxyUnavailable):
        await execute(proxy, httpx.Response(200, content=content))


@pytest.mark.parametrize(
    ("sqlstate", "expected"),
    [
        ("57014", ProxyTimeout),
        ("53300", ProxyBusy),
        ("08006", ProxyUnavailable),
        ("57P01", ProxyUnavailable),
        ("53100", ProxyUnavailable),
        ("40001", ProxyUnavailable),
        ("40P01", ProxyUnavailable),
        ("25006", ProxyUnavailable),
        ("28P01", Misconfigured),
        ("3D000", Misconfigured),
        ("42P01", Misconfigured),
        ("42703", Misconfigured),
        ("42883", Misconfigured),
        ("42501", Misconfigured),
        ("23514", DatabaseError),
        ("22021", DatabaseError),
        ("XX000", DatabaseError),
    ],
)
async def test_a_sqlstate_is_mapped_to_its_problem(proxy: SqlOverHttp, sqlstate: str, expected: type[Problem]) -> None:
    """The response to a database error is 400 with a SQLSTATE."""
    response = {"message": "canary-value", "code": sqlstate, "detail": "canary-value", "constraint": "c"}
    with pytest.raises(Problem) as caught:
        await execute(proxy, httpx.Response(400, json=response))
    assert type(caught.value) is expected
    if isinstance(caught.value, DatabaseError):
        assert (caught.value.sqlstate, caught.value.constraint) == (sqlstate, "c")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, ProxyUnavailable),
        (307, ProxyUnavailable),
        (400, ProxyUnavailable),
        (401, Misconfigured),
        (403, Misconfigured),
        (404, Misconfigured),
        (408, ProxyTimeout),
        (429, ProxyBusy),
        (500, ProxyUnavailable),
        (502, ProxyUnavailable),
        (503, ProxyUnavailable),
        (504, ProxyTimeout),
        (507, ProxyUnavailable),
        (204, ProxyUnavailable),
    ],
)
@pytest.mark.parametrize("content", [b"", b"<html>canary-value</html>", b'{"canary-value":"canary-value"}'])
async def test_a_status_without_a_database_error_is_mapped_to_its_problem(
    proxy: SqlOverHttp, status: int, expected: type[Problem], content: bytes
) -> None:
    """A gateway may send such a response; its body is ignored."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, httpx.Response(status, content=content))
    assert type(caught.value) is expected


@pytest.mark.parametrize("code", ["", None, "INVALID_HOST", "canary-value"])
async def test_a_400_without_sqlstate_raises_misconfigured(proxy: SqlOverHttp, code: str | None) -> None:
    """Neon sends no code for a wrong password or endpoint; Xata sends a word for an unknown branch."""
    with pytest.raises(Misconfigured):
        await execute(proxy, httpx.Response(400, json={"message": "canary-value", "code": code, "detail": None}))


async def test_a_statement_that_is_not_allowed_raises_misconfigured(proxy: SqlOverHttp) -> None:
    """403 with a SQLSTATE means that sqlproxy's allow-list lacks the statement."""
    with pytest.raises(Misconfigured, match="grants"):
        await execute(proxy, httpx.Response(403, json={"message": "canary-value", "code": "42501"}))


async def test_a_response_that_is_too_large_has_an_unknown_outcome(proxy: SqlOverHttp) -> None:
    """507 concerns only the response: the statement may have been executed."""
    with pytest.raises(ProxyUnavailable, match="response_too_large"):
        await execute(proxy, httpx.Response(507, json={"message": "too large", "code": "54000"}))


async def test_a_database_without_free_connections_raises_proxy_busy(proxy: SqlOverHttp) -> None:
    """Neon forwards the database's 53300 with status 500."""
    with pytest.raises(ProxyBusy):
        await execute(proxy, httpx.Response(500, json={"message": "canary-value", "code": "53300"}))


async def test_a_full_pool_raises_proxy_busy(proxy: SqlOverHttp) -> None:
    """503 with SQLSTATE 53300 means a full pool; its Retry-After is forwarded."""
    response = httpx.Response(503, json={"message": "full", "code": "53300"}, headers={"retry-after": "7"})
    with pytest.raises(ProxyBusy) as caught:
        await execute(proxy, response)
    assert caught.value.headers() == {"retry-after": "7"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0", 1), ("9" * 5000, LONGEST_RETRY_AFTER), ("soon", 2), ("-5", 2), ("\u00b2", 2), ("", 2)],
)
async def test_retry_after_is_limited(proxy: SqlOverHttp, value: str, seconds: int) -> None:
    """The seconds are limited to the range from 1 to 60. An invalid value becomes 2."""
    response = httpx.Response(503, headers=[(b"retry-after", value.encode("latin-1"))])
    with pytest.raises(ProxyUnavailable) as caught:
        await execute(proxy, response)
    assert caught.value.retry_after == seconds


def subclasses(root: type[Exception]) -> list[type[Exception]]:
    """Return a class and all its subclasses."""
    return [root, *(below for child in root.__subclasses__() for below in subclasses(child))]


# Without HTTPStatusError, which only `raise_for_status` raises.
HTTPX_EXCEPTIONS = [
    each for each in (*subclasses(httpx.HTTPError), httpx.InvalidURL) if not issubclass(each, httpx.HTTPStatusError)
]


@pytest.mark.parametrize("exception", HTTPX_EXCEPTIONS)
async def test_every_exception_of_httpx_is_translated(proxy: SqlOverHttp, exception: type[Exception]) -> None:
    """Timeouts become `ProxyTimeout`, and all other exceptions become `ProxyUnavailable`. The cause is kept."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, exception("canary-token"))
    expected = ProxyTimeout if issubclass(exception, httpx.TimeoutException) else ProxyUnavailable
    assert type(caught.value) is expected
    assert isinstance(caught.value.__cause__, exception)


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(200, content=b'{"rows": ["canary-value"]}'),
        httpx.Response(400, json={"message": "canary-value", "code": "23514", "detail": "canary-value"}),
        httpx.Response(400, json={"message": "canary-value", "code": "canary-value"}),
        httpx.Response(401, content=b"canary-token"),
        httpx.Response(500, content=b"canary-value"),
        httpx.ConnectError(""),
    ],
)
async def test_no_problem_quotes_a_request_or_response(
    proxy: SqlOverHttp, response: httpx.Response | Exception
) -> None:
    """The text, members and causes of a problem contain no values or credentials."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, response)
    texts: list[str] = []
    exc: BaseException | None = caught.value
    while exc:
        texts += [str(exc), repr(exc)]
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    assert not re.search("canary", " ".join(texts) + repr(vars(caught.value)))
