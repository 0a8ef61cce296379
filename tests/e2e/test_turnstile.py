"""Turnstile on workerd, with a fake of siteverify."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Running, behind_a_relay
from tests.e2e.siteverify import SECRET, Siteverify, siteverify


@pytest.fixture(scope="module")
def guarded(worker: Running, state: Path) -> Iterator[tuple[Running, Siteverify]]:
    """Run a Worker with Turnstile and the fake of siteverify."""
    with (
        siteverify() as it,
        behind_a_relay(
            worker,
            state / "turnstile",
            TURNSTILE_SECRET=SECRET,
            TURNSTILE_HOSTNAMES="signup.example",
            TURNSTILE_SITE_KEY="1x00000000000000000000AA",
            TURNSTILE_URL=f"http://127.0.0.1:{it.port}/siteverify",
            TURNSTILE_TIMEOUT=1,
        ) as (running, _),
    ):
        yield running, it


def token(kind: str = "good", host: str = "signup.example", action: str = "sign-up") -> dict[str, str]:
    """Return the form field with a token for this verdict, host and action."""
    return {"cf-turnstile-response": f"{kind}|{host}|{action}|{uuid.uuid4()}"}


def code(answer: httpx.Response) -> tuple[int, str]:
    """Return the status and the code of the first invalid field or of the problem."""
    content = answer.json()
    return answer.status_code, content.get("errors", [content])[0].get("code", "created")


def test_a_token_is_valid_for_one_sign_up(guarded: tuple[Running, Siteverify]) -> None:
    """A second sign-up with the same token is rejected as expired."""
    worker, it = guarded
    field = token()
    assert code(worker.sign_up(**field)) == (201, "created")
    assert it.seen[-1]["response"] == field["cf-turnstile-response"]
    assert code(worker.sign_up(**field)) == (422, "bot_check_expired")


def test_a_retry_with_the_same_key_may_reuse_its_token(guarded: tuple[Running, Siteverify]) -> None:
    """A client that lost the response retries with the same key and token, and gets the replayed 201."""
    worker, _ = guarded
    body = {"name": "Ada", "email": f"{uuid.uuid4().hex}@example.com", "password": "correct horse battery", **token()}
    answers = [worker.client.post("/", json=body, headers={"idempotency-key": "k-turnstile"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[1].headers["idempotency-replayed"] == "true"


def test_a_missing_or_invalid_token_is_rejected(worker: Running, guarded: tuple[Running, Siteverify]) -> None:
    """Each verdict of siteverify maps to an error code of the contract, and no user is created."""
    checking, _ = guarded
    users = 'SELECT count(*) FROM "User"'
    before = worker.rows(users)
    expected = {
        "required": {},
        "bot_check_failed": token("invalid-input-response"),
        "bot_check_expired": token("timeout-or-duplicate"),
        "bot_check_foreign": token(host="evil.example"),
    }
    for reason, field in expected.items():
        assert code(checking.sign_up(**field)) == (422, reason)
    assert code(checking.sign_up(**token(action="log-in"))) == (422, "bot_check_foreign")
    assert code(checking.sign_up(**token("invalid-input-secret"))) == (500, "misconfigured")
    assert worker.rows(users) == before


@pytest.mark.parametrize(
    "answer", [(500, b""), (200, b"<html>"), (200, b'{"success": null}')], ids=["500", "HTML", "no verdict"]
)
def test_an_outage_of_siteverify_is_503(
    guarded: tuple[Running, Siteverify], monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes]
) -> None:
    """The check fails closed with Retry-After, and recovers."""
    worker, it = guarded
    with monkeypatch.context() as patch:
        patch.setattr(it, "answer", answer)
        refused = worker.sign_up(**token())
    assert code(refused) == (503, "bot_check_unavailable")
    assert refused.headers["retry-after"] == "5"
    assert code(worker.sign_up(**token())) == (201, "created")


def test_the_page_has_the_widget(guarded: tuple[Running, Siteverify]) -> None:
    """The form posts the token in the widget's field; a missing token is reported at the widget."""
    worker, _ = guarded
    html = {"accept": "text/html"}
    page = worker.client.get("/", headers=html)
    assert 'class="cf-turnstile" data-sitekey="1x00000000000000000000AA" data-action="sign-up"' in page.text
    assert "frame-src https://challenges.cloudflare.com" in page.headers["content-security-policy"]
    fields = {"name": "Ada", "email": f"{uuid.uuid4().hex}@example.com", "password": "correct horse battery"}
    refused = worker.client.post("/", data=fields, headers=html)
    assert refused.status_code == 422
    assert "Please complete the bot check.</p>" in refused.text
    assert worker.client.post("/", data={**fields, **token()}, headers=html).status_code == 201


def test_secret_key_and_tokens_are_not_logged(guarded: tuple[Running, Siteverify]) -> None:
    """Neither appears in a log line."""
    worker, _ = guarded
    worker.sign_up(**token("canary-token"))
    assert not [line for line in worker.lines if SECRET in line or "canary-token" in line]
