"""What a deployment may set of the page: its colour, its name, where it leads to, and Turnstile's widget."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Route

from tests.browser.visits import Visit, visiting
from tests.e2e.conftest import PASSWORD, Running, behind_a_relay, new_email
from tests.e2e.siteverify import SECRET, Siteverify, siteverify

COLOUR, AS_RGB = "#ffd400", "rgb(255, 212, 0)"
TURNSTILE = "https://challenges.cloudflare.com"
# What the widget's script does that concerns us: a field with a token, in the element that is there for it.
WIDGET = """const field = document.createElement("input");
field.type = "hidden";
field.name = "cf-turnstile-response";
field.value = "good|localhost|sign-up|" + crypto.randomUUID();
document.querySelector(".cf-turnstile[data-sitekey='1x00'][data-action='sign-up']").append(field);
globalThis.turnstile = { reset() {} };"""


@dataclass
class Settled:
    """A Worker with settings of its own, where it leads to, and what it asks about tokens."""

    worker: Running
    next_origin: str
    siteverify: Siteverify


@contextlib.contextmanager
def welcoming() -> Iterator[str]:
    """Serve a page for those who have signed up; yield its origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/welcome?from=signup" else 404)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Welcome</title><link rel=icon href=data:,>")

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def settled(worker: Running, state: Path) -> Iterator[Settled]:
    """Run a Worker with every setting of the page, on the first one's proxy."""
    with siteverify() as turnstile, welcoming() as origin:
        settings = {
            "SERVICE_NAME": '"Tom & Jerry\'s <Café>"',
            "PAGE_COLOUR": f'"{COLOUR}"',
            "NEXT_URL": f"{origin}/welcome?from=signup",
            "TURNSTILE_SITE_KEY": "1x00",
            "TURNSTILE_SECRET": SECRET,
            "TURNSTILE_HOSTNAMES": "localhost",
            "TURNSTILE_URL": f"http://127.0.0.1:{turnstile.port}/siteverify",
        }
        with behind_a_relay(worker, state / "browser", **settings) as (running, _):
            yield Settled(running, origin, turnstile)


@pytest.fixture
def visit(browser: Browser, settled: Settled) -> Iterator[Callable[..., Visit]]:
    """Return what opens its page, with a stand-in for Turnstile's script, which is out of reach here."""
    with contextlib.ExitStack() as contexts:

        def open_page(**options: object) -> Visit:
            it = contexts.enter_context(visiting(browser, settled.worker.stack.base_url, **options))
            it.welcome = {settled.next_origin, TURNSTILE}
            it.page.route(f"{TURNSTILE}/**", _widget)
            it.open()
            return it

        yield open_page


def _widget(route: Route) -> None:
    assert route.request.url == f"{TURNSTILE}/turnstile/v0/api.js"
    route.fulfill(content_type="text/javascript", body=WIDGET)


def test_the_colour_is_applied(visit: Callable[..., Visit]) -> None:
    """By a style that the policy lets through, and with text on it that can be read: black on yellow."""
    it = visit()
    style = it.page.evaluate(
        "(({backgroundColor, color}) => [backgroundColor, color])(getComputedStyle(document.getElementById('submit')))"
    )
    assert style == [AS_RGB, "rgb(0, 0, 0)"]


def test_the_name_is_shown(visit: Callable[..., Visit]) -> None:
    """On the page and in its title, as it is written."""
    it = visit()
    assert it.page.get_by_text("Tom & Jerry's <Café>", exact=True).is_visible()
    assert "Tom & Jerry's <Café>" in it.page.title()


def test_it_leads_on_with_javascript(visit: Callable[..., Visit], settled: Settled) -> None:
    """Who has signed up is led to NEXT_URL; the widget's token went along."""
    it = visit()
    it.page.locator("[name=cf-turnstile-response]").wait_for(state="attached")
    it.fill(name="Ada", email=new_email(), password=PASSWORD)
    it.submit()
    it.page.wait_for_url(f"{settled.next_origin}/welcome?from=signup")
    assert it.page.title() == "Welcome"
    assert settled.siteverify.seen[-1]["response"].startswith("good|localhost|sign-up|")


def test_it_leads_on_after_a_form_post(visit: Callable[..., Visit], settled: Settled) -> None:
    """By a redirect, to which the policy's form-action applies in Chromium too.

    With Turnstile there is no sign-up without JavaScript; so this is a form that its script does not intercept.
    """
    it = visit()
    it.page.locator("[name=cf-turnstile-response]").wait_for(state="attached")
    it.fill(name="Ada", email=new_email(), password=PASSWORD)
    it.page.evaluate("HTMLFormElement.prototype.submit.call(document.getElementById('sign-up'))")
    it.page.wait_for_url(f"{settled.next_origin}/welcome?from=signup")
    post = it.posts()[-1]
    answer = post.response()
    assert answer is not None
    assert answer.status == 303
    assert post.headers["content-type"] == "application/x-www-form-urlencoded"


def test_without_a_token(visit: Callable[..., Visit]) -> None:
    """Without JavaScript there is no widget, which the page says, and says again when it is sent."""
    it = visit(java_script_enabled=False)
    it.refusals.add(422)
    assert it.page.locator("noscript").inner_text()
    it.fill(name="Ada", email=new_email(), password=PASSWORD)
    assert it.submit().status == 422
    assert it.page.locator("#cf-turnstile-response-error").is_visible()


def test_the_policy_names_turnstile_alone(settled: Settled) -> None:
    """Its script and its frame, and nothing else of another origin; where the form may lead to is NEXT_URL's origin."""
    answer = settled.worker.client.get("/", headers={"accept": "text/html"})
    policy = dict(each.strip().split(" ", 1) for each in answer.headers["content-security-policy"].split(";"))
    assert policy["script-src"] == f"'self' {TURNSTILE}"
    assert policy["frame-src"] == TURNSTILE
    assert policy["form-action"] == f"'self' {settled.next_origin}"
    assert policy["style-src"].startswith("'self' 'sha256-")
    foreign = {word for name, words in policy.items() for word in words.split() if "://" in word}
    assert foreign == {TURNSTILE, settled.next_origin}
