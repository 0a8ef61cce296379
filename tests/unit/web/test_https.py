"""Plain HTTP is refused where the Worker is deployed, and HTTPS is asked for from then on."""

import re
import tomllib
from pathlib import Path

import pytest

from signup.problems import Misconfigured
from signup.web.cors import Origins
from signup.web.https import STRICT_TRANSPORT_SECURITY, is_insecure, security_headers
from signup.web.messages import Request
from tests.fakes import Client

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
DEPLOYED = [
    "signup.example.com",
    "signup.acme.workers.dev",
    "localhost.example.com",
    "notlocalhost",
    "signup.example:8080",
]
LOCAL = [
    "localhost:8787",
    "a.localhost",
    "127.0.0.1:8787",
    "[::1]:8787",
    "192.168.1.7:8787",
    "[fe80::1]",
    "203.0.113.7",
]


@pytest.mark.parametrize("host", DEPLOYED)
def test_a_named_host_is_deployed(host: str) -> None:
    """Plain HTTP is insecure there; HTTPS is asked for over HTTPS alone (RFC 6797, section 7.2)."""
    assert is_insecure(f"http://{host}")
    assert not is_insecure(f"https://{host}")
    assert security_headers(f"https://{host}") == {"strict-transport-security": "max-age=31536000"}
    assert security_headers(f"http://{host}") == {}


@pytest.mark.parametrize("host", LOCAL)
def test_wrangler_dev_is_left_alone(host: str) -> None:
    """This machine by name, and any IP address: neither refused nor sent HSTS."""
    for scheme in ("http", "https"):
        assert not is_insecure(f"{scheme}://{host}")
        assert security_headers(f"{scheme}://{host}") == {}


@pytest.mark.parametrize(
    "path", ["/", "/ready", "/health", "/openapi.json", "/problems/internal", "/nowhere", "//evil.example"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_reading_is_redirected(method: str, path: str) -> None:
    """308 to the same URL over HTTPS, with its query, at HTTPS's own port, whatever the settings are."""
    client = Client(misconfigured=Misconfigured("DATABASE_URL", "is not set"))
    client.own, client.query = "http://signup.example:8080", "?a=b&c"
    response, body = await client.request(method, path, headers={"accept": "text/html"})
    assert (response.status, body) == (308, None)
    assert response.headers["location"] == f"https://signup.example{path}?a=b&c"
    assert "strict-transport-security" not in response.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ["/", "/nowhere"])
async def test_all_else_is_refused_before_its_body_is_read(method: str, path: str) -> None:
    """403, and neither the body nor the rate limit is touched; a redirect would have the password sent again."""

    async def read(*_: object) -> bytes:
        raise AssertionError

    client = Client()
    for headers in ({"content-type": "application/json"}, {"content-type": "application/x-www-form-urlencoded"}):
        response = await client.app(Request(method, path, headers, read, "http://signup.example"))
        assert response.status == 403
        assert b'"https_required"' in response.body
    assert client.proxy.executed == []


async def test_a_preflight_over_plain_http_is_refused() -> None:
    """A page that is allowed to post is not allowed to post in the clear, and may read why."""
    client = Client()
    client.own, client.origins = "http://signup.example", Origins(frozenset({"https://www.example.com"}))
    headers = {"origin": "https://www.example.com", "access-control-request-method": "POST"}
    response, body = await client.request("OPTIONS", headers=headers)
    assert (response.status, body["code"]) == (403, "https_required")
    assert response.headers["access-control-allow-origin"] == "https://www.example.com"
    response, _ = await client.request("GET", headers=headers)
    assert (response.status, response.headers["vary"]) == (308, "origin")


async def test_every_answer_over_https_asks_for_https() -> None:
    """Successes, problems, pages and preflights alike."""
    client = Client([["1"]])
    client.origins = Origins(frozenset({"https://www.example.com"}))
    page = {"accept": "text/html"}
    preflight = {"origin": "https://www.example.com", "access-control-request-method": "POST"}
    for method, path, headers in (
        *(("GET", "/ready", {}), ("GET", "/health", {}), ("GET", "/openapi.json", {}), ("POST", "/", {})),
        *(
            ("GET", "/", page),
            ("HEAD", "/", page),
            ("OPTIONS", "/", preflight),
            ("GET", "/nowhere", {}),
            ("PUT", "/", {}),
        ),
    ):
        response, _ = await client.request(method, path, headers=headers)
        assert response.headers["strict-transport-security"] == STRICT_TRANSPORT_SECURITY


def test_the_assets_ask_for_https_too() -> None:
    """public/_headers has the same for every file, which Cloudflare answers with by itself."""
    text = (ROOT / "public" / "_headers").read_text(encoding="utf-8")
    (block,) = re.findall(r"^/\*\n((?:  .*\n)+)", text, re.MULTILINE)
    assert f"Strict-Transport-Security: {STRICT_TRANSPORT_SECURITY}" in block


def test_wrangler_dev_answers_as_localhost() -> None:
    """With routes set it would answer as the first of them, and the Worker would lead to what is deployed there."""
    assert tomllib.loads((ROOT / "wrangler.toml").read_text(encoding="utf-8"))["dev"]["host"] == "localhost"
