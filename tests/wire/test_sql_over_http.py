"""What goes over the wire in Neon's dialect, and what each answer means. The wire is respx's."""

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
    """Return a proxy of the dialect under test."""
    async with stock_http() as http:
        yield SqlOverHttp(http, URL, {"authorization": SecretStr("Bearer canary-token")})


async def execute(proxy: SqlOverHttp, answer: httpx.Response | Exception) -> list[list[str | None]]:
    """Run a statement against an answer, or a failure to answer."""
    with respx.mock:
        route = respx.post(URL)
        if isinstance(answer, httpx.Response):
            route.mock(return_value=answer)
        else:
            route.mock(side_effect=answer)
        return await proxy.execute("SELECT $1", ("canary-value",))


async def test_the_request(proxy: SqlOverHttp) -> None:
    """One POST of query and params in UTF-8, asking for text and arrays, with the credentials in their header."""
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


async def test_rows_come_back_as_text(proxy: SqlOverHttp) -> None:
    """Rows are lists of text and None; what else is in the answer is not looked at."""
    rows = [["1", None], ["2", "b"]]
    answer = {"fields": [{"name": "a"}], "rows": rows, "command": "SELECT", "rowCount": 2, "rowAsArray": True}
    assert await execute(proxy, httpx.Response(200, json=answer)) == rows


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"null", b"<html>canary-value</html>", b"{}", b'{"rows":null}', b'{"rows":{}}'),
        *(b'{"rows":[["1"]', b'{"rows":[{"id":"1"}]}', b'{"rows":[[1]]}', b'{"message":"canary-value"}'),
    ],
)
async def test_a_200_that_is_no_result_is_no_success(proxy: SqlOverHttp, content: bytes) -> None:
    """An answer that was cut off, or is something else, is not taken for a result."""
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
async def test_sqlstates(proxy: SqlOverHttp, sqlstate: str, expected: type[Problem]) -> None:
    """A database error is 400 with its SQLSTATE, which says what kind of problem it is."""
    answer = {"message": "canary-value", "code": sqlstate, "detail": "canary-value", "constraint": "c"}
    with pytest.raises(Problem) as caught:
        await execute(proxy, httpx.Response(400, json=answer))
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
async def test_statuses_without_a_database_error(
    proxy: SqlOverHttp, status: int, expected: type[Problem], content: bytes
) -> None:
    """What a proxy, or whoever stands in front of it, says for itself is told by its status, whatever its body."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, httpx.Response(status, content=content))
    assert type(caught.value) is expected


@pytest.mark.parametrize("code", ["", None])
async def test_neon_refuses_a_connection_string_with_400(proxy: SqlOverHttp, code: str | None) -> None:
    """400 with the dialect's error object, but no SQLSTATE, is what Neon says of a wrong password or endpoint."""
    with pytest.raises(Misconfigured):
        await execute(proxy, httpx.Response(400, json={"message": "canary-value", "code": code, "detail": None}))


async def test_a_statement_that_is_not_allowed_needs_another_configuration(proxy: SqlOverHttp) -> None:
    """403 with a SQLSTATE comes from sqlproxy's allow-list: it does not know this version's statement."""
    with pytest.raises(Misconfigured, match="grants"):
        await execute(proxy, httpx.Response(403, json={"message": "canary-value", "code": "42501"}))


async def test_an_answer_that_is_too_large_leaves_open_whether_the_statement_ran(proxy: SqlOverHttp) -> None:
    """507 is about the answer alone, and the log must not make anyone believe that nothing happened."""
    with pytest.raises(ProxyUnavailable, match="may have been carried out"):
        await execute(proxy, httpx.Response(507, json={"message": "too large", "code": "54000"}))


async def test_a_database_without_connections_is_busy(proxy: SqlOverHttp) -> None:
    """Neon hands the database's 53300 on with a status of its own, 500."""
    with pytest.raises(ProxyBusy):
        await execute(proxy, httpx.Response(500, json={"message": "canary-value", "code": "53300"}))


async def test_a_full_pool_is_busy(proxy: SqlOverHttp) -> None:
    """503 with the SQLSTATE of too many connections is a full pool, and its Retry-After is handed on."""
    answer = httpx.Response(503, json={"message": "full", "code": "53300"}, headers={"retry-after": "7"})
    with pytest.raises(ProxyBusy) as caught:
        await execute(proxy, answer)
    assert caught.value.headers() == {"retry-after": "7"}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0", 1), ("9" * 5000, LONGEST_RETRY_AFTER), ("soon", 2), ("-5", 2), ("\u00b2", 2), ("", 2)],
)
async def test_retry_after_is_believed_within_reason(proxy: SqlOverHttp, value: str, seconds: int) -> None:
    """A proxy's Retry-After is kept between a second and a minute; what is no number is not read."""
    answer = httpx.Response(503, headers=[(b"retry-after", value.encode("latin-1"))])
    with pytest.raises(ProxyUnavailable) as caught:
        await execute(proxy, answer)
    assert caught.value.retry_after == seconds


def every(root: type[Exception]) -> list[type[Exception]]:
    """Return a class and all below it."""
    return [root, *(below for child in root.__subclasses__() for below in every(child))]


FOREIGN = [each for each in (*every(httpx.HTTPError), httpx.InvalidURL) if not issubclass(each, httpx.HTTPStatusError)]


@pytest.mark.parametrize("foreign", FOREIGN)
async def test_every_exception_of_httpx_is_translated(proxy: SqlOverHttp, foreign: type[Exception]) -> None:
    """Whatever httpx can raise becomes ours, with its cause: timeouts 504, all else 503."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, foreign("canary-token"))
    expected = ProxyTimeout if issubclass(foreign, httpx.TimeoutException) else ProxyUnavailable
    assert type(caught.value) is expected
    assert isinstance(caught.value.__cause__, foreign)


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(200, content=b'{"rows": ["canary-value"]}'),
        httpx.Response(400, json={"message": "canary-value", "code": "23514", "detail": "canary-value"}),
        httpx.Response(400, json={"message": "canary-value", "code": "canary-value"}),
        httpx.Response(401, content=b"canary-token"),
        httpx.Response(500, content=b"canary-value"),
        httpx.ConnectError(""),
    ],
)
async def test_no_problem_quotes_the_wire(proxy: SqlOverHttp, answer: httpx.Response | Exception) -> None:
    """Neither values nor credentials get from the wire into a problem's text, its members or its chain."""
    with pytest.raises(Problem) as caught:
        await execute(proxy, answer)
    chain: list[str] = []
    link: BaseException | None = caught.value
    while link:
        chain += [str(link), repr(link)]
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    assert not re.search("canary", " ".join(chain) + repr(vars(caught.value)))
