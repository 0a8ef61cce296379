"""Requests and responses of an HTTP endpoint."""

import httpx
import pytest
import respx

from signup.http_client import Http
from tests.fakes import stock_http

pytestmark = pytest.mark.anyio
URL = "https://proxy.example:8443/sql"


async def test_post_and_get_send_the_headers_and_return_the_response() -> None:
    """The headers of the endpoint and of the request are sent, with Host and Content-Length. The body is read."""
    async with stock_http() as http:
        endpoint = http.endpoint(URL, {"authorization": "Bearer t"})
        with respx.mock:
            route = respx.route(url=URL).respond(418, content=b"short and stout", headers={"x-a": "b"})
            responses = [await endpoint.post(b"body", headers={"x-c": "d"}, seconds=1.5), await endpoint.get()]
    assert [(response.status_code, response.content, response.headers["x-a"]) for response in responses] == [
        (418, b"short and stout", "b")
    ] * 2
    posted, got = (call.request for call in route.calls)
    assert (posted.method, await posted.aread(), posted.extensions["timeout"]["read"]) == ("POST", b"body", 1.5)
    common_headers = {
        "host": "proxy.example:8443",
        "accept": "*/*",
        "authorization": "Bearer t",
        "user-agent": "signup",
    }
    assert dict(posted.headers) == common_headers | {"x-c": "d", "content-length": "4"}
    assert (got.method, await got.aread(), dict(got.headers)) == ("GET", b"", common_headers)
    assert set(got.extensions["timeout"].values()) == {5}


async def test_no_cookie_is_sent_with_the_next_request() -> None:
    """Otherwise a request could get the session of another user."""
    async with stock_http() as http:
        endpoint = http.endpoint(URL, {})
        with respx.mock:
            route = respx.route(url=URL).respond(headers={"set-cookie": "session=canary"})
            for _ in range(2):
                await endpoint.post(b"")
    assert ["cookie" in call.request.headers for call in route.calls] == [False, False]


async def test_a_redirect_is_not_followed() -> None:
    """Otherwise credentials could be sent to another host."""
    async with stock_http() as http:
        with respx.mock:
            respx.route(url=URL).respond(307, headers={"location": "https://elsewhere.example/"})
            assert (await http.endpoint(URL, {}).post(b"")).status_code == 307


async def test_an_invalid_url_raises_an_exception_when_it_is_used() -> None:
    """An endpoint can have an invalid URL. Its first request raises an exception of httpx, which callers translate."""
    http = Http(httpx.MockTransport(lambda _: httpx.Response(200)), 1)
    with pytest.raises(httpx.InvalidURL):
        await http.endpoint("https://proxy.example:port/", {}).get()
