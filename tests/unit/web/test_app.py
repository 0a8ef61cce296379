"""The HTTP contract, tested without workerd."""

import json
import re
from typing import Any

import pytest

from devstack.kdf import cpython_kdf
from signup.guards.rate_limits import Limits
from signup.hashing.profiles import CHEAP
from signup.hashing.queue import HashQueue
from signup.problems import (
    BodyTimeout,
    DatabaseError,
    Misconfigured,
    ProxyBusy,
    ProxyTimeout,
    ProxyUnavailable,
)
from signup.web.messages import LARGEST_BODY, MARGIN, Request
from tests.fakes import ADA, LATE, SETTINGS, Client, Warnings, change, user_json, user_row

pytestmark = pytest.mark.anyio


async def test_a_sign_up_returns_the_user() -> None:
    """The response is 201 with the user, whose address is canonical, and without password and hash."""
    response, body = await Client().request(body={**ADA, "email": "ADA@example.com"})
    assert (response.status, body) == (201, {"msg": "User created", "user": user_json()})
    assert response.headers["content-type"] == "application/json"


async def test_every_response_has_the_common_headers() -> None:
    """Successes, problems and health checks have a unique request ID, and disable caching and MIME sniffing."""
    client = Client()
    ids = set()
    for method, path in (("POST", "/"), ("GET", "/"), ("GET", "/nowhere"), ("GET", "/health"), ("HEAD", "/health")):
        response, _ = await client.request(method, path)
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        ids.add(response.headers["x-request-id"])
    assert len(ids) == 5


@pytest.mark.parametrize(
    ("outcome", "status", "code", "headers"),
    [
        ([], 409, "email_taken", {}),
        (ProxyBusy("no_free_connection", 7), 503, "proxy_busy", {"retry-after": "7"}),
        (ProxyUnavailable("unreachable"), 503, "proxy_unavailable", {"retry-after": "2"}),
        (ProxyTimeout("no_response"), 504, "proxy_timeout", {}),
        (Misconfigured("DATABASE_URL", "is wrong"), 500, "misconfigured", {}),
        (DatabaseError("XX000"), 500, "internal", {}),
        (RuntimeError("a bug"), 500, "internal", {}),
    ],
)
async def test_each_outcome_of_the_statement_has_its_status_and_code(
    outcome: Any, status: int, code: str, headers: dict[str, str]
) -> None:
    """The body is problem details, whose `instance` is the request ID."""
    response, body = await Client(outcome).request()
    assert (response.status, response.headers["content-type"]) == (status, "application/problem+json")
    assert body.keys() == {"type", "title", "status", "detail", "instance", "code"}
    assert (body["status"], body["code"], body["type"]) == (status, code, f"/problems/{code}")
    assert body["instance"] == response.headers["x-request-id"]
    assert headers.items() <= response.headers.items()


async def test_validation_lists_every_failing_field() -> None:
    """The 422 has one entry per field, and no statement is sent."""
    client = Client()
    response, body = await client.request(body={"name": "", "email": "", "password": "", "more": 1})
    assert (response.status, body["code"]) == (422, "validation_failed")
    assert [error["pointer"] for error in body["errors"]] == ["/name", "/email", "/password", "/more"]
    assert all(error.keys() == {"pointer", "code", "detail"} for error in body["errors"])
    assert client.proxy.executed == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b'{"name":"a","name":"b"}', b'{"name":"\xff"}', b"[" * LARGEST_BODY]
)
async def test_malformed_json_gets_400(body: bytes) -> None:
    """Examples are invalid syntax, other types, duplicate names and deep nesting."""
    response, problem = await Client().request(body=body)
    assert (response.status, problem["code"]) == (400, "malformed_json")


async def test_a_body_over_16_kib_gets_413() -> None:
    """A body of exactly 16 KiB is accepted."""
    filler = LARGEST_BODY - len(json.dumps(ADA))
    for extra, status in ((0, 201), (1, 413)):
        response, _ = await Client().request(body=json.dumps(ADA).encode() + b" " * (filler + extra))
        assert response.status == status


async def test_a_body_must_arrive_before_the_deadline() -> None:
    """A late body gets 408 `body_timeout`; the deadline counts from the arrival of the request."""
    response, problem = await Client().request(body=LATE)
    assert (response.status, problem["code"]) == (408, "body_timeout")
    response, problem = await Client().request(body=LATE, headers={"content-type": "application/x-www-form-urlencoded"})
    assert (response.status, problem["code"]) == (408, "body_timeout")
    deadlines: list[float] = []

    async def read(_: int, deadline: float) -> bytes:
        deadlines.append(deadline)
        raise BodyTimeout

    for media_type in ("application/json", "application/x-www-form-urlencoded"):
        await Client().app(Request("POST", "/", {"content-type": media_type}, read, arrived=1000.0))
    assert deadlines == [1000.0 + 60 - MARGIN] * 2


@pytest.mark.parametrize(
    ("headers", "accepted"),
    [
        ({"content-type": "application/json"}, True),
        ({"content-type": "Application/JSON; charset=UTF-8"}, True),
        ({"content-type": 'application/json;charset="utf-8"'}, True),
        ({"content-type": "application/json", "content-encoding": "identity"}, True),
        ({}, False),
        ({"content-type": ""}, False),
        ({"content-type": "text/plain"}, False),
        ({"content-type": "application/json-patch+json"}, False),
        ({"content-type": "multipart/form-data; boundary=x"}, False),
        ({"content-type": "application/json; charset=utf-16"}, False),
        ({"content-type": 'application/json; charset="latin1"; v=1'}, False),
        ({"content-type": "application/json; v=1; Charset=latin1"}, False),
        *(
            ({"content-type": f"application/json; {parameter}"}, True)
            for parameter in ("v=1", 'profile="a; charset=latin1"', "odata=verbose; charset=utf-8", "utf-8", "v=1;;")
        ),
        ({"content-type": "application/json, text/plain"}, False),
        ({"content-type": "application/json", "content-encoding": "gzip"}, False),
    ],
)
async def test_json_must_be_uncompressed_and_in_utf8(headers: dict[str, str], *, accepted: bool) -> None:
    """Any other charset or content coding gets 415, and so does a media type that is neither JSON nor a form."""
    response, body = await Client().request(headers=headers)
    assert response.status == (201 if accepted else 415)
    assert accepted or body["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        *((method, "/", "POST, GET, HEAD") for method in ("PUT", "PATCH", "DELETE", "OPTIONS")),
        ("POST", "/health", "GET, HEAD"),
        ("DELETE", "/ready", "GET, HEAD"),
    ],
)
async def test_other_methods_get_405(method: str, path: str, allow: str) -> None:
    """The Allow header lists the supported methods (RFC 9110)."""
    response, _ = await Client().request(method, path)
    assert (response.status, response.headers["allow"]) == (405, allow)


async def test_a_full_queue_refuses_before_the_body_is_read() -> None:
    """The response is an immediate 503. Every finished request, valid or not, frees its place."""
    client = Client()
    client.hash_queue = HashQueue(cpython_kdf, CHEAP, 60, 1)
    for _ in range(3):
        assert (await client.request(body={**ADA, "email": "x"}))[0].status == 422
        assert (await client.request())[0].status == 201
    with client.hash_queue.admit(1):
        response, body = await client.request(body=LATE)
        assert (response.status, body["code"], response.headers["retry-after"]) == (503, "too_busy", "1")


async def test_closed_sign_ups_are_refused_before_the_body_is_read() -> None:
    """The response is 403 for every media type; the rate limit applies first, and health checks still succeed."""
    client = Client()
    client.settings = change(SETTINGS, sign_up="closed")
    for media_type in ("application/json", "application/x-www-form-urlencoded", "text/plain"):
        response, body = await client.request(body=LATE, headers={"content-type": media_type})
        assert (response.status, body["code"], response.headers.get("retry-after")) == (403, "sign_ups_closed", None)
    assert client.proxy.executed == []
    assert (await client.request("GET", "/health"))[0].status == 200
    client.proxy.outcomes = [[["1"]]]
    assert (await client.request("GET", "/ready"))[0].status == 200

    async def exceeded(_: str) -> bool:
        return False

    client.limits = Limits(lambda _: exceeded, Warnings())
    assert (await client.request(body=LATE))[0].status == 429


async def test_a_request_with_an_idempotency_key_counts_as_two_hashes() -> None:
    """A replay hashes and verifies; with concealment keys are ignored, so there are no replays."""
    client = Client()
    client.hash_queue = HashQueue(cpython_kdf, CHEAP, 60, 2)
    headers = {"content-type": "application/json", "idempotency-key": "k"}
    with client.hash_queue.admit(1):
        assert (await client.request())[0].status == 201
        assert (await client.request(headers=headers))[0].status == 503
        client.conceal = True
        assert (await client.request(headers=headers))[0].status == 202


@pytest.mark.parametrize("path", ["/users", "//", "/health/", "/Health", "/%2F", ""])
async def test_other_paths_get_404(path: str) -> None:
    """Paths must match exactly."""
    response, body = await Client().request(path=path)
    assert (response.status, body["code"]) == (404, "not_found")


async def test_health_needs_neither_database_nor_settings() -> None:
    """The response to HEAD has no body."""
    client = Client(misconfigured=Misconfigured("DATABASE_URL", "is not set"))
    response, body = await client.request("GET", "/health")
    assert (response.status, body) == (200, {"status": "ok"})
    response, body = await client.request("HEAD", "/health")
    assert (response.status, body) == (200, None)


async def test_ready_makes_one_round_trip() -> None:
    """If the database is unreachable, the response is a problem."""
    client = Client([["1"]], ProxyUnavailable("unreachable"))
    response, body = await client.request("GET", "/ready")
    assert (response.status, body, len(client.proxy.executed)) == (200, {"status": "ready"}, 1)
    response, body = await client.request("GET", "/ready")
    assert (response.status, body["code"]) == (503, "proxy_unavailable")


async def test_a_wrong_setting_is_named_in_the_log_but_not_in_the_response() -> None:
    """A wrong setting is reported to the operator, not to the client."""
    client = Client(misconfigured=Misconfigured("DATABASE_URL", "is not set"))
    response, body = await client.request()
    assert (response.status, body["code"]) == (500, "misconfigured")
    assert "DATABASE_URL" not in response.body.decode()
    assert client.log()[0]["reason"] == "DATABASE_URL is not set"


async def test_each_request_logs_one_line() -> None:
    """The line is JSON with the request ID, the status, the code and the duration."""
    client = Client([user_row()], [])
    first, _ = await client.request()
    second, _ = await client.request()
    first_line, second_line = client.log()
    assert (first_line["event"], first_line["request_id"], first_line["status"]) == (
        "request",
        first.headers["x-request-id"],
        201,
    )
    assert first_line["route"] == "POST /"
    assert (second_line["request_id"], second_line["status"], second_line["code"]) == (
        second.headers["x-request-id"],
        409,
        "email_taken",
    )
    assert isinstance(first_line["duration_ms"], int)


async def test_a_bug_is_logged_without_the_text_of_the_exception() -> None:
    """The log has the exception's class and traceback; its text may quote a value."""
    client = Client(RuntimeError("canary"))
    await client.request()
    (line,) = client.log()
    assert line["exception"] == "RuntimeError"
    assert re.search(r"fakes\.py:\d+ execute$", line["traceback"][-1])
    assert "canary" not in client.lines[0]


async def test_a_database_error_is_logged_with_its_code() -> None:
    """The log has the SQLSTATE and the constraint, which identify the cause."""
    client = Client(DatabaseError("23514", "User_name_check"))
    await client.request()
    assert client.log()[0].items() >= {"sqlstate": "23514", "constraint": "User_name_check"}.items()


@pytest.mark.parametrize(
    ("key", "accepted"),
    [("a", True), ("~" * 255, True), ('"quoted-8e03978e"', True), ("", False), ("~" * 256, False)]
    + [(key, False) for key in ("two words", "a,\tb", "caf\u00e9", "a\u007f")],
)
async def test_an_invalid_idempotency_key_gets_400(key: str, *, accepted: bool) -> None:
    """A key has 1 to 255 visible ASCII characters."""
    headers = {"content-type": "application/json", "idempotency-key": key}
    response, body = await Client().request(headers=headers)
    assert response.status == (201 if accepted else 400)
    assert accepted or body["code"] == "bad_idempotency_key"
    assert "idempotency-replayed" not in response.headers


async def test_a_replay_is_marked() -> None:
    """The response is the same, with the header `idempotency-replayed`. If a field differs, the status is 422."""
    client = Client()
    headers = {"content-type": "application/json", "idempotency-key": "key-1"}
    _, first = await client.request(headers=headers)
    stored = client.proxy.executed[0][1][-2]
    client.proxy.outcomes = [[user_row(stored)]]
    response, again = await client.request(headers=headers)
    assert (response.status, response.headers["idempotency-replayed"], again) == (201, "true", first)
    client.proxy.outcomes = [[user_row(stored, name="Bob")]]
    response, body = await client.request(headers=headers)
    assert (response.status, body["code"]) == (422, "idempotency_mismatch")
