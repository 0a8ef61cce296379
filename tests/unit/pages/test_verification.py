"""E-mail verification through the application: pages, JSON, and the effect of each token."""

import re
import time
from dataclasses import replace
from html import unescape
from typing import Any
from urllib.parse import urlencode

import pytest
from pydantic import SecretBytes

from signup.guards.rate_limits import CLIENT_LIMIT, EMAIL_LIMIT, Limits
from signup.problems import Misconfigured, ProxyTimeout, ProxyUnavailable
from signup.verification.tokens import Claims, TokenSigner
from signup.web import response_timing
from signup.web.cors import Origins
from tests.fakes import ADA, OWN, VERIFYING, Client, Warnings, change

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
HTML = {"accept": "text/html,*/*;q=0.8"}
FORM = {"content-type": "application/x-www-form-urlencoded", **HTML}
LISTED = "https://www.example.com"
NOW = int(time.time())
CLAIMS = Claims("12", "ada@example.com", NOW + 3600, "Ada Löwe", 1_764_500_000)
SIGNER = TokenSigner([each.key for each in VERIFYING.verification_keys])
TOKEN = SIGNER.sign(CLAIMS)
INVALID_TOKENS = {
    "forged": TOKEN[:-1] + ("A" if TOKEN[-1] != "A" else "B"),
    "signed with another key": TokenSigner([SecretBytes(b"x" * 32)]).sign(CLAIMS),
    "truncated": TOKEN[:40],
    "empty": "",
}
EXPIRED = SIGNER.sign(replace(CLAIMS, expires_at=NOW - 1))
# Tokens with valid signatures, for a user who was removed or replaced, or is in another database.
FOREIGN_TOKENS = {
    "another id": SIGNER.sign(replace(CLAIMS, user_id="11")),
    "another address": SIGNER.sign(replace(CLAIMS, email="eve@example.com")),
}


class Verifying(Client):
    """An application with verification, and the unverified user Ada."""

    def __init__(self, **changes: object) -> None:
        super().__init__()
        self.settings = change(VERIFYING, **changes)
        self.verification_store.users = {("12", "ada@example.com"): "pending"}

    async def read(self, token: str | None = TOKEN, method: str = "GET", **headers: str) -> tuple[Any, Any]:
        """Request the page of a token."""
        self.query = "" if token is None else f"?{urlencode({'token': token})}"
        try:
            return await self.request(method, "/verify", headers={**HTML, **headers})
        finally:
            self.query = ""

    async def press(self, button: str = "", token: str = TOKEN, **headers: str) -> tuple[Any, Any]:
        """Post the form of the page, as its buttons do."""
        body = urlencode({"token": token}).encode()
        return await self.request("POST", f"/verify{button}", body, {**FORM, "origin": "null", **headers})

    async def post(self, path: str = "/verify", **fields: object) -> tuple[Any, Any]:
        """Post JSON."""
        return await self.request("POST", path, fields, JSON)

    @property
    def state(self) -> str | None:
        """Return "pending" or "verified"; None if Ada was removed."""
        return self.verification_store.users.get(("12", "ada@example.com"))


def text(html: str) -> str:
    """Return the text of a page."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


async def test_opening_the_page_changes_nothing_and_sends_no_statement() -> None:
    """Mail scanners and link previews open links; only the form posts the token."""
    client = Verifying()
    response, html = await client.read()
    assert (response.status, client.state, client.verification_store.calls) == (200, "pending", 0)
    assert f'<input type="hidden" name="token" value="{TOKEN}"' in html
    assert '<form id="verify" action="/verify" method="post">' in html
    assert 'formaction="/verify/remove"' in html
    assert "<script" not in html
    response, html = await client.read(method="HEAD")
    assert (response.status, html, client.state, client.verification_store.calls) == (200, None, "pending", 0)


async def test_the_page_describes_the_account() -> None:
    """The page shows the service, the address, the name, the time of the sign-up, and a sentence about the password."""
    client = Verifying(service_name="Tea & Cake")
    _, html = await client.read()
    for part in ("Tea & Cake", "ada@example.com", "Ada Löwe", "2025-11-30 10:53 UTC", "the password that was chosen"):
        assert part in text(html)


async def test_the_page_has_the_headers_of_the_sign_up_page_and_no_referrer() -> None:
    """The browser neither sends the URL with its token to other pages nor caches the page."""
    response, _ = await Verifying().read()
    sign_up_page, _ = await Client().request("GET", headers=HTML)
    different = {"x-request-id", "referrer-policy"}
    assert {k: v for k, v in response.headers.items() if k not in different} == {
        k: v for k, v in sign_up_page.headers.items() if k not in different
    }
    assert response.headers["referrer-policy"] == "no-referrer"
    assert response.headers["cache-control"] == "no-store"


async def test_the_button_verifies_once_and_may_be_pressed_again() -> None:
    """The response is a page if HTML is preferred, and JSON otherwise, even to a form."""
    client = Verifying()
    response, html = await client.press()
    assert (response.status, client.state) == (200, "verified")
    assert "Address confirmed" in html
    response, html = await client.press()
    assert (response.status, client.state) == (200, "verified")
    assert "Already confirmed" in html
    client = Verifying()
    for result in ("verified", "already_verified"):
        response, body = await client.post(token=TOKEN)
        assert (response.status, body) == (200, {"msg": "E-mail address verified", "result": result})
    body = urlencode({"token": TOKEN}).encode()
    response, content = await client.request("POST", "/verify", body, {**FORM, "accept": "*/*"})
    assert content["result"] == "already_verified"


async def test_the_remove_button_removes_the_account_and_invalidates_its_tokens() -> None:
    """A second removal has no effect; a verified account is not removed."""
    client = Verifying()
    response, html = await client.press("/remove")
    assert (response.status, client.state) == (200, None)
    assert "Account removed" in html
    response, html = await client.press("/remove")
    assert (response.status, "Nothing was removed" in html) == (200, True)
    response, body = await client.post(token=TOKEN)
    assert (response.status, body["code"], client.state) == (400, "bad_verification_token", None)
    client = Verifying()
    await client.press()
    response, body = await client.post("/verify/remove", token=TOKEN)
    assert (response.status, body["result"], client.state) == (200, "nothing_to_remove", "verified")


@pytest.mark.parametrize("path", ["/verify", "/verify/remove"])
@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        *((token, 400, "bad_verification_token") for token in INVALID_TOKENS.values()),
        (EXPIRED, 410, "verification_expired"),
    ],
    ids=[*INVALID_TOKENS, "expired"],
)
async def test_an_invalid_token_changes_nothing(path: str, token: str, status: int, code: str) -> None:
    """The response has the problem's status, the page offers a new link, and the log has no token."""
    client = Verifying()
    response, body = await client.post(path, token=token)
    assert (response.status, body["code"]) == (status, code)
    for response, html in (await client.read(token), await client.press(path.removeprefix("/verify"), token)):
        assert (response.status, response.headers["content-type"]) == (status, "text/html; charset=utf-8")
        assert 'action="/verify/resend"' in html
        assert 'name="token"' not in html
    assert (client.state, client.verification_store.calls) == ("pending", 0)
    assert [(line["code"], line["status"]) for line in client.log()] == [(code, status)] * 3
    assert not token or token not in "".join(client.lines)


@pytest.mark.parametrize("token", FOREIGN_TOKENS.values(), ids=FOREIGN_TOKENS)
async def test_a_token_of_another_user_verifies_and_removes_no_user(token: str) -> None:
    """The ID and the address of a token must match; a row that replaces another one has a new ID."""
    client = Verifying()
    response, body = await client.post(token=token)
    assert (response.status, body["code"]) == (400, "bad_verification_token")
    response, body = await client.post("/verify/remove", token=token)
    assert (response.status, body["result"], client.state) == (200, "nothing_to_remove", "pending")


async def test_tokens_are_not_logged() -> None:
    """The path is logged without its query."""
    client = Verifying()
    await client.read()
    await client.press()
    await client.post(token=TOKEN)
    await client.post(token=TOKEN, more=1)
    assert [line["route"] for line in client.log()] == ["GET /verify", *["POST /verify"] * 3]
    assert TOKEN.partition(".")[0][:20] not in "".join(client.lines)


async def test_the_page_without_a_token_offers_a_new_link() -> None:
    """Two tokens, or too many parameters, count as an invalid token. Other parameters are ignored."""
    client = Verifying()
    response, html = await client.read(None)
    assert (response.status, 'action="/verify/resend"' in html, 'role="alert"' in html) == (200, True, False)
    for query in (f"?token={TOKEN}&token={TOKEN}", "?" + "a=&" * 30, f"?token={TOKEN}&utm_source=mail"):
        client.query = query
        response, html = await client.request("GET", "/verify", headers=HTML)
        assert response.status == (200 if "utm" in query else 400)


async def test_every_address_gets_the_same_response_on_a_tick() -> None:
    """The status is 202 for known and unknown addresses; the e-mail is in the language of the request."""
    responses = []
    client = Verifying()
    for email in ("ada@example.com", " Nobody@Example.COM "):
        start = time.monotonic()
        response, body = await client.post("/verify/resend", email=email)
        assert time.monotonic() - start >= response_timing.TICK
        # A delivery after the response would delay the next response.
        assert response.afterwards is None
        responses.append((response.status, body, {k: v for k, v in response.headers.items() if k != "x-request-id"}))
    assert responses[0] == responses[1]
    assert responses[0][:2] == (202, {"msg": "Verification requested"})
    body = urlencode({"email": "ada@example.com"}).encode()
    response, html = await client.request("POST", "/verify/resend", body, {**FORM, "accept-language": "de"})
    assert (response.status, "Prüfen Sie Ihren Posteingang" in html) == (202, True)
    expected = [("ada@example.com", "en"), ("nobody@example.com", "en"), ("ada@example.com", "de")]
    assert client.verification_store.requests == expected


async def test_a_malformed_address_is_an_error_of_its_field() -> None:
    """The 422 has the field's pointer; the page shows the escaped value."""
    client = Verifying()
    response, body = await client.post("/verify/resend", email="no-address")
    assert (response.status, body["errors"][0]["pointer"], body["errors"][0]["code"]) == (
        422,
        "/email",
        "not_an_email_address",
    )
    posted = urlencode({"email": '"><b>'}).encode()
    response, html = await client.request("POST", "/verify/resend", posted, FORM)
    assert (response.status, "<b>" in html, 'value="&#34;&gt;&lt;b&gt;"' in html) == (422, False, True)
    assert 'aria-describedby="email-hint email-error"' in html
    assert client.verification_store.calls == 0


@pytest.mark.parametrize("path", ["/verify", "/verify/remove", "/verify/resend"])
@pytest.mark.parametrize(
    "fields", [{}, {"token": 5, "email": 5}, {"token": TOKEN, "email": "ada@example.com", "more": ""}]
)
async def test_bodies_are_validated_like_those_of_sign_ups(path: str, fields: dict[str, object]) -> None:
    """Missing, wrong and unknown fields get 422; malformed, large and unsupported bodies get 400, 413 and 415."""
    client = Verifying()
    response, body = await client.post(path, **fields)
    assert (response.status, body["code"]) == (422, "validation_failed")
    for content, headers, status in (
        (b"{", JSON, 400),
        (b"token=a&token=b", FORM, 400),
        (b" " * 20_000, JSON, 413),
        (b"{}", {"content-type": "text/plain"}, 415),
    ):
        response, _ = await client.request("POST", path, content, headers)
        assert response.status == status
    assert client.verification_store.calls == 0


@pytest.mark.parametrize("path", ["/verify", "/verify/remove", "/verify/resend"])
async def test_a_page_of_another_origin_cannot_post(path: str) -> None:
    """The verification page sends no referrer, so its origin is "null". Sec-Fetch-Site identifies it instead."""
    fields = {"email": "ada@example.com"} if path.endswith("resend") else {"token": TOKEN}
    for headers, status in (
        ({"origin": "https://evil.example", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null", "sec-fetch-site": "cross-site"}, 403),
        ({"origin": "null", "sec-fetch-site": "same-site"}, 403),
        ({"origin": "null", "sec-fetch-site": "same-origin"}, 200),
        ({"origin": OWN, "sec-fetch-site": "same-origin"}, 200),
        ({}, 200),
    ):
        client = Verifying()
        response, _ = await client.request("POST", path, fields, {**JSON, **headers})
        assert response.status == (202 if status == 200 and path.endswith("resend") else status)
        assert (client.verification_store.calls == 1) == (status == 200)
    # A sign-up with the origin "null" is still refused.
    response, _ = await Verifying().request(headers={**JSON, "origin": "null", "sec-fetch-site": "same-origin"})
    assert response.status == 403


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/verify", "POST, GET, HEAD"), ("/verify/remove", "POST"), ("/verify/resend", "POST")],
)
async def test_a_script_of_a_listed_origin_may_post_json(path: str, allowed: str) -> None:
    """Preflights succeed like those of sign-ups, and a listed origin may read the response."""
    listed, preflight = {"origin": LISTED}, {"access-control-request-method": "POST"}
    client = Verifying()
    client.origins = Origins(frozenset({LISTED}))
    sign_up, _ = await client.request("OPTIONS", headers={**preflight, **listed})
    response, _ = await client.request("OPTIONS", path, headers={**preflight, **listed})
    different = {"x-request-id"}
    assert (response.status, response.body) == (204, b"")
    assert [(k, v) for k, v in response.headers.items() if k not in different] == [
        (k, v) for k, v in sign_up.headers.items() if k not in different
    ]
    fields = {"email": "ada@example.com"} if path.endswith("resend") else {"token": TOKEN}
    for body, status in ((fields, 202 if path.endswith("resend") else 200), ({}, 422)):
        headers = {"content-type": "Application/JSON", **listed, "sec-fetch-site": "cross-site"}
        response, _ = await client.request("POST", path, body, headers)
        assert (response.status, response.headers["access-control-allow-origin"]) == (status, LISTED)
    for method, headers in (("OPTIONS", preflight), ("POST", JSON)):
        response, body = await client.request(method, path, fields, {**headers, "origin": "https://evil.example"})
        assert (response.status, body["code"]) == (403, "cross_origin_refused")
        assert not [name for name in response.headers if name.startswith("access-control")]
    assert [line["route"] for line in client.log()[1:]] == [
        *(f"{method} {path}" for method in ("OPTIONS", "POST", "POST", "OPTIONS", "POST")),
    ]
    client.origins = Origins()
    response, _ = await client.request("OPTIONS", path, headers={**preflight, **listed})
    assert (response.status, response.headers["allow"]) == (405, allowed)


async def test_no_other_origin_may_read_the_pages() -> None:
    """Even listed origins may not read the page that a link opens, or the responses to its forms."""
    client = Verifying()
    client.origins = Origins(frozenset({LISTED}))
    for response, _ in (
        await client.read(origin=LISTED),
        await client.read(EXPIRED, origin=LISTED),
        await client.press(origin=LISTED),
        await client.press("/remove", EXPIRED, origin=LISTED),
        await client.press(accept="*/*", origin=LISTED),
    ):
        assert not [name for name in response.headers if name.startswith("access-control")]
        assert response.headers["vary"].endswith("origin")


async def test_requests_are_limited_by_client_and_by_address() -> None:
    """The limit per client applies before the body is read; the page states the time to wait."""
    counted: list[tuple[str, str]] = []

    def limits(refusing: str) -> Limits:
        def limiter(name: str) -> Any:
            async def count(key: str) -> bool:
                counted.append((name, key))
                return name != refusing

            return count

        return Limits(limiter, Warnings())

    client = Verifying()
    client.limits = limits(CLIENT_LIMIT)
    for path in ("/verify", "/verify/remove", "/verify/resend"):
        response, html = await client.request("POST", path, b"", FORM)
        assert (response.status, "Please wait 60 s" in html) == (429, True)
    assert [name for name, _ in counted] == [CLIENT_LIMIT] * 3
    counted.clear()
    client.limits = limits(EMAIL_LIMIT)
    response, body = await client.post("/verify/resend", email="ADA@example.com")
    assert (response.status, body["code"], client.verification_store.calls) == (429, "rate_limited", 0)
    (_, key) = counted[1]
    assert "ada" not in key
    # The same key as for a sign-up with this address.
    counted.clear()
    client.limits = limits("")
    await client.limits.admit_address(ADA["email"])
    assert counted == [(EMAIL_LIMIT, key)]


@pytest.mark.parametrize(
    "failure", [ProxyUnavailable("unreachable"), ProxyTimeout("no_response"), RuntimeError("canary")]
)
async def test_after_a_failure_the_button_can_be_pressed_again(failure: Exception) -> None:
    """The page shows the error, and has the token again."""
    client = Verifying()
    client.verification_store.failure = failure
    response, html = await client.press()
    assert response.status == getattr(failure, "status", 500)
    assert f'value="{TOKEN}"' in html
    assert 'id="summary" role="alert"' in html
    assert ("Please wait 2 s" in html) == isinstance(failure, ProxyUnavailable)
    assert "canary" not in html + "".join(client.lines)
    client.verification_store.failure = None
    response, _ = await client.press()
    assert (response.status, client.state) == (200, "verified")


async def test_pages_are_in_the_requested_language() -> None:
    """The question, the results and the errors are in German."""
    german = {"accept-language": "de"}
    client = Verifying()
    for response, html in (
        await client.read(**german),
        await client.read(EXPIRED, **german),
        await client.press(**german),
        await client.press("/remove", **german),
    ):
        assert response.headers["content-language"] == "de"
        assert '<html lang="de">' in html
    assert "Es wurde nichts entfernt" in html


async def test_the_paths_return_404_if_verification_is_off() -> None:
    """With wrong settings, the status is 500."""
    for path in ("/verify", "/verify/remove", "/verify/resend"):
        for method in ("GET", "POST", "PUT"):
            response, body = await Client().request(method, path)
            assert (response.status, body["code"]) == (404, "not_found")
    client = Client()
    client.origins = Origins(frozenset({LISTED}))
    response, _ = await client.request("OPTIONS", "/verify", headers={"origin": LISTED})
    assert (response.status, response.headers["vary"]) == (404, "accept-language")
    client = Verifying()
    client.settings_problem = Misconfigured("MAIL_URL", "must be set")
    response, body = await client.request("POST", "/verify")
    assert (response.status, body["code"]) == (500, "misconfigured")


async def test_get_returns_406_without_html_and_405_for_resend() -> None:
    """The page exists only as HTML, and `/verify/resend` accepts only POST."""
    client = Verifying()
    response, body = await client.request("GET", "/verify", headers={"accept": "application/json"})
    assert (response.status, body["code"]) == (406, "not_acceptable")
    response, _ = await client.request("GET", "/verify/resend", headers=HTML)
    assert (response.status, response.headers["allow"]) == (405, "POST")
