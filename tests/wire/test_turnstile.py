"""Requests and responses of Turnstile's siteverify API, with HTTP mocked by respx."""

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
from tests.fakes import SETTINGS as DEFAULTS

pytestmark = pytest.mark.anyio

VALID = {"success": True, "error-codes": [], "hostname": "example.com", "action": "sign-up"}
TURNSTILE = change(DEFAULTS, turnstile_secret="canary-secret", turnstile_hostnames="example.com").turnstile
assert TURNSTILE is not None
SETTINGS = TURNSTILE
SITEVERIFY = SETTINGS.url


def attempt(widget_response: str = "canary-token", email: str = "ada@example.com", key: str | None = None) -> Attempt:
    """Return a sign-up attempt with this token from the widget."""
    request = SignUpRequest.from_object(
        {**ADA, "email": email, "cf-turnstile-response": widget_response}, Rules(bot_token=True)
    )
    return Attempt(request, time.monotonic() + 60, key, "192.0.2.1")


async def check(sign_up: Attempt, settings: TurnstileSettings = SETTINGS) -> None:
    """Run the bot check of an attempt."""
    async with stock_http() as http:
        await BotCheck(settings, http)(sign_up)


async def raised_problem(response: object, status: int = 200) -> Problem:
    """Return the problem that the check raises for a response of siteverify."""
    with respx.mock() as wire:
        wire.post(SITEVERIFY).respond(status, json=response)
        with pytest.raises(Problem) as caught:
            await check(attempt())
    assert "canary" not in str(caught.value)
    return caught.value


@respx.mock
async def test_a_valid_token_is_accepted() -> None:
    """One request has the secret, the token, an idempotency key and the client's address, if that is known."""
    route = respx.post(SITEVERIFY).respond(json=VALID)
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
async def test_the_idempotency_key_depends_on_token_address_and_client_key() -> None:
    """Siteverify uses the key to recognise repeated requests of one sign-up."""
    route = respx.post(SITEVERIFY).respond(json=VALID)
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
async def test_a_rejected_token_raises_validation_failed(codes: list[str], code: str) -> None:
    """The 422 names the token's field; the code states whether the check failed or the token expired."""
    problem = await raised_problem({"success": False, "error-codes": codes})
    assert isinstance(problem, ValidationFailed)
    assert [(error.pointer, error.code) for error in problem.errors] == [("/cf-turnstile-response", code)]


@pytest.mark.parametrize("code", ["missing-input-secret", "invalid-input-secret"])
async def test_an_invalid_secret_raises_misconfigured(code: str) -> None:
    """The response is 500, because the user cannot fix it; the problem names the setting for the log."""
    problem = await raised_problem({"success": False, "error-codes": [code]}, 400)
    assert isinstance(problem, Misconfigured)
    assert problem.setting == "TURNSTILE_SECRET"


@pytest.mark.parametrize(
    "changed",
    [{"hostname": "evil.example"}, {"hostname": None}, {"action": "log-in"}, {"action": ""}, {"action": None}],
)
async def test_a_token_of_another_host_or_action_is_rejected(changed: dict[str, object]) -> None:
    """The token must have been issued for a configured host name and for the configured action."""
    problem = await raised_problem({**VALID, **changed})
    assert isinstance(problem, ValidationFailed)
    assert problem.errors[0].code == "bot_check_foreign"


@pytest.mark.parametrize(
    "response", [{"success": "true"}, {"success": 1}, {}, {"success": False, "error-codes": ["internal-error"]}]
)
async def test_an_invalid_response_fails_closed(response: object) -> None:
    """An unexpected response or an internal error of siteverify leads to 503 with Retry-After."""
    problem = await raised_problem(response)
    assert isinstance(problem, BotCheckUnavailable)
    assert problem.headers() == {"retry-after": "5"}


@pytest.mark.parametrize(
    "outcome", [httpx.Response(502, text="<html>"), httpx.ConnectError("x"), httpx.ReadTimeout("x")]
)
@respx.mock
async def test_an_outage_is_retried_once_and_fails_closed(outcome: httpx.Response | Exception) -> None:
    """If the retry succeeds, the sign-up continues."""
    route = respx.post(SITEVERIFY).mock(side_effect=[outcome, outcome])
    with pytest.raises(BotCheckUnavailable):
        await check(attempt())
    assert route.call_count == 2
    route.mock(side_effect=[outcome, httpx.Response(200, json=VALID)])
    await check(attempt())


@respx.mock
async def test_no_request_is_sent_after_the_deadline() -> None:
    """Before the deadline, the check's own timeout limits the request."""
    route = respx.post(SITEVERIFY).respond(json=VALID)
    with pytest.raises(BotCheckUnavailable):
        await check(replace(attempt(), deadline=time.monotonic()))
    assert route.call_count == 0
    await check(attempt(), replace(SETTINGS, timeout=2))
    assert 0 < route.calls.last.request.extensions["timeout"]["read"] <= 2
