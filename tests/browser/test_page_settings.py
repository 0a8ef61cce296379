"""Settings of the page: colour, service name, next page, Turnstile and invitations."""

import contextlib
import threading
import time
import uuid
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Route
from pydantic import SecretBytes

from signup.i18n.catalog import LANGUAGES, texts
from signup.invitations.tokens import Invitation, InvitationTokens
from tests.browser.axe import violations
from tests.browser.visits import PHONE, Visit, visiting
from tests.counts import LONG
from tests.e2e.conftest import PASSWORD, Running, behind_a_relay, new_email
from tests.e2e.schemathesis_run import run_schemathesis
from tests.e2e.siteverify import SECRET, Siteverify, siteverify

COLOUR, AS_RGB = "#ffd400", "rgb(255, 212, 0)"
TURNSTILE = "https://challenges.cloudflare.com"
# A stub of the widget's script: it adds a field with a token to the widget's element.
WIDGET = """const field = document.createElement("input");
field.type = "hidden";
field.name = "cf-turnstile-response";
field.value = "good|localhost|sign-up|" + crypto.randomUUID();
document.querySelector(".cf-turnstile[data-sitekey='1x00'][data-action='sign-up']").append(field);
globalThis.turnstile = { reset() {} };"""


# The key in INVITATION_SECRET.
KEY = b"k" * 32


def link(invited: str, uses: int = 1, ttl: int = 60, *, verifies: bool = False) -> str:
    """Return the link of a new invitation, without the origin."""
    invitation = Invitation(uuid.uuid4().hex[:22], invited, uses, int(time.time()) + ttl, verifies)
    return f"/?invitation={InvitationTokens([SecretBytes(KEY)]).sign(invitation)}"


@dataclass
class ConfiguredPage:
    """A Worker with the settings that this module tests, the origin of its next page, and the fake siteverify API."""

    worker: Running
    next_origin: str
    siteverify: Siteverify


@contextlib.contextmanager
def next_page() -> Iterator[str]:
    """Serve the page that NEXT_URL names; yield its origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/welcome?from=signup" else 404)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Welcome</title><link rel=icon href=data:,>")

        def log_message(self, *_: object) -> None:
            """Suppress the access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def configured(worker: Running, state: Path) -> Iterator[ConfiguredPage]:
    """Run a Worker with the settings of the page that this module tests."""
    with siteverify() as turnstile, next_page() as origin:
        settings = {
            "SERVICE_NAME": '"Tom & Jerry\'s <Café>"',
            "PAGE_COLOUR": f'"{COLOUR}"',
            "NEXT_URL": f"{origin}/welcome?from=signup",
            "TURNSTILE_SITE_KEY": "1x00",
            "TURNSTILE_SECRET": SECRET,
            "TURNSTILE_HOSTNAMES": "localhost",
            "TURNSTILE_URL": f"http://127.0.0.1:{turnstile.port}/siteverify",
            "SIGN_UP": "invite",
            "INVITATION_SECRET": f"a:{b64encode(KEY).decode()}",
        }
        with behind_a_relay(worker, state / "browser", **settings) as (running, _):
            yield ConfiguredPage(running, origin, turnstile)


@pytest.fixture
def visit(browser: Browser, configured: ConfiguredPage) -> Iterator[Callable[..., Visit]]:
    """Return a function that opens a path, by default an invitation's link, with a stub of Turnstile's script."""
    with contextlib.ExitStack() as contexts:

        def open_page(path: str = link("example.com", 100), **options: object) -> Visit:
            tab = contexts.enter_context(visiting(browser, configured.worker.stack.base_url, **options))
            tab.allowed_origins = {configured.next_origin, TURNSTILE}
            tab.page.route(f"{TURNSTILE}/**", _widget)
            tab.expected_statuses.add(403)
            tab.open(path)
            return tab

        yield open_page


def _widget(route: Route) -> None:
    assert route.request.url == f"{TURNSTILE}/turnstile/v0/api.js"
    route.fulfill(content_type="text/javascript", body=WIDGET)


def test_the_colour_is_applied(visit: Callable[..., Visit]) -> None:
    """The content security policy allows the style, and the text colour has enough contrast: black on yellow."""
    tab = visit()
    style = tab.page.evaluate(
        "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.getElementById('submit')))"
    )
    assert style == [AS_RGB, "rgb(0, 0, 0)"]


def test_the_service_name_is_shown(visit: Callable[..., Visit]) -> None:
    """The name is escaped correctly on the page and in the title."""
    tab = visit()
    assert tab.page.get_by_text("Tom & Jerry's <Café>", exact=True).is_visible()
    assert "Tom & Jerry's <Café>" in tab.page.title()


def test_the_script_opens_the_next_page(visit: Callable[..., Visit], configured: ConfiguredPage) -> None:
    """NEXT_URL is opened after the sign-up, which includes the widget's token."""
    tab = visit()
    tab.page.locator("[name=cf-turnstile-response]").wait_for(state="attached")
    tab.fill(name="Ada", email=new_email(), password=PASSWORD)
    tab.submit()
    tab.page.wait_for_url(f"{configured.next_origin}/welcome?from=signup")
    assert tab.page.title() == "Welcome"
    assert configured.siteverify.seen[-1]["response"].startswith("good|localhost|sign-up|")


def test_a_form_post_is_redirected_to_the_next_page(visit: Callable[..., Visit], configured: ConfiguredPage) -> None:
    """The redirect succeeds although Chromium applies form-action of the content security policy to it.

    Turnstile needs JavaScript, so the form is submitted in a way that the page's own script does not intercept.
    """
    tab = visit()
    tab.page.locator("[name=cf-turnstile-response]").wait_for(state="attached")
    tab.fill(name="Ada", email=new_email(), password=PASSWORD)
    tab.page.evaluate("HTMLFormElement.prototype.submit.call(document.getElementById('sign-up'))")
    tab.page.wait_for_url(f"{configured.next_origin}/welcome?from=signup")
    post = tab.posts()[-1]
    response = post.response()
    assert response is not None
    assert response.status == 303
    assert post.headers["content-type"] == "application/x-www-form-urlencoded"


def test_a_missing_token_is_shown_without_javascript(visit: Callable[..., Visit]) -> None:
    """A note on the page states that the widget needs JavaScript; a submission shows the error at the widget."""
    tab = visit(java_script_enabled=False)
    tab.expected_statuses.add(422)
    assert tab.page.locator("noscript").inner_text()
    tab.fill(name="Ada", email=new_email(), password=PASSWORD)
    assert tab.submit().status == 422
    tab.page.locator("#cf-turnstile-response-error").wait_for()
    # The form keeps its invitation.
    assert tab.page.locator("[name=invitation]").input_value()


def test_the_policy_allows_only_turnstile_and_the_next_page(configured: ConfiguredPage) -> None:
    """Turnstile's script and frame are allowed, and the origin of NEXT_URL as form action."""
    response = configured.worker.client.get("/", headers={"accept": "text/html"})
    policy = dict(each.strip().split(" ", 1) for each in response.headers["content-security-policy"].split(";"))
    assert policy["script-src"] == f"'self' {TURNSTILE}"
    assert policy["frame-src"] == TURNSTILE
    assert policy["form-action"] == f"'self' {configured.next_origin}"
    assert policy["style-src"].startswith("'self' 'sha256-")
    foreign = {word for name, words in policy.items() for word in words.split() if "://" in word}
    assert foreign == {TURNSTILE, configured.next_origin}


@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_an_invitation_signs_the_invited_address_up_once(
    visit: Callable[..., Visit], configured: ConfiguredPage, worker: Running, *, script: bool
) -> None:
    """The address is filled in and cannot be changed. A second sign-up with the link is refused with an explanation.

    In the case without JavaScript, the form is submitted in a way that the page's script does not intercept.
    """
    email = new_email()
    path = link(email, verifies=True)
    for is_used in (False, True):
        tab = visit(path)
        tab.page.locator("[name=cf-turnstile-response]").wait_for(state="attached")
        assert tab.page.locator("#email").input_value() == email
        assert tab.page.locator("#email").is_editable() is False
        tab.fill(name="Ada", password=PASSWORD)
        if script:
            tab.submit()
        else:
            tab.page.evaluate("HTMLFormElement.prototype.submit.call(document.getElementById('sign-up'))")
        if is_used:
            tab.page.locator("#summary").get_by_text(texts("en").details["bad_invitation"]).wait_for()
            assert tab.page.locator("[name=invitation]").input_value() == path.partition("=")[2]
            assert tab.page.locator("#email").is_editable() is False
        else:
            tab.page.wait_for_url(f"{configured.next_origin}/**")
        # No request to another origin (for the widget's script and the next page) has the link as its referrer.
        foreign = [each for each in tab.requests if not each.url.startswith(tab.base_url)]
        assert foreign
        assert not [each for each in foreign if "invitation" in each.all_headers().get("referer", "")]
    rows = worker.rows('SELECT email_verified_at IS NOT NULL FROM "User" WHERE email = %s', email)
    assert rows == [(True,)]
    assert path[-43:] not in "\n".join(configured.worker.lines)


def test_simultaneous_sign_ups_do_not_exceed_the_uses(configured: ConfiguredPage, worker: Running) -> None:
    """With an invitation for three users, three of twelve simultaneous sign-ups succeed, and nine are refused.

    Repeating a successful request replays its response.
    """
    domain = f"{uuid.uuid4().hex}.example.com"
    token = link(domain, 3).partition("=")[2]

    def post(number: int) -> httpx.Response:
        body = {"name": "Ada", "email": f"a{number}@{domain}", "password": PASSWORD, "invitation": token}
        body["cf-turnstile-response"] = f"good|localhost|sign-up|{domain}{number}"
        return configured.worker.post_patiently(body, {"idempotency-key": f"{domain}{number}"})

    with ThreadPoolExecutor(12) as threads:
        responses = list(threads.map(post, range(12)))
    assert Counter(response.status_code for response in responses) == {201: 3, 403: 9}
    assert {response.json().get("code") for response in responses} == {None, "bad_invitation"}
    assert worker.rows('SELECT count(*) FROM "User" WHERE email LIKE %s', f"%@{domain}") == [(3,)]
    again = post([response.status_code for response in responses].index(201))
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")


@pytest.mark.parametrize("locale", LANGUAGES)
def test_the_pages_of_an_invitation_are_accessible(visit: Callable[..., Visit], locale: str) -> None:
    """Axe finds no violation in light colours, nor in dark colours at a width of 320 pixels.

    The invitation is for an address or a domain, is expired, or is missing.
    """
    translations = texts(locale)
    for path, shown in (
        (link("ada@example.com"), translations.page.invited_address),
        (link("*.example.com"), translations.page.invited_domain.format(domain="*.example.com")),
        (link("example.com", ttl=-1), translations.details["bad_invitation"]),
        ("/", translations.details["invitation_required"]),
    ):
        tab = visit(path, locale=locale)
        assert shown in tab.page.locator("main").inner_text()
        results = violations(tab.page)
        tab.page.emulate_media(color_scheme="dark")
        tab.page.set_viewport_size(PHONE)
        assert results + violations(tab.page) == []
        assert tab.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


@pytest.mark.skipif(not LONG, reason="runs only in make test-long")
def test_the_worker_matches_the_openapi_document_of_its_settings(configured: ConfiguredPage, tmp_path: Path) -> None:
    """Schemathesis finds no difference. No sign-up succeeds, because no generated invitation is valid."""
    document = f"{configured.worker.stack.base_url}/openapi.json"
    status, printed, statuses = run_schemathesis(document, tmp_path, 100, "--include-path-regex", "^/$")
    assert status == 0, printed
    assert {200, 400, 403, 406, 422} <= statuses.keys()
