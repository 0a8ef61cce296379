"""sqlproxy's HTTP application, with a fake database."""

from __future__ import annotations

import asyncio
import json
import math
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from sqlproxy.errors import AnswerTooLarge, DatabaseError, OutcomeUnknown, PoolBusy
from sqlproxy.http.app import App
from sqlproxy.http.auth import Authenticator
from sqlproxy.operations.memory import Budget
from sqlproxy.operations.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from sqlproxy.dialect.request import Request
    from sqlproxy.operations.memory import Lease

pytestmark = pytest.mark.anyio

TOKEN = "a-token-of-the-tests"
AUTHORIZATION = {"authorization": f"Bearer {TOKEN}"}


class FakeDatabase:
    """A database that returns or raises the outcome that the test set."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.outcome: str | Exception = '{"rows":[]}'
        self.hold: asyncio.Event | None = None
        self.cancelled = False
        # Seconds that the clean-up takes after a cancellation, and whether it has finished.
        self.cleaning_up = 0.0
        self.clean = False

    async def run(self, request: Request, lease: Lease | None = None, /) -> bytes:
        """Record the request and return or raise the outcome."""
        self.requests.append(request)
        if self.hold is not None:
            try:
                await self.hold.wait()
            except asyncio.CancelledError:
                self.cancelled = True
                await asyncio.sleep(self.cleaning_up)
                self.clean = True
                raise
        if isinstance(self.outcome, Exception):
            raise self.outcome
        assert lease is not None
        lease.take(len(self.outcome))
        return self.outcome.encode()

    async def ping(self) -> None:
        """Raise the outcome if it is an exception."""
        if isinstance(self.outcome, Exception):
            raise self.outcome


class Stack:
    """An application with a fake database, and a client."""

    def __init__(self, **settings: Any) -> None:
        self.database = FakeDatabase()
        self.metrics = Metrics()
        self.budget = Budget(settings.pop("memory_limit", math.inf))
        settings = dict[str, Any](body_limit=1000, total_timeout=5.0, budget=self.budget) | settings
        self.app = App(self.database, Authenticator([TOKEN]), self.metrics, **settings)
        transport = httpx.ASGITransport(self.app)
        self.client = httpx.AsyncClient(transport=transport, base_url="http://proxy", headers=AUTHORIZATION)

    async def sql(self, body: object = None, **headers: str) -> httpx.Response:
        """Post a body, by default a valid one."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post("/sql", json=body or {"query": "SELECT 1"}, headers=names)

    async def raw(
        self, *messages: dict[str, Any], path: str = "/sql", headers: tuple[tuple[bytes, bytes], ...] = ()
    ) -> list[Any]:
        """Call the application with exactly these ASGI messages; return the messages that it sent."""
        queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        for message in messages:
            queue.put_nowait(message)

        async def receive() -> dict[str, Any]:
            message = await queue.get()
            await asyncio.sleep(message.get("after", 0))
            return message

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "path": path,
            "method": "POST" if path == "/sql" else "GET",
            "headers": [(b"authorization", f"Bearer {TOKEN}".encode()), *headers],
        }
        async with asyncio.timeout(5):
            await self.app(scope, receive, send)
        return sent


@pytest.fixture
def stack() -> Stack:
    """Return an application with the default settings."""
    return Stack()


async def test_a_statement_is_executed_and_its_result_returned(stack: Stack) -> None:
    """Neon's headers are honoured."""
    response = await stack.sql(
        {"query": "SELECT $1", "params": ["é"]}, neon_raw_text_output="true", neon_array_mode="true"
    )
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {"rows": []}
    (request,) = stack.database.requests
    assert request.raw_text
    assert request.statements[0] == (b"SELECT $1", ["é".encode()], True)
    assert stack.metrics.requests["200"] == 1


async def test_a_request_without_a_valid_token_gets_401_before_its_body_is_read(stack: Stack) -> None:
    """An invalid or too large body makes no difference."""
    response = await stack.client.post("/sql", content=b"{" * 2000, headers={"authorization": "Bearer wrong"})
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer")
    assert response.json()["code"] == "28000"
    assert not stack.database.requests


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("GET", "/sql", 405, "POST"),
        ("DELETE", "/health", 405, "GET, HEAD"),
        ("POST", "/metrics", 405, "GET, HEAD"),
        ("POST", "/", 404, None),
        ("GET", "/sql/", 404, None),
    ],
)
async def test_other_paths_get_404_and_other_methods_405(
    stack: Stack, method: str, path: str, status: int, allow: str | None
) -> None:
    """The response is JSON, with Allow if the path exists."""
    response = await stack.client.request(method, path)
    assert response.status_code == status
    assert response.headers.get("allow") == allow
    assert response.json()["executed"] is False


async def test_ready_depends_on_the_database_and_health_does_not(stack: Stack) -> None:
    """Neither /health nor /ready needs a token."""
    stack.database.outcome = PoolBusy("queue_full")
    del stack.client.headers["authorization"]
    assert (await stack.client.get("/health")).json() == {"status": "ok"}
    refused = await stack.client.get("/ready")
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    stack.database.outcome = ""
    assert (await stack.client.get("/ready")).json() == {"status": "ok"}
    assert not stack.metrics.requests


async def test_metrics_need_a_token() -> None:
    """The metrics contain the state of the pool."""
    stack = Stack(gauges=lambda: {"sqlproxy_pool_size": ("Most.", {"": 3})})
    response = await stack.client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "sqlproxy_pool_size 3" in response.text
    refused = await stack.client.get("/metrics", headers={"authorization": ""})
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/json"


async def test_a_malformed_body_is_rejected_without_quoting_it(stack: Stack) -> None:
    """The response contains no part of the body."""
    response = await stack.client.post("/sql", content=b'{"query": "canary')
    assert (response.status_code, response.json()["code"]) == (400, "08P01")
    assert "canary" not in response.text


@pytest.mark.parametrize("length", [b"1001", b"1001 \t"])
async def test_a_large_content_length_gets_413(stack: Stack, length: bytes) -> None:
    """The body is not read, even if white space follows the length."""
    sent = await stack.raw(headers=((b"content-length", length),))
    assert sent[0]["status"] == 413
    assert (b"connection", b"close") in sent[0]["headers"]


@pytest.mark.parametrize(
    ("header", "closes"),
    [((b"content-length", b"9"), True), ((b"transfer-encoding", b"chunked"), True), ((b"content-length", b"0"), False)],
)
@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_a_response_before_the_body_closes_the_connection(
    stack: Stack, path: str, header: tuple[bytes, bytes], closes: bool
) -> None:
    """A reverse proxy must not reuse the connection for another client. Routes without a token always close it."""
    sent = await stack.raw(path=path, headers=(header,))
    assert sent[0]["status"] == 200
    assert ((b"connection", b"close") in sent[0]["headers"]) is (closes or path != "/metrics")


async def test_a_response_after_the_body_keeps_the_connection_open(stack: Stack) -> None:
    """The body arrives in two parts and is read completely."""
    first = {"type": "http.request", "body": b'{"query": ', "more_body": True}
    last = {"type": "http.request", "body": b'"SELECT 1"}', "more_body": False}
    sent = await stack.raw(first, last, headers=((b"transfer-encoding", b"chunked"),))
    assert sent[0]["status"] == 200
    assert (b"connection", b"close") not in sent[0]["headers"]


async def test_a_large_chunked_body_gets_413(stack: Stack) -> None:
    """Chunked bodies have no content-length; reading stops at the limit."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 100

    response = await stack.client.post("/sql", content=chunks())
    assert (response.status_code, response.json()["code"]) == (413, "54000")
    part = {"type": "http.request", "body": b"x" * 1001, "more_body": True}
    assert (await stack.raw(part))[0]["status"] == 413


async def test_the_parts_of_a_body_are_joined(stack: Stack) -> None:
    """A body of exactly the limit is accepted."""
    body = json.dumps({"query": "SELECT 1"}).encode().ljust(1000)
    first = {"type": "http.request", "body": body[:10], "more_body": True}
    last = {"type": "http.request", "body": body[10:]}
    assert (await stack.raw(first, last))[0]["status"] == 200


async def test_a_body_that_does_not_arrive_gets_408() -> None:
    """A slow client does not occupy resources for long."""
    stack = Stack(total_timeout=0.01)
    sent = await stack.raw({"type": "http.request", "body": b"{", "more_body": True})
    assert sent[0]["status"] == 408


@pytest.mark.parametrize(
    ("last", "status"), [({"type": "http.disconnect"}, None), ({"type": "http.request", "after": 5}, 504)]
)
async def test_a_disconnect_or_timeout_after_a_slow_body_cancels_the_statement(
    last: dict[str, Any], status: int | None
) -> None:
    """The body arrives 40 ms after the head; the whole request may take 150 ms."""
    stack = Stack(total_timeout=0.15)
    stack.database.hold = asyncio.Event()
    slow = {"type": "http.request", "body": b'{"query":"q"}', "after": 0.04}
    sent = await stack.raw(slow, last)
    assert [message["status"] for message in sent[:1]] == ([status] if status else [])
    assert stack.database.cancelled


@pytest.mark.parametrize(
    ("disconnects", "status"), [(0.05, None), (0.2, 504)], ids=["disconnect first", "timeout first"]
)
async def test_a_statement_is_cancelled_once(disconnects: float, status: int | None) -> None:
    """A second reason to cancel does not interrupt the clean-up."""
    stack = Stack(total_timeout=0.15)
    stack.database.hold, stack.database.cleaning_up = asyncio.Event(), 0.2
    sent = await stack.raw(
        {"type": "http.request", "body": b'{"query":"q"}'}, {"type": "http.disconnect", "after": disconnects}
    )
    assert [message["status"] for message in sent[:1]] == ([status] if status else [])
    assert stack.database.clean


async def test_a_client_that_disconnects_while_sending_gets_no_response(stack: Stack) -> None:
    """The metrics count the request as `gone`."""
    sent = await stack.raw({"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"})
    assert sent == []
    assert stack.metrics.requests["gone"] == 1


async def test_a_client_that_disconnects_cancels_its_statement(stack: Stack) -> None:
    """The database connection is then available to other clients."""
    stack.database.hold = asyncio.Event()
    sent = await stack.raw({"type": "http.request", "body": b'{"query":"q"}'}, {"type": "http.disconnect"})
    assert sent == []
    assert stack.database.cancelled


async def test_a_request_beyond_the_total_timeout_gets_504_with_unknown_outcome() -> None:
    """The statement is cancelled, but may have been executed."""
    stack = Stack(total_timeout=0.05)
    stack.database.hold = asyncio.Event()
    sent = await stack.raw({"type": "http.request", "body": b'{"query":"q"}'})
    assert sent[0]["status"] == 504
    body = json.loads(sent[1]["body"])
    assert (body["code"], body["executed"]) == ("57014", None)
    assert stack.database.cancelled


@pytest.mark.parametrize("size", [500, 100])
async def test_bodies_and_responses_share_a_memory_budget(size: int) -> None:
    """A request over the budget gets 503. The memory of every request is released."""
    stack = Stack(memory_limit=300)
    stack.database.outcome = "x" * size
    response = await stack.sql()
    assert response.status_code == (200 if size < 300 else 503)
    if size > 300:
        assert response.json()["code"] == "53200"
    assert (await stack.sql({"query": "S" * 400})).status_code == 503
    assert stack.budget.held == 0


async def test_a_response_counts_toward_the_budget_until_it_is_sent() -> None:
    """The server accepts the last message only when the client has read most of the response."""
    stack = Stack(memory_limit=300)
    stack.database.outcome = "x" * 200
    held: list[int] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"query":"q"}'}

    async def send(message: Any) -> None:
        if not message.get("more_body"):
            held.append(stack.budget.held)

    authorization = (b"authorization", f"Bearer {TOKEN}".encode())
    await stack.app({"type": "http", "path": "/sql", "method": "POST", "headers": [authorization]}, receive, send)
    assert held == [213, 213]
    assert stack.budget.held == 0


async def test_a_cancellation_by_the_server_is_propagated(stack: Stack) -> None:
    """The cancellation is not mistaken for a disconnected client."""
    stack.database.hold = asyncio.Event()
    task = asyncio.create_task(stack.raw({"type": "http.request", "body": b'{"query":"q"}'}))
    while not stack.database.requests:  # noqa: ASYNC110 - a few turns of the event loop
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_database_errors_have_neons_fields(stack: Stack) -> None:
    """The client gets the detail; the metric counts the error's class."""
    stack.database.outcome = DatabaseError("duplicate", "23505", {"constraint": "User_email_key", "detail": "Key é"})
    response = await stack.sql()
    assert response.status_code == 400
    body = response.json()
    assert (body["message"], body["code"], body["constraint"]) == ("duplicate", "23505", "User_email_key")
    assert (body["detail"], body["hint"], body["executed"]) == ("Key é", None, False)
    assert stack.metrics.errors == {"23": 1}
    assert not stack.metrics.rejected


@pytest.mark.parametrize(
    ("error", "status", "code", "executed", "retry", "rejected"),
    [
        (PoolBusy("queue_full"), 503, "53300", False, "1", True),
        (OutcomeUnknown("lost"), 503, "08007", None, None, False),
        (AnswerTooLarge(10, executed=True), 507, "54000", True, None, False),
        (AnswerTooLarge(10, executed=False), 507, "54000", False, None, False),
    ],
)
async def test_an_error_reports_whether_the_statement_was_executed(  # noqa: PLR0913, PLR0917 - one row of the table
    stack: Stack, error: Exception, status: int, code: str, executed: bool | None, retry: str | None, rejected: bool
) -> None:
    """Only transient errors of unexecuted statements have Retry-After."""
    stack.database.outcome = error
    response = await stack.sql()
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["executed"] is executed
    assert response.headers.get("retry-after") == retry
    assert bool(stack.metrics.rejected) is rejected


async def test_an_unexpected_error_gets_500_without_its_text(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    """Neither the response nor the log contains the exception's text."""
    stack.database.outcome = RuntimeError("canary")
    response = await stack.sql()
    assert (response.status_code, response.json()["code"], response.json()["executed"]) == (500, "XX000", None)
    assert "canary" not in response.text
    assert "canary" not in "".join(record.getMessage() for record in caplog.records)


async def test_only_allowed_statements_are_executed() -> None:
    """Every statement of a request must match an allowed statement exactly."""
    stack = Stack(allowed=frozenset({"INSERT é".encode(), b"SELECT 1"}))
    assert (await stack.sql({"query": "INSERT é"})).status_code == 200
    assert (await stack.sql({"queries": [{"query": "SELECT 1"}, {"query": "INSERT é"}]})).status_code == 200
    for body in ({"query": "SELECT 1 "}, {"queries": [{"query": "SELECT 1"}, {"query": "SELECT * FROM t"}]}):
        refused = await stack.sql(body)
        assert (refused.status_code, refused.json()["code"]) == (403, "42501")
    assert len(stack.database.requests) == 2
