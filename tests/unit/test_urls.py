"""Any URL in a setting works or is reported as misconfigured, without a traceback and without its value."""

import asyncio
import json

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devstack.kdf import cpython_kdf
from signup.composition import Platform, build
from signup.hashing.profiles import CHEAP
from signup.web.messages import Request
from tests.counts import examples
from tests.fakes import ADA

PROXY = "sql+http://token@127.0.0.1:1/"
TOKEN_FIELD = "cf-turnstile-response"
# The other settings that each setting needs to take effect.
REQUIRED: dict[str, dict[str, object]] = {
    "DATABASE_URL": {},
    "NEXT_URL": {},
    "CORS_ORIGINS": {},
    "BREACH_API_URL": {"BREACH_CHECK": "strict"},
    "TURNSTILE_URL": {"BREACH_CHECK": "strict", "TURNSTILE_SECRET": "x", "TURNSTILE_HOSTNAMES": "example.com"},
}
SCHEMES = ["https", "http", "sql+https", "sql+http", "postgres", "postgresql", "prisma", "prisma+postgres", "", "x"]
HOSTS = ["127.0.0.1", "[::1]", "localhost", "ep-x.neon.tech", "db.prisma.io", "a.example", "a" * 70, "xn--", "[", "1.2"]
PIECE = st.sampled_from(["%FF", "%C3%BC", "%", "%zz", "xn--a", "\ud800", "\u00fc", "..", "@", "[", "]", ":", "\t", "#"])
NOISE = st.lists(PIECE | st.text(max_size=4), max_size=3).map("".join)


@st.composite
def urls(draw: st.DrawFn) -> str:
    """Draw a text that resembles a URL."""
    user = draw(st.sampled_from(["", "canary@", "user:canary@", ":@"]))
    host = draw(st.sampled_from(HOSTS) | st.text("ab1-._%:[]\u00fc", max_size=8))
    tail = draw(st.sampled_from(["", "/", "/db", "/?api_key=canary", ":5432/postgres", ":99999/", ":x/"]))
    text = f"{draw(st.sampled_from(SCHEMES))}://{user}{host}{tail}"
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(NOISE) + text[at:]


async def collect_log(bindings: dict[str, object]) -> list[str]:
    """Return the log of an isolate after requests that use these bindings."""
    lines: list[str] = []

    def respond(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"success": True, "hostname": "example.com", "action": "sign-up"})

    platform = Platform(lambda: httpx.MockTransport(respond), cpython_kdf, lambda _: None, lines.append)
    app = build(bindings.get, platform, CHEAP)

    async def read(*_: object) -> bytes:
        token = {TOKEN_FIELD: "x"} if "TURNSTILE_SECRET" in bindings else {}
        return json.dumps(ADA | token).encode()

    json_headers = {"content-type": "application/json", "origin": "https://www.example.com"}
    requests = [Request("GET", "/", {"accept": "text/html"}, read), Request("GET", "/ready", {}, read)]
    if "BREACH_CHECK" in bindings:
        requests.append(Request("POST", "/", json_headers, read, "https://www.example.com"))
    for request in requests:
        await app(request)
    return lines


@examples(75)
@given(st.sampled_from([*REQUIRED]), urls() | st.text(max_size=20))
@example("DATABASE_URL", f"sql+https://canary@{'a' * 70}.example.com/")
@example("DATABASE_URL", "postgres://canary%FF:canary@db.prisma.io/postgres")
@example("DATABASE_URL", "sql+https://canary\ud800@a.example/")
@example("TURNSTILE_URL", "https://[::1/")
@example("TURNSTILE_URL", "https://a.example:99999/")
@example("BREACH_API_URL", "https://xn--a/")
def test_any_url_works_or_causes_misconfigured(name: str, value: str) -> None:
    """No unexpected exception is raised, and an invalid setting is named without its value."""
    for line in asyncio.run(collect_log({"DATABASE_URL": PROXY, **REQUIRED[name], name: value})):
        entry = json.loads(line)
        assert "exception" not in entry
        assert "canary" not in line
        if entry.get("code") == "misconfigured":
            assert entry["reason"].startswith(name)


@pytest.mark.parametrize("name", REQUIRED)
def test_a_valid_url_is_not_misconfigured(name: str) -> None:
    """If valid URLs were refused, the test above would not reach the code that uses the setting."""
    valid = {"DATABASE_URL": PROXY, "CORS_ORIGINS": "https://www.example.com"}
    value = valid.get(name, "https://a.example/")
    for line in asyncio.run(collect_log({"DATABASE_URL": PROXY, **REQUIRED[name], name: value})):
        assert json.loads(line).get("code") != "misconfigured"
