"""A visit to a page: a browser's context of its own, which keeps all that could be complained about."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, ViewportSize

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 320, "height": 640}

# The sum of all shifts, also of those that a user's doing excuses (https://web.dev/articles/cls).
_SHIFT = """() => new Promise((resolve) => {
  let sum = 0;
  const add = (entries) => entries.forEach((entry) => { sum += entry.value; });
  const observer = new PerformanceObserver((list) => add(list.getEntries()));
  observer.observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => { add(observer.takeRecords()); resolve(sum); }));
})"""


@dataclass
class Visit:
    """A page, and what happened on it.

    Args:
        page: the page.
        base_url: the Worker's.
        welcome: origins beside the Worker's that the page may ask.
        refusals: statuses of answers that are the test's own doing; a browser logs an error for each.
        requests: what was asked, in order.
        complaints: what should not have happened.
    """

    page: Page
    base_url: str
    welcome: set[str] = field(default_factory=set)
    refusals: set[int] = field(default_factory=set)
    requests: list[Request] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))
        self.page.on("request", self._request)
        self.page.on("response", self._response)

    def open(self, path: str = "/") -> Response:
        """Go to a path of the Worker's; return the answer."""
        answer = self.page.goto(self.base_url + path)
        assert answer is not None
        return answer

    def fill(self, **fields: str) -> None:
        """Write into fields, by their ids."""
        for name, value in fields.items():
            self.page.locator(f"#{name}").fill(value)

    def submit(self) -> Response:
        """Press the button; return the Worker's answer when it is there."""
        with self.page.expect_response(lambda answer: answer.request.method == "POST") as answer:
            self.page.locator("#submit").click()
        return answer.value

    def posts(self) -> list[Request]:
        """Return the sign-ups that were asked for."""
        return [each for each in self.requests if each.method == "POST"]

    def focused(self) -> str:
        """Return the id of the element that has the focus."""
        return str(self.page.evaluate("document.activeElement.id"))

    def described_by(self, name: str) -> str:
        """Return the text that a field is described with, as a screen reader has it."""
        ids = (self.page.locator(f"#{name}").get_attribute("aria-describedby") or "").split()
        return " ".join(self.page.locator(f"#{each}").inner_text() for each in ids)

    def shift(self) -> float:
        """Return how far things have moved by themselves since the page was opened; 0 is nothing."""
        return float(self.page.evaluate(_SHIFT))

    def _console(self, message: ConsoleMessage) -> None:
        # An answer of 400 and more is an error to the browser, though the page knows how to tell it.
        told = "Failed to load resource: the server responded with a status of"
        if any(message.text.startswith(f"{told} {status} ") for status in self.refusals):
            return
        if message.type in ("error", "warning"):
            self.complaints.append(f"console: {message.text} ({message.location['url']})")

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and f"{url.scheme}://{url.netloc}" not in {self.base_url, *self.welcome}:
            self.complaints.append(f"asked another origin: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.refusals:
            self.complaints.append(f"{response.status} for {response.request.method} {response.url}")


@contextlib.contextmanager
def visiting(browser: Browser, base_url: str, **options: Any) -> Iterator[Visit]:
    """Open a context with one empty page while the block runs, and look at the complaints in the end.

    Args:
        browser: the browser.
        base_url: the Worker's.
        options: of the context, over a desktop's in English with light colours.
    """
    standard = {"viewport": DESKTOP, "locale": "en", "color_scheme": "light", "reduced_motion": "reduce"}
    with contextlib.closing(browser.new_context(**{**standard, **options})) as context:
        context.set_default_timeout(30_000)
        visit = Visit(context.new_page(), base_url)
        yield visit
        if visit.complaints:
            raise AssertionError("\n".join(visit.complaints))
