"""Turnstile and the check for breached passwords, on workerd, with fakes of both services."""

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha1
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import PASSWORD, Running, behind_a_relay, breach_settings
from tests.e2e.range_api import BREACHED, TIMEOUT, FakeRangeApi
from tests.e2e.siteverify import SECRET, Siteverify, siteverify


@dataclass
class Guarded:
    """A Worker with Turnstile and BREACH_CHECK=on, and the fake siteverify API."""

    worker: Running
    siteverify: Siteverify


@dataclass
class Checked:
    """A Worker and the mode of its breach check."""

    mode: str
    worker: Running

    def sign_up(self, password: str) -> httpx.Response:
        """Sign up with a password, and a token where the Worker requires one."""
        return self.worker.sign_up(password=password, **(token() if self.mode == "on" else {}))


@pytest.fixture(scope="module")
def guarded(worker: Running, state: Path, range_api: FakeRangeApi) -> Iterator[Guarded]:
    """Run a Worker with Turnstile and BREACH_CHECK=on."""
    with (
        siteverify() as fake,
        behind_a_relay(
            worker,
            state / "guarded",
            **breach_settings("on", range_api),
            TURNSTILE_SECRET=SECRET,
            TURNSTILE_HOSTNAMES="signup.example",
            TURNSTILE_SITE_KEY="1x00000000000000000000AA",
            TURNSTILE_URL=f"http://127.0.0.1:{fake.port}/siteverify",
            TURNSTILE_TIMEOUT=1,
        ) as (running, _),
    ):
        yield Guarded(running, fake)


@pytest.fixture(params=["on", "strict"])
def checked(request: pytest.FixtureRequest, guarded: Guarded, strict: Running) -> Checked:
    """Return a Worker for each mode of the breach check in turn."""
    return Checked(request.param, guarded.worker if request.param == "on" else strict)


def token(kind: str = "good", host: str = "signup.example", action: str = "sign-up") -> dict[str, str]:
    """Return the form field with a token for this verdict, host and action."""
    return {"cf-turnstile-response": f"{kind}|{host}|{action}|{uuid.uuid4()}"}


def status_and_code(response: httpx.Response) -> tuple[int, str]:
    """Return the status, and the code of the first invalid field or of the problem ("created" for a user)."""
    content = response.json()
    return response.status_code, content.get("errors", [content])[0].get("code", "created")


def test_a_breached_password_is_rejected(checked: Checked, range_api: FakeRangeApi) -> None:
    """Another password is accepted. Only five hexadecimal digits of the hash are sent, and padding is requested."""
    range_api.requests.clear()
    refused = checked.sign_up(BREACHED)
    assert (refused.status_code, [error["code"] for error in refused.json()["errors"]]) == (422, ["breached"])
    assert checked.sign_up(PASSWORD).status_code == 201
    prefixes = [sha1(each.encode(), usedforsecurity=False).hexdigest()[:5].upper() for each in (BREACHED, PASSWORD)]
    assert range_api.requests == [(f"/range/{prefix}", "true", "0") for prefix in prefixes]
    log = "\n".join(checked.worker.lines)
    assert "unchecked" not in log
    assert BREACHED not in log


@pytest.mark.parametrize("mode", ["down", "slow", "garbage", "error"])
def test_the_breach_check_fails_open_unless_it_is_strict(checked: Checked, range_api: FakeRangeApi, mode: str) -> None:
    """`on` accepts the sign-up and logs a warning; `strict` responds 503 with Retry-After; both respect the timeout."""
    lines = checked.worker.lines
    before = sum("breach_check_skipped" in line for line in lines)
    if mode == "down":
        range_api.close()
    range_api.mode = mode
    start = time.monotonic()
    try:
        response = checked.sign_up(BREACHED)
        seconds = time.monotonic() - start
    finally:
        range_api.mode = "ok"
        if mode == "down":
            range_api.open()
    if checked.mode == "on":
        assert response.status_code == 201
        # The log line may arrive after the response.
        while sum("breach_check_skipped" in line for line in lines) == before:
            assert time.monotonic() < start + 10
            time.sleep(0.05)
    else:
        assert (response.status_code, response.json()["code"]) == (503, "breach_check_unavailable")
        assert int(response.headers["retry-after"]) > 0
    assert seconds < TIMEOUT + 1.2
    assert BREACHED not in "\n".join(lines)


def test_a_token_is_valid_for_one_sign_up(guarded: Guarded) -> None:
    """A second sign-up with the same token is rejected as expired."""
    worker, fake = guarded.worker, guarded.siteverify
    field = token()
    assert status_and_code(worker.sign_up(**field)) == (201, "created")
    assert fake.seen[-1]["response"] == field["cf-turnstile-response"]
    assert status_and_code(worker.sign_up(**field)) == (422, "bot_check_expired")


def test_a_retry_with_the_same_key_may_reuse_its_token(guarded: Guarded) -> None:
    """A client that lost the response retries with the same key and token, and gets the replayed 201."""
    worker = guarded.worker
    body = {"name": "Ada", "email": f"{uuid.uuid4().hex}@example.com", "password": "correct horse battery", **token()}
    responses = [worker.client.post("/", json=body, headers={"idempotency-key": "k-turnstile"}) for _ in range(2)]
    assert [response.status_code for response in responses] == [201, 201]
    assert responses[1].headers["idempotency-replayed"] == "true"


def test_a_missing_or_invalid_token_is_rejected(worker: Running, guarded: Guarded) -> None:
    """A missing, invalid, expired or foreign token has its own error code; a wrong secret key causes 500.

    No user is created.
    """
    users = 'SELECT count(*) FROM "User"'
    before = worker.rows(users)
    expected = {
        "required": {},
        "bot_check_failed": token("invalid-input-response"),
        "bot_check_expired": token("timeout-or-duplicate"),
        "bot_check_foreign": token(host="evil.example"),
    }
    for reason, field in expected.items():
        assert status_and_code(guarded.worker.sign_up(**field)) == (422, reason)
    assert status_and_code(guarded.worker.sign_up(**token(action="log-in"))) == (422, "bot_check_foreign")
    assert status_and_code(guarded.worker.sign_up(**token("invalid-input-secret"))) == (500, "misconfigured")
    assert worker.rows(users) == before


@pytest.mark.parametrize(
    "response", [(500, b""), (200, b"<html>"), (200, b'{"success": null}')], ids=["500", "HTML", "no verdict"]
)
def test_an_outage_of_siteverify_causes_503(
    guarded: Guarded, monkeypatch: pytest.MonkeyPatch, response: tuple[int, bytes]
) -> None:
    """The check fails closed, and the 503 has Retry-After; after the outage a sign-up succeeds."""
    worker, fake = guarded.worker, guarded.siteverify
    with monkeypatch.context() as patch:
        patch.setattr(fake, "answer", response)
        refused = worker.sign_up(**token())
    assert status_and_code(refused) == (503, "bot_check_unavailable")
    assert refused.headers["retry-after"] == "5"
    assert status_and_code(worker.sign_up(**token())) == (201, "created")


def test_the_page_has_the_widget(guarded: Guarded) -> None:
    """The form posts the token in the widget's field; a missing token is reported on the page."""
    worker = guarded.worker
    html = {"accept": "text/html"}
    page = worker.client.get("/", headers=html)
    assert 'class="cf-turnstile" data-sitekey="1x00000000000000000000AA" data-action="sign-up"' in page.text
    assert "frame-src https://challenges.cloudflare.com" in page.headers["content-security-policy"]
    fields = {"name": "Ada", "email": f"{uuid.uuid4().hex}@example.com", "password": "correct horse battery"}
    refused = worker.client.post("/", data=fields, headers=html)
    assert refused.status_code == 422
    assert "Please complete the bot check.</p>" in refused.text
    assert worker.client.post("/", data={**fields, **token()}, headers=html).status_code == 201


def test_secret_key_and_tokens_are_not_logged(guarded: Guarded) -> None:
    """The log of a rejected sign-up contains neither the secret key nor the token."""
    worker = guarded.worker
    worker.sign_up(**token("canary-token"))
    assert not [line for line in worker.lines if SECRET in line or "canary-token" in line]
