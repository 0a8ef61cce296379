"""Requests and responses of the breach check's API, with HTTP mocked by respx."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from hashlib import sha1

import httpx
import pytest
import respx

from signup.database.circuit_breaker import FAILURES
from signup.fields.models import Rules, SignUpRequest
from signup.guards.breached_passwords import BreachCheck, RangeApi
from signup.http_client import Http
from signup.problems import BreachCheckUnavailable, ValidationFailed
from signup.registration.service import Attempt
from tests.fakes import ADA, Warnings, stock_http
from tests.wire.chain import exception_texts

pytestmark = pytest.mark.anyio
REQUEST = SignUpRequest.from_object(ADA, Rules())
DIGEST = sha1(ADA["password"].encode(), usedforsecurity=False).hexdigest().upper()
API = "https://lists.example/range/"
URL = API + DIGEST[:5]
OTHER = "0" * 35 + ":3"
CLEAN = httpx.Response(200, text=f"{OTHER}\r\n{'F' * 35}:12")


@dataclass
class Harness:
    """A breach check with its warnings and clock."""

    http: Http
    warnings: Warnings = field(default_factory=Warnings)
    strict: bool = False
    now: float = 100.0

    def __post_init__(self) -> None:
        api = RangeApi(self.http, API, 1.0, clock=lambda: self.now)
        self.guard = BreachCheck(api, self.warnings, strict=self.strict)

    async def __call__(self, response: httpx.Response | Exception, seconds: float = 60.0) -> httpx.Request:
        """Check a password while the API returns this response or raises this exception; return the request."""
        with respx.mock:
            route = respx.get(URL).mock(side_effect=[response])
            await self.guard(Attempt(REQUEST, self.now + seconds))
        return route.calls.last.request


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    """Return an HTTP client."""
    async with stock_http() as stock:
        yield stock


@pytest.fixture
def check(http: Http) -> Harness:
    """Return a check that fails open."""
    return Harness(http)


@pytest.fixture
def strict(http: Http) -> Harness:
    """Return a check that fails closed."""
    return Harness(http, strict=True)


async def test_only_five_hex_digits_of_the_hash_are_sent(check: Harness) -> None:
    """The request is a GET with the prefix in its path and no body. Its header requests padding."""
    request = await check(CLEAN)
    assert (request.method, str(request.url), request.content) == ("GET", URL, b"")
    assert request.headers["add-padding"] == "true"
    sent = str(request.url) + repr(request.headers.raw)
    assert DIGEST[5:10].lower() not in sent.lower()
    assert check.warnings.lines == []


@pytest.mark.parametrize("line", [f"{DIGEST[5:]}:1", f"{DIGEST[5:].lower()}:10", f"{DIGEST[5:]}:007"])
@pytest.mark.parametrize("template", ["{line}", "{line}\r\n", "{other}\r\n{line}\r\n{other}", "{other}\n{line}\n"])
async def test_a_breached_password_is_rejected(check: Harness, line: str, template: str) -> None:
    """The hash may be anywhere in the list; the field's error does not quote it."""
    with pytest.raises(ValidationFailed) as caught:
        await check(httpx.Response(200, text=template.format(line=line, other=OTHER)))
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/password", "breached")]
    assert DIGEST[5:] not in exception_texts(caught.value)


@pytest.mark.parametrize("line", [f"{DIGEST[5:]}:0", f"{DIGEST[5:]}:000", f"{DIGEST[6:]}0:5", f"0{DIGEST[5:-1]}:5"])
async def test_padding_and_other_hashes_do_not_match(strict: Harness, line: str) -> None:
    """An entry with a count of 0 is padding."""
    await strict(httpx.Response(200, text=f"{OTHER}\r\n{line}"))


OUTAGES = [
    httpx.ConnectError("canary"),
    httpx.ReadTimeout("canary"),
    httpx.RemoteProtocolError("canary"),
    httpx.Response(200),
    httpx.Response(200, text="<html>canary</html>"),
    httpx.Response(200, text=f"{OTHER}\r\ncanary"),
    httpx.Response(200, text="0" * 34 + ":3"),
    httpx.Response(200, content=b"\xff\xfe"),
    httpx.Response(302, headers={"location": "https://elsewhere.example/"}),
    httpx.Response(429, text=OTHER),
    httpx.Response(503, text=OTHER),
]


@pytest.mark.parametrize("response", OUTAGES)
async def test_mode_on_fails_open_with_a_warning(check: Harness, response: httpx.Response | Exception) -> None:
    """Without a valid list, the sign-up is accepted; the warning does not quote the response."""
    await check(response)
    assert [line["event"] for line in check.warnings.lines] == ["breach_check_skipped"]
    assert check.warnings.lines[0]["reason"] in ("no_response", "invalid_response")
    assert "canary" not in str(check.warnings.lines)


@pytest.mark.parametrize("response", OUTAGES)
async def test_mode_strict_fails_closed(strict: Harness, response: httpx.Response | Exception) -> None:
    """Without a valid list, the sign-up gets 503 with Retry-After."""
    with pytest.raises(BreachCheckUnavailable) as caught:
        await strict(response)
    assert caught.value.headers() == {"retry-after": "5"}
    assert "canary" not in exception_texts(caught.value)
    assert strict.warnings.lines == []


@pytest.mark.parametrize(("remaining", "expected"), [(60.0, 1.0), (0.5, 0.5), (-1.0, 0.0)])
async def test_the_timeout_is_limited_by_the_requests_deadline(
    check: Harness, remaining: float, expected: float
) -> None:
    """The smaller of the check's own timeout and the remaining time applies."""
    request = await check(CLEAN, remaining)
    assert set(request.extensions["timeout"].values()) == {expected}


async def test_the_circuit_opens_after_repeated_failures(check: Harness, strict: Harness) -> None:
    """While the circuit is open, no request is sent. A check that fails open logs a warning for each sign-up.

    After two seconds, requests are sent again.
    """
    for each in (check, strict):
        for _ in range(FAILURES):
            try:
                await each(httpx.ConnectError(""))
            except BreachCheckUnavailable:
                assert each is strict
        with respx.mock:  # a request would fail the test
            if each is strict:
                with pytest.raises(BreachCheckUnavailable, match="circuit_open"):
                    await each.guard(Attempt(REQUEST, time.monotonic()))
            else:
                await each.guard(Attempt(REQUEST, time.monotonic()))
        each.now += 2
        await each(CLEAN)
        await each(CLEAN)
    assert len(check.warnings.lines) == FAILURES + 1
    assert check.warnings.lines[-1] == {"event": "breach_check_skipped", "reason": "circuit_open"}
