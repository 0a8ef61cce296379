"""Rate limits per client and per e-mail address."""

import time
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from signup.fields.models import Rules, SignUpRequest
from signup.guards.rate_limits import CLIENT_LIMIT, EMAIL_LIMIT, Limiter, Limits, client_key
from signup.problems import RateLimited
from signup.registration.service import Attempt
from tests.fakes import ADA, Client, Warnings

pytestmark = pytest.mark.anyio
ATTEMPT = Attempt(SignUpRequest.from_object(ADA, Rules()), time.monotonic() + 60)


class FakeBindings:
    """Rate limiting bindings that record their keys and always return the same result."""

    def __init__(self, result: bool | None, *bound: str) -> None:
        self.keys: list[tuple[str, str]] = []
        self._result = result
        self._bound = bound

    def __call__(self, name: str) -> Limiter | None:
        """Return the named binding, or None if it is not bound."""

        async def within(key: str, /) -> bool | None:
            self.keys.append((name, key))
            return self._result

        return within if name in self._bound else None


@pytest.fixture
def warnings() -> Warnings:
    """Return an object that records warnings."""
    return Warnings()


@pytest.mark.parametrize(
    ("client", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:0DB8:0001:0002::", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("nonsense", "unknown"),
    ],
)
def test_a_client_is_an_ipv4_address_or_a_64_network(client: str, key: str) -> None:
    """Addresses of one IPv6 /64 are one client; invalid addresses share one key."""
    assert client_key(client) == key


async def test_exceeding_a_limit_raises_rate_limited(warnings: Warnings) -> None:
    """The problem has Retry-After and names the limit."""
    within = Limits(FakeBindings(True, CLIENT_LIMIT, EMAIL_LIMIT), warnings)
    await within.admit("192.0.2.1")
    await within(ATTEMPT)
    beyond = Limits(FakeBindings(False, CLIENT_LIMIT, EMAIL_LIMIT), warnings)
    with pytest.raises(RateLimited) as client:
        await beyond.admit("192.0.2.1")
    with pytest.raises(RateLimited) as email:
        await beyond(ATTEMPT)
    assert client.value.headers() == {"retry-after": "60"}
    assert [client.value.details, email.value.details] == [{"limit": CLIENT_LIMIT}, {"limit": EMAIL_LIMIT}]
    assert warnings.lines == []


async def test_an_address_is_counted_by_its_digest(warnings: Warnings) -> None:
    """Addresses with the same canonical form have the same key, which does not contain the address."""
    bindings = FakeBindings(True, CLIENT_LIMIT, EMAIL_LIMIT)
    limits = Limits(bindings, warnings)
    for email in ("ada@example.com", "ADA@example.com", "bob@example.com"):
        await limits(replace(ATTEMPT, request=SignUpRequest.from_object({**ADA, "email": email}, Rules())))
    keys = [key for _, key in bindings.keys]
    assert keys[0] == keys[1] != keys[2]
    assert not [key for key in keys if "ada" in key or "@" in key]


@pytest.mark.parametrize(
    ("make", "event"),
    [
        (lambda: FakeBindings(None, CLIENT_LIMIT, EMAIL_LIMIT), "rate_limiter_failed"),
        (lambda: FakeBindings(True), "rate_limiter_missing"),
    ],
)
async def test_a_missing_or_failing_limit_fails_open_with_a_warning(
    warnings: Warnings, make: Callable[[], FakeBindings], event: str
) -> None:
    """There is one warning per limit and isolate."""
    limits = Limits(make(), warnings)
    for _ in range(3):
        await limits.admit("192.0.2.1")
        await limits(ATTEMPT)
    assert warnings.lines == [{"event": event, "limit": CLIENT_LIMIT}, {"event": event, "limit": EMAIL_LIMIT}]


async def test_a_limited_request_is_refused_before_its_body_is_checked() -> None:
    """Valid and invalid requests get 429; /health still responds with 200."""
    client = Client()
    client.limits = Limits(FakeBindings(False, CLIENT_LIMIT), Warnings())
    for request in ({}, {"body": b"nonsense", "headers": {}}, {"body": b" " * 20_000}):
        response, problem = await client.request(**request)
        assert (response.status, problem["code"]) == (429, "rate_limited")
        assert response.headers["retry-after"] == "60"
    assert (await client.request("GET", "/ready"))[0].status == 429
    assert (await client.request("GET", "/health"))[0].status == 200
    assert client.proxy.executed == []


def test_every_environment_has_the_same_limits() -> None:
    """Environments do not inherit bindings, so each one has its own. The period equals Retry-After."""
    config = tomllib.loads((Path(__file__).parents[3] / "wrangler.toml").read_text())
    environments = [config, *config["env"].values()]
    limits = [{each["name"]: each["simple"] for each in environment["ratelimits"]} for environment in environments]
    assert limits[0].keys() == {CLIENT_LIMIT, EMAIL_LIMIT}
    assert all(each == limits[0] for each in limits)
    assert {simple["period"] for simple in limits[0].values()} == {RateLimited.RETRY_AFTER}
    ids = [each["namespace_id"] for environment in environments for each in environment["ratelimits"]]
    assert len(ids) == len({*ids})
