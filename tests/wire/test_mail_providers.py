"""Requests and responses of the mail providers, with HTTP mocked by respx."""

import json
import time
from typing import Any

import httpx
import pytest
import respx
from pydantic import SecretStr

from signup.outbox.mail.choose import choose
from signup.outbox.message import DeliveryFailed, Mail
from tests.fakes import stock_http
from tests.wire.chain import exception_texts

pytestmark = pytest.mark.anyio
MAIL = Mail("canary@example.com", "Please verify", "text", "<p>html</p>")
KEY = "0c1f7d3e-6c5e-4f0a-9a57-0d2f1c7b9e41"
RESEND, POSTMARK = "resend://re_canary@api.resend.com", "postmark://canary-token@api.postmarkapp.com/broadcasts"
URLS = {RESEND: "https://api.resend.com/emails", POSTMARK: "https://api.postmarkapp.com/email"}


class Binding:
    """A fake `send_email` binding that returns its outcomes in order."""

    def __init__(self, *outcomes: str) -> None:
        self.outcomes = list(outcomes)
        self.sent: list[dict[str, Any]] = []
        self.milliseconds = 0

    async def __call__(self, mail: str, milliseconds: int, /) -> str:
        """Record the e-mail, and return the next outcome."""
        self.sent.append(json.loads(mail))
        self.milliseconds = milliseconds
        return self.outcomes.pop(0)


async def send(url: str, binding: Binding | None = None, sender: str = "Tea & Co. <a@example.com>") -> list[str]:
    """Send `MAIL`; return the log lines."""
    lines: list[str] = []
    async with stock_http() as http:
        mailer = choose(SecretStr(url), sender, http, {"EMAIL": binding}.get, lines.append)
        await mailer.send(MAIL, KEY, time.monotonic() + 5)
    return lines


async def failure(url: str, outcome: httpx.Response | Exception) -> DeliveryFailed:
    """Return the error of `send` if the provider returns this response, or the request raises this exception."""
    with respx.mock() as wire:
        wire.post(URLS[url]).mock(side_effect=[outcome])
        with pytest.raises(DeliveryFailed) as caught:
            await send(url)
    assert "canary" not in exception_texts(caught.value)
    return caught.value


@respx.mock
async def test_resend_gets_the_email_with_its_idempotency_key() -> None:
    """The key is in the header by which Resend recognises repeated requests."""
    route = respx.post(URLS[RESEND]).respond(json={"id": "1"})
    await send(RESEND)
    request = route.calls.last.request
    assert (request.headers["authorization"], request.headers["idempotency-key"]) == ("Bearer re_canary", KEY)
    assert json.loads(request.content) == {
        "from": '"Tea & Co." <a@example.com>',
        "to": ["canary@example.com"],
        "subject": "Please verify",
        "text": "text",
        "html": "<p>html</p>",
    }


@respx.mock
@pytest.mark.parametrize(
    ("url", "stream"), [(POSTMARK, "broadcasts"), (POSTMARK.removesuffix("/broadcasts"), "outbound")]
)
async def test_postmark_gets_the_email_with_its_message_stream(url: str, stream: str) -> None:
    """Links are not tracked; the key is in the metadata and in a header of the e-mail."""
    route = respx.post(URLS[POSTMARK]).respond(json={"ErrorCode": 0})
    await send(url, sender="a@example.com")
    request = route.calls.last.request
    assert request.headers["x-postmark-server-token"] == "canary-token"
    sent = json.loads(request.content)
    assert (sent["From"], sent["To"], sent["MessageStream"]) == ("a@example.com", "canary@example.com", stream)
    assert (sent["Metadata"], sent["Headers"]) == (
        {"idempotency-key": KEY},
        [{"Name": "X-Idempotency-Key", "Value": KEY}],
    )
    assert (sent["TrackLinks"], sent["TrackOpens"]) == ("None", False)


@pytest.mark.parametrize(
    ("url", "status", "body", "permanent"),
    [
        (RESEND, 422, {"name": "validation_error"}, True),
        (RESEND, 422, {"name": "invalid_from_address"}, False),
        (RESEND, 403, {"name": "validation_error"}, False),
        (RESEND, 409, {"name": "concurrent_idempotent_requests"}, False),
        (RESEND, 401, {"name": "missing_api_key"}, False),
        (RESEND, 500, {"name": "validation_error"}, False),
        (RESEND, 302, {}, False),
        (POSTMARK, 422, {"ErrorCode": 406, "Message": "canary"}, True),
        (POSTMARK, 422, {"ErrorCode": 300}, True),
        (POSTMARK, 422, {"ErrorCode": 412}, False),
        (POSTMARK, 401, {"ErrorCode": 10}, False),
        (POSTMARK, 503, {"ErrorCode": 406}, False),
    ],
)
async def test_only_errors_of_the_message_are_permanent(
    url: str, status: int, body: dict[str, object], permanent: bool
) -> None:
    """After a wrong key or an unverified domain is corrected, the message can be delivered."""
    failed = await failure(url, httpx.Response(status, json=body, headers={"location": "https://canary.example/"}))
    assert (failed.error, failed.permanent) == (f"status_{status}", permanent)


@pytest.mark.parametrize("url", URLS)
async def test_rate_limits_invalid_bodies_and_outages_are_not_permanent(url: str) -> None:
    """The message is retried. The error has the seconds of the provider's Retry-After."""
    failed = await failure(url, httpx.Response(429, headers={"retry-after": "17"}, text="canary"))
    assert (failed.error, failed.permanent, failed.retry_after) == ("status_429", False, 17)
    failed = await failure(url, httpx.Response(422, text="<html>canary"))
    assert (failed.error, failed.permanent, failed.retry_after) == ("status_422", False, None)
    for exc, error in ((httpx.ReadTimeout("canary"), "timeout"), (httpx.ConnectError("canary"), "unreachable")):
        failed = await failure(url, exc)
        assert (failed.error, failed.permanent) == (error, False)


async def test_the_cloudflare_binding_gets_the_email() -> None:
    """The sender's name and address are separate; the key is in a header of the e-mail."""
    binding = Binding("", "")
    await send("cloudflare:", binding)
    await send("cloudflare:", binding, "a@example.com")
    first, second = binding.sent
    assert first == {
        "from": {"email": "a@example.com", "name": "Tea & Co."},
        "to": "canary@example.com",
        "subject": "Please verify",
        "text": "text",
        "html": "<p>html</p>",
        "headers": {"X-Idempotency-Key": KEY},
    }
    assert second["from"] == "a@example.com"
    assert 4000 < binding.milliseconds <= 5000


@pytest.mark.parametrize(
    ("outcome", "error", "permanent"),
    [
        ("TimeoutError", "timeout", False),
        ("E_RATE_LIMIT_EXCEEDED", "e_rate_limit_exceeded", False),
        ("E_SENDER_NOT_VERIFIED", "e_sender_not_verified", False),
        ("E_RECIPIENT_SUPPRESSED", "e_recipient_suppressed", True),
        ("Error", "refused", False),
        ("E_canary@example.com", "refused", False),
    ],
)
async def test_errors_of_the_binding_have_codes(outcome: str, error: str, permanent: bool) -> None:
    """A text that is not a code is replaced with `refused`, because it may contain an address."""
    with pytest.raises(DeliveryFailed) as caught:
        await send("cloudflare:", Binding(outcome))
    assert (caught.value.error, caught.value.permanent) == (error, permanent)


async def test_a_missing_binding_has_its_own_error() -> None:
    """The error `not_bound` is not permanent, so the message is retried."""
    with pytest.raises(DeliveryFailed) as caught:
        await send("cloudflare:")
    assert (caught.value.error, caught.value.permanent) == ("not_bound", False)


async def test_emails_are_logged_in_development() -> None:
    """The log line has the address, the subject and the plain text."""
    (line,) = await send("log:")
    assert json.loads(line) == {
        "event": "mail",
        "level": "info",
        "message": KEY,
        "to": "canary@example.com",
        "subject": "Please verify",
        "text": "text",
    }
