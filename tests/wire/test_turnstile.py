"""Siteverify at the wire: what is sent, and what each answer means."""

import json
import time
from dataclasses import replace

import httpx
import pytest
import respx

from signup.fields.models import Rules, SignUpRequest
from signup.guards.turnstile import BotCheck
from signup.problems import BotCheckUnavailable, Misconfigured, Problem, ValidationFailed
from signup.registration.service import Attempt
from signup.settings import TurnstileSettings
from tests.fakes import ADA, change, stock_http
from tests.fakes import SETTINGS as OTHERS

pytestmark = pytest.mark.anyio

GOOD = {"success": True, "error-codes": [], "hostname": "example.com", "action": "sign-up"}
CHOSEN = change(OTHERS, turnstile_secret="canary-secret", turnstile_hostnames="example.com").turnstile
assert CHOSEN is not None
SETTINGS = CHOSEN
SITEVERIFY = SETTINGS.url


def attempt(given: str = "canary-token", email: str = "ada@example.com", key: str | None = None) -> Attempt:
    """Return an attempt with this token."""
    request = SignUpRequest.from_object({**ADA, "email": email, "cf-turnstile-response": given}, Rules(bot_token=True))
    return Attempt(request, time.monotonic() + 60, key, "192.0.2.1")


async def check(it: Attempt, settings: TurnstileSettings = SETTINGS) -> None:
    """Check it."""
    async with stock_http() as http:
        await BotCheck(settings, http)(it)


async def refused(answer: object, status: int = 200) -> Problem:
    """Return what the check raises when siteverify answers so."""
    with respx.mock() as wire:
        wire.post(SITEVERIFY).respond(status, json=answer)
        with pytest.raises(Problem) as caught:
            await check(attempt())
    assert "canary" not in str(caught.value)
    return caught.value


@respx.mock
async def test_a_good_token_passes() -> None:
    """Secret, token, the client's address and an idempotency key are sent, once."""
    route = respx.post(SITEVERIFY).respond(json=GOOD)
    await check(attempt())
    sent = json.loads(route.calls.last.request.content)
    assert {**sent, "idempotency_key": ""} == {
        "secret": "canary-secret",
        "response": "canary-token",
        "remoteip": "192.0.2.1",
        "idempotency_key": "",
    }
    assert route.call_count == 1
    await check(replace(attempt(), client=""))
    assert "remoteip" not in json.loads(route.calls.last.request.content)


@respx.mock
async def test_the_same_sign_up_may_use_its_token_again_and_no_other() -> None:
    """The key is siteverify's to tell a repeated request: of token, address and the client's own key."""
    route = respx.post(SITEVERIFY).respond(json=GOOD)
    for each in (
        attempt(),
        attempt(),
        attempt("another"),
        attempt(email="bob@example.com"),
        attempt(key="k"),
        attempt(key="k"),
    ):
        await check(each)
    keys = [json.loads(call.request.content)["idempotency_key"] for call in route.calls]
    assert keys[0] == keys[1]
    assert keys[4] == keys[5]
    assert len({*keys}) == 4


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        (["missing-input-response"], "bot_check_failed"),
        (["invalid-input-response"], "bot_check_failed"),
        (["bad-request"], "bot_check_failed"),
        (["timeout-or-duplicate"], "bot_check_expired"),
        (["a-code-of-the-future"], "bot_check_failed"),
        ([], "bot_check_failed"),
    ],
)
async def test_a_bad_token_is_a_failing_field(codes: list[str], code: str) -> None:
    """422 at the token's field, saying whether solving the challenge again will help."""
    problem = await refused({"success": False, "error-codes": codes})
    assert isinstance(problem, ValidationFailed)
    assert [(error.pointer, error.code) for error in problem.errors] == [("/cf-turnstile-response", code)]


@pytest.mark.parametrize("code", ["missing-input-secret", "invalid-input-secret"])
async def test_a_wrong_secret_is_our_mistake(code: str) -> None:
    """No user can mend it: 500, and the log names the setting."""
    problem = await refused({"success": False, "error-codes": [code]}, 400)
    assert isinstance(problem, Misconfigured)
    assert problem.setting == "TURNSTILE_SECRET"


@pytest.mark.parametrize(
    "change", [{"hostname": "evil.example"}, {"hostname": None}, {"action": "log-in"}, {"action": ""}, {"action": None}]
)
async def test_a_token_of_another_page_or_purpose_is_refused(change: dict[str, object]) -> None:
    """A token that is good, but was made elsewhere or for something else, is not one for this."""
    problem = await refused({**GOOD, **change})
    assert isinstance(problem, ValidationFailed)
    assert problem.errors[0].code == "bot_check_foreign"


@pytest.mark.parametrize(
    "answer", [{"success": "true"}, {"success": 1}, {}, {"success": False, "error-codes": ["internal-error"]}]
)
async def test_an_answer_that_is_none_fails_closed(answer: object) -> None:
    """What siteverify would never say lets nobody in, nor does its own trouble: 503 and Retry-After."""
    problem = await refused(answer)
    assert isinstance(problem, BotCheckUnavailable)
    assert problem.headers() == {"retry-after": "5"}


@pytest.mark.parametrize(
    "outcome", [httpx.Response(502, text="<html>"), httpx.ConnectError("x"), httpx.ReadTimeout("x")]
)
@respx.mock
async def test_an_outage_is_tried_twice_and_fails_closed(outcome: httpx.Response | Exception) -> None:
    """One repetition, with the same key, and then 503; if it helps, the sign-up goes on."""
    route = respx.post(SITEVERIFY).mock(side_effect=[outcome, outcome])
    with pytest.raises(BotCheckUnavailable):
        await check(attempt())
    assert route.call_count == 2
    route.mock(side_effect=[outcome, httpx.Response(200, json=GOOD)])
    await check(attempt())


@respx.mock
async def test_no_time_left_is_no_check() -> None:
    """When the request's deadline is over nothing is sent; the check's own bounds an exchange."""
    route = respx.post(SITEVERIFY).respond(json=GOOD)
    with pytest.raises(BotCheckUnavailable):
        await check(replace(attempt(), deadline=time.monotonic()))
    assert route.call_count == 0
    await check(attempt(), replace(SETTINGS, timeout=2))
    assert 0 < route.calls.last.request.extensions["timeout"]["read"] <= 2
