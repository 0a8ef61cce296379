"""Whatever a setting's URL is, it works or is a settings error: never a traceback, and never repeated in the log."""

import asyncio
import json

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devstack.kdf import cpython_kdf
from signup.composition import Platform, build
from signup.hashing.profiles import CHEAP
from signup.web.messages import Request
from tests.fakes import ADA

some = settings(max_examples=300, deadline=None, derandomize=True, database=None)

PROXY = "sql+http://token@127.0.0.1:1/"
TOKEN_FIELD = "cf-turnstile-response"
# What each setting needs beside itself to be used.
BESIDE: dict[str, dict[str, object]] = {
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
    """Draw something like a URL."""
    user = draw(st.sampled_from(["", "canary@", "user:canary@", ":@"]))
    host = draw(st.sampled_from(HOSTS) | st.text("ab1-._%:[]\u00fc", max_size=8))
    tail = draw(st.sampled_from(["", "/", "/db", "/?api_key=canary", ":5432/postgres", ":99999/", ":x/"]))
    text = f"{draw(st.sampled_from(SCHEMES))}://{user}{host}{tail}"
    at = draw(st.integers(0, len(text)))
    return text[:at] + draw(NOISE) + text[at:]


async def log_of(bindings: dict[str, object]) -> list[str]:
    """Return the log of an isolate with these bindings, of which each setting is used."""
    lines: list[str] = []

    def answered(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"success": True, "hostname": "example.com", "action": "sign-up"})

    platform = Platform(lambda: httpx.MockTransport(answered), cpython_kdf, lambda _: None, lines.append)
    app = build(bindings.get, platform, CHEAP)

    async def read(*_: object) -> bytes:
        token = {TOKEN_FIELD: "x"} if "TURNSTILE_SECRET" in bindings else {}
        return json.dumps(ADA | token).encode()

    json_posted = {"content-type": "application/json", "origin": "https://www.example.com"}
    sent = [Request("GET", "/", {"accept": "text/html"}, read), Request("GET", "/ready", {}, read)]
    if "BREACH_CHECK" in bindings:
        sent.append(Request("POST", "/", json_posted, read, "https://www.example.com"))
    for request in sent:
        await app(request)
    return lines


@some
@given(st.sampled_from([*BESIDE]), urls() | st.text(max_size=20))
@example("DATABASE_URL", f"sql+https://canary@{'a' * 70}.example.com/")
@example("DATABASE_URL", "postgres://canary%FF:canary@db.prisma.io/postgres")
@example("DATABASE_URL", "sql+https://canary\ud800@a.example/")
@example("TURNSTILE_URL", "https://[::1/")
@example("TURNSTILE_URL", "https://a.example:99999/")
@example("BREACH_API_URL", "https://xn--a/")
def test_a_url_works_or_is_a_settings_error(name: str, value: str) -> None:
    """No request ends in an exception that is not a `Problem`, and a wrong setting is named without its value."""
    for line in asyncio.run(log_of({"DATABASE_URL": PROXY, **BESIDE[name], name: value})):
        entry = json.loads(line)
        assert "exception" not in entry
        assert "canary" not in line
        if entry.get("code") == "misconfigured":
            assert entry["reason"].startswith(name)


@pytest.mark.parametrize("name", BESIDE)
def test_a_right_url_is_used(name: str) -> None:
    """The test above sees each setting in use: with a right URL nothing is misconfigured."""
    rights = {"DATABASE_URL": PROXY, "CORS_ORIGINS": "https://www.example.com"}
    value = rights.get(name, "https://a.example/")
    for line in asyncio.run(log_of({"DATABASE_URL": PROXY, **BESIDE[name], name: value})):
        assert json.loads(line).get("code") != "misconfigured"
