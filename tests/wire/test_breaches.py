"""What goes over the wire to the breach check's API, and what each answer means. The wire is respx's."""

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
from tests.fakes import ADA, stock_http
from tests.wire.chain import everything_said

pytestmark = pytest.mark.anyio
REQUEST = SignUpRequest.from_object(ADA, Rules())
DIGEST = sha1(ADA["password"].encode(), usedforsecurity=False).hexdigest().upper()
API = "https://lists.example/range/"
URL = API + DIGEST[:5]
OTHER = "0" * 35 + ":3"
CLEAN = httpx.Response(200, text=f"{OTHER}\r\n{'F' * 35}:12")


@dataclass
class Check:
    """A check, what it warned of, and its clock."""

    http: Http
    warnings: list[str] = field(default_factory=list)
    strict: bool = False
    now: float = 100.0

    def __post_init__(self) -> None:
        api = RangeApi(self.http, API, 1.0, clock=lambda: self.now)
        self.guard = BreachCheck(api, self.warnings.append, strict=self.strict)

    async def __call__(self, answer: httpx.Response | Exception, seconds: float = 60.0) -> httpx.Request:
        """Check Ada's password against an answer or a failure to answer; return the request."""
        with respx.mock:
            route = respx.get(URL).mock(side_effect=[answer])
            await self.guard(Attempt(REQUEST, self.now + seconds))
        return route.calls.last.request


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    """Return HTTP."""
    async with stock_http() as stock:
        yield stock


@pytest.fixture
def check(http: Http) -> Check:
    """Return a check that fails open."""
    return Check(http)


@pytest.fixture
def strict(http: Http) -> Check:
    """Return a check that fails closed."""
    return Check(http, strict=True)


async def test_only_five_digits_leave(check: Check) -> None:
    """One GET of the prefix, padded, without a body; the rest of the hash, and the password, stay here."""
    request = await check(CLEAN)
    assert (request.method, str(request.url), request.content) == ("GET", URL, b"")
    assert request.headers["add-padding"] == "true"
    sent = str(request.url) + repr(request.headers.raw)
    assert DIGEST[5:10].lower() not in sent.lower()
    assert check.warnings == []


@pytest.mark.parametrize("line", [f"{DIGEST[5:]}:1", f"{DIGEST[5:].lower()}:10", f"{DIGEST[5:]}:007"])
@pytest.mark.parametrize("form", ["{line}", "{line}\r\n", "{other}\r\n{line}\r\n{other}", "{other}\n{line}\n"])
async def test_a_listed_password_is_refused(check: Check, line: str, form: str) -> None:
    """Wherever in the list it stands, as an error of the field, which repeats nothing."""
    with pytest.raises(ValidationFailed) as caught:
        await check(httpx.Response(200, text=form.format(line=line, other=OTHER)))
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/password", "breached")]
    assert DIGEST[5:] not in everything_said(caught.value)


@pytest.mark.parametrize("line", [f"{DIGEST[5:]}:0", f"{DIGEST[5:]}:000", f"{DIGEST[6:]}0:5", f"0{DIGEST[5:-1]}:5"])
async def test_padding_and_others_are_not_the_password(strict: Check, line: str) -> None:
    """A count of nothing is padding; another hash is another password."""
    await strict(httpx.Response(200, text=f"{OTHER}\r\n{line}"))


FAILURES_TO_ANSWER = [
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


@pytest.mark.parametrize("answer", FAILURES_TO_ANSWER)
async def test_it_fails_open_and_says_so(check: Check, answer: httpx.Response | Exception) -> None:
    """Whatever is not a list lets the sign-up through, with one line for the log that quotes nothing."""
    await check(answer)
    assert len(check.warnings) == 1
    assert check.warnings[0].startswith("a password was accepted unchecked: the breach check")
    assert "canary" not in check.warnings[0]


@pytest.mark.parametrize("answer", FAILURES_TO_ANSWER)
async def test_strict_fails_closed(strict: Check, answer: httpx.Response | Exception) -> None:
    """Whatever is not a list is 503 with a Retry-After."""
    with pytest.raises(BreachCheckUnavailable) as caught:
        await strict(answer)
    assert caught.value.headers() == {"retry-after": "5"}
    assert "canary" not in everything_said(caught.value)
    assert strict.warnings == []


@pytest.mark.parametrize(("left", "expected"), [(60.0, 1.0), (0.5, 0.5), (-1.0, 0.0)])
async def test_its_deadline_is_its_own_and_within_the_requests(check: Check, left: float, expected: float) -> None:
    """The check never takes longer than its own time, nor than what the request has left."""
    request = await check(CLEAN, left)
    assert set(request.extensions["timeout"].values()) == {expected}


async def test_what_is_dead_is_left_alone(check: Check, strict: Check) -> None:
    """After failures in a row nobody asks for a while; each unchecked password is warned of all the same."""
    for each in (check, strict):
        for _ in range(FAILURES):
            try:
                await each(httpx.ConnectError(""))
            except BreachCheckUnavailable:
                assert each is strict
        with respx.mock:  # a request would fail the test
            if each is strict:
                with pytest.raises(BreachCheckUnavailable, match="circuit is open"):
                    await each.guard(Attempt(REQUEST, time.monotonic()))
            else:
                await each.guard(Attempt(REQUEST, time.monotonic()))
        each.now += 2
        await each(CLEAN)
        await each(CLEAN)
    assert len(check.warnings) == FAILURES + 1
    assert "circuit is open" in check.warnings[-1]
