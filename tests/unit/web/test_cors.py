"""Requests from pages of other origins are refused unless the origin is listed."""

import pytest

from signup.problems import Misconfigured
from signup.web.cors import Origins
from tests.fakes import OWN, Client

pytestmark = pytest.mark.anyio

LISTED = "https://www.example.com"
FOREIGN = "https://evil.example"
JSON = {"content-type": "application/json"}


def client(*origins: str) -> Client:
    """Return an application that allows these origins."""
    worker = Client()
    worker.origins = Origins(frozenset(origins))
    return worker


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        # A client that is not a browser, or an old browser on the sign-up page.
        ({}, 201),
        ({"origin": OWN}, 201),
        # The sign-up page, or a request that the user started.
        ({"origin": OWN, "sec-fetch-site": "same-origin"}, 201),
        ({"sec-fetch-site": "same-origin"}, 201),
        ({"sec-fetch-site": "none"}, 201),
        # A page of a listed origin.
        ({"origin": LISTED, "sec-fetch-site": "cross-site"}, 201),
        ({"origin": LISTED}, 201),
        # Pages of other origins.
        ({"origin": FOREIGN}, 403),
        ({"origin": FOREIGN, "sec-fetch-site": "same-origin"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": OWN, "sec-fetch-site": "cross-site"}, 403),
        ({"origin": LISTED.upper()}, 403),
        ({"origin": LISTED + ":8443"}, 403),
        ({"origin": LISTED + ".evil.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "canary"}, 403),
    ],
)
async def test_only_the_sign_up_page_and_listed_origins_may_post(headers: dict[str, str], status: int) -> None:
    """Other origins get 403, and no statement is sent; clients that are not browsers are not affected."""
    worker = client(LISTED)
    response, content = await worker.request(headers=JSON | headers)
    assert response.status == status
    assert (content.get("code") == "cross_origin_refused") == (status == 403)
    assert len(worker.proxy.executed) == (status == 201)


async def test_only_listed_origins_may_read_responses() -> None:
    """Successes and errors allow the page's origin, never a wildcard; `Vary` keeps caches from mixing responses up."""
    worker = client(LISTED)
    for body, status in ((None, 201), (b"nonsense", 400)):
        response, _ = await worker.request(body=body, headers={**JSON, "origin": LISTED})
        assert response.status == status
        assert response.headers["access-control-allow-origin"] == LISTED
        assert response.headers["access-control-expose-headers"] == "idempotency-replayed, retry-after, x-request-id"
        assert response.headers["vary"] == ("origin" if status == 201 else "accept-language, origin")
    response, _ = await worker.request(headers={**JSON, "origin": FOREIGN})
    assert [name for name in response.headers if name.startswith("access-control")] == []
    assert response.headers["vary"] == "accept-language, origin"


async def test_a_preflight_from_a_listed_origin_is_allowed() -> None:
    """The 204 allows POST and two headers for two hours; an unlisted origin gets 403."""
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    response, content = await client(LISTED).request("OPTIONS", headers={**preflight, "origin": LISTED})
    assert (response.status, response.body, content) == (204, b"", None)
    expected = {
        "access-control-allow-origin": LISTED,
        "access-control-allow-methods": "POST",
        "access-control-allow-headers": "content-type, idempotency-key",
        "access-control-max-age": "7200",
    }
    assert expected.items() <= response.headers.items()
    response, content = await client(LISTED).request("OPTIONS", headers={**preflight, "origin": FOREIGN})
    assert (response.status, content["code"]) == (403, "cross_origin_refused")


@pytest.mark.parametrize("listed", [[], [LISTED]])
async def test_options_gets_405_without_listed_origins_or_a_preflight(listed: list[str]) -> None:
    """Without listed origins CORS is off. With them, only a preflight may use OPTIONS."""
    headers = {} if listed else {"origin": LISTED, "access-control-request-method": "POST"}
    response, _ = await client(*listed).request("OPTIONS", headers=headers)
    assert (response.status, response.headers["allow"]) == (405, "POST, GET, HEAD")
    assert not [name for name in response.headers if name.startswith("access-control")]
    assert ("origin" in response.headers["vary"]) == bool(listed)


async def test_a_misconfigured_worker_sends_no_cors_headers() -> None:
    """With wrong settings no origin is trusted."""
    worker = Client(misconfigured=Misconfigured("CORS_ORIGINS", "is wrong"))
    response, _ = await worker.request(headers={**JSON, "origin": LISTED})
    assert (response.status, response.headers["vary"]) == (500, "accept-language")
