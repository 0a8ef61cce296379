"""Requests and responses of webhooks. Two libraries of Standard Webhooks verify the signatures."""

import json
import subprocess
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import httpx
import pytest
import respx
from pydantic import SecretStr
from standardwebhooks import Webhook as PyPILibrary

from devstack.setup.bootstrap import BIN, ROOT
from signup.outbox.message import DeliveryFailed, Message
from signup.outbox.webhook import Webhook
from tests.fakes import stock_http

pytestmark = pytest.mark.anyio
URL = "https://www.example.com/hooks/signup"
CURRENT, PREVIOUS = f"whsec_{'A' * 32}", f"whsec_{'B' * 32}"
CREATED = datetime(2026, 11, 29, 12, 0, 0, 500_000, UTC)
KEY = "0c1f7d3e-6c5e-4f0a-9a57-0d2f1c7b9e41"
MESSAGE = Message("5", KEY, "user.created", "7", "ada@example.com", 'Jörg "J" 😀', "de", 1, CREATED)
# This script reads requests from standard input, verifies their signatures, and prints their parsed bodies.
NPM_LIBRARY = """
import { Webhook } from "standardwebhooks";
let text = "";
for await (const chunk of process.stdin) text += chunk;
for (const [secret, body, headers] of JSON.parse(text)) {
  console.log(JSON.stringify(new Webhook(secret).verify(body, headers)));
}
"""


async def post(*outcomes: httpx.Response | Exception, message: Message = MESSAGE) -> list[httpx.Request]:
    """Post an event once for each response or exception; return the requests."""
    async with stock_http() as http:
        webhook = Webhook(http, SecretStr(URL), SecretStr(f"{CURRENT}, {PREVIOUS}"))
        with respx.mock() as wire:
            route = wire.post(URL).mock(side_effect=outcomes)
            for _ in outcomes:
                await webhook(message, time.monotonic() + 5)
            return [call.request for call in route.calls]


async def test_both_libraries_accept_the_signatures() -> None:
    """The request has a valid signature for each secret. A changed body is rejected."""
    (request,) = await post(httpx.Response(204))
    body, headers = request.content.decode(), dict(request.headers)
    expected = {
        "type": "user.created",
        "timestamp": "2026-11-29T12:00:00.500Z",
        "data": {"id": 7, "name": MESSAGE.name, "email": "ada@example.com", "email_verified": False},
    }
    assert headers["content-type"] == "application/json"
    for secret in (CURRENT, PREVIOUS):
        assert PyPILibrary(secret).verify(body, headers) == expected
        with pytest.raises(Exception, match="No matching signature"):
            PyPILibrary(secret).verify(body.replace("7", "8"), headers)
    done = subprocess.run(  # noqa: ASYNC221 - nothing else runs here
        [BIN / "node", "--input-type=module", "-e", NPM_LIBRARY],
        cwd=ROOT,
        input=json.dumps([[secret, body, headers] for secret in (CURRENT, PREVIOUS)]),
        capture_output=True,
        text=True,
        check=True,
    )
    assert [json.loads(line) for line in done.stdout.splitlines()] == [expected] * 2


async def test_a_retry_has_the_same_id_and_body() -> None:
    """The receiver can detect a repeated event by its id."""
    first, second = await post(httpx.Response(200), httpx.Response(200))
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == KEY
    assert first.content == second.content


async def test_the_event_contains_email_verified_and_the_extra_fields() -> None:
    """A `user.verified` event has `email_verified: true`. The extra fields are those of the user, if any."""
    verified = Message("6", KEY, "user.verified", "7", "ada@example.com", "Ada", "", 1, CREATED)
    (request,) = await post(httpx.Response(200), message=verified)
    assert json.loads(request.content)["data"]["email_verified"] is True
    extra = {"plan": "<team>", "seats": 3, "newsletter": False}
    (request,) = await post(httpx.Response(200), message=replace(verified, extra=extra))
    assert json.loads(request.content)["data"]["extra"] == extra


class UnreadableBody(httpx.AsyncByteStream):
    """A response body that fails the test if it is read."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError
        yield b""


async def test_the_body_of_a_response_is_not_read() -> None:
    """Only the status matters, so a long or slow body causes no retry."""
    await post(httpx.Response(200, stream=UnreadableBody()))
    with pytest.raises(DeliveryFailed) as caught:
        await post(httpx.Response(500, stream=UnreadableBody()))
    assert caught.value.error == "status_500"


@pytest.mark.parametrize(
    ("outcome", "error", "permanent", "retry_after"),
    [
        (httpx.Response(500), "status_500", False, None),
        (httpx.Response(404), "status_404", False, None),
        (httpx.Response(307, headers={"location": "https://canary.example/"}), "status_307", False, None),
        (httpx.Response(429, headers={"retry-after": "30"}), "status_429", False, 30),
        (httpx.Response(410), "status_410", True, None),
        (httpx.ReadTimeout("canary"), "timeout", False, None),
        (httpx.ConnectError("canary"), "unreachable", False, None),
    ],
)
async def test_errors_redirects_and_outages_are_failures(
    outcome: httpx.Response | Exception, error: str, permanent: bool, retry_after: int | None
) -> None:
    """A redirect is not followed, and after 410 there is no retry."""
    with pytest.raises(DeliveryFailed) as caught:
        await post(outcome)
    failed = caught.value
    assert (failed.error, failed.permanent, failed.retry_after) == (error, permanent, retry_after)
    assert "canary" not in str(failed)
