"""The page and its form, requested through the application."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from signup.guards.rate_limits import CLIENT_LIMIT, Limits
from signup.problems import Misconfigured, ProxyTimeout, RateLimited, TooBusy
from signup.web.cors import Origins
from tests.fakes import ADA, OWN, SETTINGS, Client, Warnings, change, user_row

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html,*/*;q=0.8"}
FORM = {"content-type": "application/x-www-form-urlencoded", **HTML}
NEXT = "https://www.example.com/welcome"


def posted(**more: str) -> bytes:
    """Return the body of a posted form with Ada's data."""
    return urlencode({"idempotency-key": "key-1", **ADA, **more}).encode()


def key(html: str) -> str:
    """Return the idempotency key in a page."""
    (value,) = re.findall(r'name="idempotency-key" value="([^"]+)"', html)
    return str(value)


async def test_get_returns_the_page_if_html_is_acceptable() -> None:
    """If HTML is acceptable, GET and HEAD return 200. Otherwise, the response is 406."""
    response, html = await Client().request("GET", headers=HTML)
    assert (response.status, response.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert html.startswith("<!doctype html>")
    assert response.headers["vary"] == "accept, accept-language"
    assert response.headers["referrer-policy"] == "same-origin"
    assert "default-src 'none'" in response.headers["content-security-policy"]
    response, html = await Client().request("HEAD", headers=HTML)
    assert (response.status, html) == (200, None)
    # The content type of a request without a body does not matter.
    response, html = await Client().request("GET", headers={**HTML, "content-type": "application/json"})
    assert response.status == 200
    for accept in ({}, {"accept": "*/*"}, {"accept": "application/json, text/*;q=0.1"}):
        response, html = await Client().request("GET", headers=accept)
        assert (response.status, html[:15]) == (200, "<!doctype html>")
    for refusing in ("application/json", "text/html;q=0, */*", "text/plain"):
        response, problem = await Client().request("GET", headers={"accept": refusing})
        assert (response.status, problem["code"]) == (406, "not_acceptable")
        assert response.headers["vary"] == "accept, accept-language"


async def test_each_page_has_a_new_key() -> None:
    """The form of a reloaded page is therefore a new sign-up."""
    client = Client()
    keys = {key((await client.request("GET", headers=HTML))[1]) for _ in range(3)}
    assert len(keys) == 3


async def test_a_posted_form_signs_up_with_its_idempotency_key() -> None:
    """The statement is the same as for a sign-up in JSON; posting the form again is a replay."""
    client = Client()
    response, html = await client.request(body=posted(), headers=FORM)
    assert (response.status, 'id="done"' in html) == (201, True)
    stored = client.proxy.executed[0][1][-2]
    client.proxy.outcomes = [[user_row(stored)]]
    response, again = await client.request(body=posted(), headers=FORM)
    assert (response.status, response.headers["idempotency-replayed"], again) == (201, "true", html)
    statement, parameters = client.proxy.executed[0]
    json_client = Client()
    await json_client.request(headers={"content-type": "application/json", "idempotency-key": "key-1"})
    json_statement, json_parameters = json_client.proxy.executed[0]
    differences = [
        parameter != json_parameter for parameter, json_parameter in zip(parameters, json_parameters, strict=True)
    ]
    # Only the salted hash differs.
    assert (statement, sum(differences)) == (json_statement, 1)


async def test_a_success_redirects_to_next_url() -> None:
    """The 303 prevents a reload from posting again; with concealment the response is the same."""
    for conceal in (False, True):
        client = Client()
        client.settings = change(SETTINGS, next_url=NEXT)
        client.conceal = conceal
        response, html = await client.request(body=posted(), headers=FORM)
        assert (response.status, response.headers["location"], html) == (303, NEXT, None)


async def test_concealment_gives_new_and_taken_addresses_the_same_page() -> None:
    """Both addresses get 202 and the same page."""
    pages = []
    for client in (Client(), Client([])):
        client.settings = change(SETTINGS, duplicate_response="conceal")
        client.conceal = True
        response, html = await client.request(body=posted(), headers=FORM)
        assert response.status == 202
        pages.append(html)
    assert pages[0] == pages[1]


def refusals() -> Iterator[tuple[int, Client, dict[str, Any], bool]]:
    """Yield a status, a client, a request that gets this status, and whether the page keeps its key."""
    yield 422, Client(), {"body": posted(name="")}, False
    yield 422, Client(), {"body": posted(role="admin")}, False
    yield 409, Client([]), {}, False
    yield 400, Client(), {"body": posted() + b"&name=Eve"}, False
    yield 400, Client(), {"body": posted(**{"idempotency-key": "no key"})}, False
    yield 403, Client(), {"headers": {**FORM, "origin": "https://evil.example"}}, False
    yield 413, Client(), {"body": posted(name="a" * 17_000)}, False
    yield 415, Client(), {"headers": {**FORM, "content-type": FORM["content-type"] + "; charset=latin-1"}}, False
    yield 503, Client(TooBusy("hash_queue_full", 3)), {}, True
    yield 504, Client(ProxyTimeout("no_response")), {}, True
    yield 500, Client(RuntimeError("a bug")), {}, True

    yield 429, Client(RateLimited("EMAIL_LIMIT")), {}, True


@pytest.mark.parametrize("case", list(refusals()), ids=lambda case: str(case[0]))
async def test_errors_are_shown_on_the_form(case: tuple[int, Client, dict[str, Any], bool]) -> None:
    """The page has the problem's status; the key is kept if the request may be repeated, and otherwise replaced."""
    status, client, request, keeps_key = case
    response, html = await client.request(**{"body": posted(), "headers": FORM, **request})
    assert (response.status, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert 'id="summary" role="alert" tabindex="-1" autofocus' in html
    assert (key(html) == "key-1") is keeps_key
    assert ADA["password"] not in html
    assert client.log()[0]["status"] == status
    assert client.log()[0]["code"]


async def test_a_client_beyond_the_rate_limit_gets_an_empty_form() -> None:
    """The body was not read, so its values are not shown; the page states the time to wait."""

    async def exceeded(_: str) -> bool:
        return False

    client = Client()
    client.limits = Limits(lambda name: exceeded if name == CLIENT_LIMIT else None, Warnings())
    response, html = await client.request(body=posted(), headers=FORM)
    assert (response.status, response.headers["retry-after"]) == (429, "60")
    assert "Please wait 60 s, then try again." in html
    assert "ada@example.com" not in html.replace("like ada@example.com", "")


async def test_a_bug_is_logged_as_for_a_json_request() -> None:
    """The log has the exception's class and traceback; neither it nor the page has the exception's text."""
    client = Client(RuntimeError("canary"))
    response, html = await client.request(body=posted(), headers=FORM)
    (line,) = client.log()
    assert line["exception"] == "RuntimeError"
    assert re.search(r"fakes\.py:\d+ execute$", line["traceback"][-1])
    assert response.headers["x-request-id"] in html
    assert "canary" not in html + client.lines[0]


async def test_a_misconfigured_worker_returns_a_page_to_a_form() -> None:
    """The page has the default appearance."""
    problem = Misconfigured("PAGE_COLOUR", "is wrong")
    client = Client(misconfigured=problem)
    client.settings_problem = problem
    response, html = await client.request(body=posted(), headers=FORM)
    assert (response.status, "This service is not set up correctly" in html) == (500, True)
    response, html = await client.request("GET", headers=HTML)
    assert (response.status, "style-src 'self';" in response.headers["content-security-policy"]) == (200, True)


async def test_vary_lists_the_origin_if_origins_are_listed() -> None:
    """`Vary` lists every request header that the response depends on."""
    client = Client()
    client.origins = Origins(frozenset({"https://www.example.com"}))
    response, _ = await client.request("GET", headers=HTML)
    assert response.headers["vary"] == "accept, accept-language, origin"
    response, _ = await client.request(body=posted(), headers={**FORM, "origin": OWN})
    assert (response.status, response.headers["vary"]) == (201, "accept-language, origin")


async def test_the_page_is_in_the_requested_language() -> None:
    """The form with its errors and the success page are in German."""
    client = Client()
    for body, status, text in (
        (posted(), 201, "Sie sind registriert"),
        (posted(password="x"), 422, "mindestens 15 Zeichen"),
    ):
        response, html = await client.request(body=body, headers={**FORM, "accept-language": "de"})
        assert (response.status, response.headers["content-language"]) == (status, "de")
        assert '<html lang="de">' in html
        assert text in html


async def test_a_successful_sign_up_by_json_does_not_need_the_pages() -> None:
    """The first error requests the pages, which imports their modules."""
    requests: list[bool] = []

    class PagesClient(Client):
        def pages(self) -> Any:
            requests.append(True)
            return super().pages()

    client = PagesClient()
    for media_type in ("application/json", "application/json; charset=utf-8"):
        await client.request(headers={"content-type": media_type})
    assert requests == []
    await client.request(body=b"{")
    assert requests == [True]


async def test_a_form_gets_json_unless_html_is_preferred() -> None:
    """An example is a form that `curl -d` sends."""
    plain = {"content-type": FORM["content-type"], "accept": "*/*"}
    response, body = await Client().request(body=posted(), headers=plain)
    assert (response.status, body["msg"]) == (201, "User created")
    for content, code in ((b"name=a&name=b", "malformed_form"), (posted(name=""), "validation_failed")):
        response, body = await Client().request(body=content, headers=plain)
        assert (body["code"], response.headers["content-type"]) == (code, "application/problem+json")
    client = Client()
    client.settings = change(SETTINGS, next_url=NEXT)
    assert (await client.request(body=posted(), headers=plain))[0].status == 201
