"""A deployed Worker redirects or refuses plain HTTP, and sends HSTS over HTTPS."""

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
def test_a_host_name_counts_as_deployed(host: str) -> None:
    """Plain HTTP to a deployed host is insecure; HSTS is sent only over HTTPS (RFC 6797, section 7.2)."""
    assert is_insecure(f"http://{host}")
    assert not is_insecure(f"https://{host}")
    assert security_headers(f"https://{host}") == {"strict-transport-security": "max-age=31536000"}
    assert security_headers(f"http://{host}") == {}


@pytest.mark.parametrize("host", LOCAL)
def test_wrangler_dev_may_use_plain_http(host: str) -> None:
    """Localhost and IP addresses may use plain HTTP, and get no HSTS."""
    for scheme in ("http", "https"):
        assert not is_insecure(f"{scheme}://{host}")
        assert security_headers(f"{scheme}://{host}") == {}


@pytest.mark.parametrize(
    "path", ["/", "/ready", "/health", "/openapi.json", "/problems/internal", "/nowhere", "//evil.example"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_get_and_head_are_redirected_to_https(method: str, path: str) -> None:
    """The 308 keeps path and query, drops the port, and does not depend on the settings."""
    client = Client(misconfigured=Misconfigured("DATABASE_URL", "is not set"))
    client.own_origin, client.query = "http://signup.example:8080", "?a=b&c"
    response, body = await client.request(method, path, headers={"accept": "text/html"})
    assert (response.status, body) == (308, None)
    assert response.headers["location"] == f"https://signup.example{path}?a=b&c"
    assert "strict-transport-security" not in response.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", ["/", "/nowhere"])
async def test_other_methods_are_refused_before_the_body_is_read(method: str, path: str) -> None:
    """The response is 403: a redirected client would keep sending the password over plain HTTP first."""

    async def read(*_: object) -> bytes:
        raise AssertionError

    client = Client()
    for headers in ({"content-type": "application/json"}, {"content-type": "application/x-www-form-urlencoded"}):
        response = await client.app(Request(method, path, headers, read, "http://signup.example"))
        assert response.status == 403
        assert b'"https_required"' in response.body
    assert client.proxy.executed == []


async def test_a_preflight_over_plain_http_is_refused() -> None:
    """A page of a listed origin may not post over plain HTTP either, but may read the error."""
    client = Client()
    client.own_origin, client.origins = "http://signup.example", Origins(frozenset({"https://www.example.com"}))
    headers = {"origin": "https://www.example.com", "access-control-request-method": "POST"}
    response, body = await client.request("OPTIONS", headers=headers)
    assert (response.status, body["code"]) == (403, "https_required")
    assert response.headers["access-control-allow-origin"] == "https://www.example.com"
    response, _ = await client.request("GET", headers=headers)
    assert (response.status, response.headers["vary"]) == (308, "origin")


async def test_every_response_over_https_has_hsts() -> None:
    """Successes, problems, pages and preflights have the header."""
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


def test_static_files_have_hsts() -> None:
    """Cloudflare serves static files with the headers in public/_headers."""
    text = (ROOT / "public" / "_headers").read_text(encoding="utf-8")
    (block,) = re.findall(r"^/\*\n((?:  .*\n)+)", text, re.MULTILINE)
    assert f"Strict-Transport-Security: {STRICT_TRANSPORT_SECURITY}" in block


def test_wrangler_dev_runs_as_localhost() -> None:
    """By default, wrangler uses the host of the first route, and the Worker would redirect to the deployed site."""
    assert tomllib.loads((ROOT / "wrangler.toml").read_text(encoding="utf-8"))["dev"]["host"] == "localhost"
