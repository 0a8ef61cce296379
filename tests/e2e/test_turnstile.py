"""Turnstile on workerd, with a local server that speaks siteverify."""

import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.conftest import Running, behind_a_relay
from tests.e2e.siteverify import SECRET, Siteverify, siteverify


@pytest.fixture(scope="module")
def guarded(worker: Running, state: Path) -> Iterator[tuple[Running, Siteverify]]:
    """Run a Worker that checks with a siteverify of ours."""
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
    """Return the field with a token that siteverify judges so."""
    return {"cf-turnstile-response": f"{kind}|{host}|{action}|{uuid.uuid4()}"}


def code(answer: httpx.Response) -> tuple[int, str]:
    """Return the status, and the code of the first failing field or of the problem."""
    content = answer.json()
    return answer.status_code, content.get("errors", [content])[0].get("code", "created")


def test_a_token_counts_for_one_sign_up(guarded: tuple[Running, Siteverify]) -> None:
    """With a good token there is a user; the same token for another address is used up."""
    worker, it = guarded
    field = token()
    assert code(worker.sign_up(**field)) == (201, "created")
    assert it.seen[-1]["response"] == field["cf-turnstile-response"]
    assert code(worker.sign_up(**field)) == (422, "bot_check_expired")


def test_a_repeated_sign_up_may_repeat_its_token(guarded: tuple[Running, Siteverify]) -> None:
    """A client that did not hear the answer asks again with the same key and the same token, and is answered."""
    worker, _ = guarded
    body = {"name": "Ada", "email": f"{uuid.uuid4().hex}@example.com", "password": "correct horse battery", **token()}
    answers = [worker.client.post("/", json=body, headers={"idempotency-key": "k-turnstile"}) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[1].headers["idempotency-replayed"] == "true"


def test_whoever_has_none_or_a_bad_one_is_refused(worker: Running, guarded: tuple[Running, Siteverify]) -> None:
    """Each of siteverify's answers is the contract's, and no user is made."""
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


@pytest.mark.parametrize("answer", [(500, b""), (200, b"<html>"), (200, b'{"success": null}')])
def test_without_siteverify_nobody_is_signed_up(
    guarded: tuple[Running, Siteverify], monkeypatch: pytest.MonkeyPatch, answer: tuple[int, bytes]
) -> None:
    """It fails closed, and says when to come back; then it works again."""
    worker, it = guarded
    with monkeypatch.context() as patch:
        patch.setattr(it, "answer", answer)
        refused = worker.sign_up(**token())
    assert code(refused) == (503, "bot_check_unavailable")
    assert refused.headers["retry-after"] == "5"
    assert code(worker.sign_up(**token())) == (201, "created")


def test_without_the_secret_the_field_is_unknown(worker: Running) -> None:
    """A Worker that does not check does not pretend to."""
    answer = worker.sign_up(**token())
    assert code(answer) == (422, "unknown_field")
    assert answer.json()["errors"][0]["pointer"] == "/cf-turnstile-response"


def test_our_own_page_has_the_widget(guarded: tuple[Running, Siteverify]) -> None:
    """Its form posts the token under the widget's own name; without one the page says so at the widget."""
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


def test_no_secret_of_it_is_logged(guarded: tuple[Running, Siteverify]) -> None:
    """Neither the secret key nor a token stands in a log line."""
    worker, _ = guarded
    worker.sign_up(**token("canary-token"))
    assert not [line for line in worker.lines if SECRET in line or "canary-token" in line]
