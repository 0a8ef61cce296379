"""A visit to a page in its own browser context; requests and problems are recorded."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, ViewportSize

DESKTOP: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 320, "height": 640}

# The sum of all layout shifts, including those after user input (https://web.dev/articles/cls).
_SHIFT = """() => new Promise((resolve) => {
  let sum = 0;
  const add = (entries) => entries.forEach((entry) => { sum += entry.value; });
  const observer = new PerformanceObserver((list) => add(list.getEntries()));
  observer.observe({ type: "layout-shift", buffered: true });
  requestAnimationFrame(() => requestAnimationFrame(() => { add(observer.takeRecords()); resolve(sum); }));
})"""


@dataclass
class Visit:
    """A page with its requests and problems.

    Args:
        page: the page in Playwright.
        base_url: the Worker's URL.
        allowed_origins: other origins that the page may send requests to.
        expected_statuses: error statuses that the test causes; the browser logs an error for each.
        requests: the page's requests in the order in which they were sent.
        problems: errors, warnings, unexpected requests and unexpected statuses.
        loads: how many documents were loaded.
    """

    page: Page
    base_url: str
    allowed_origins: set[str] = field(default_factory=set)
    expected_statuses: set[int] = field(default_factory=set)
    requests: list[Request] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    loads: int = 0

    def __post_init__(self) -> None:
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.problems.append(f"uncaught: {error}"))
        self.page.on("request", self._request)
        self.page.on("response", self._response)
        self.page.on("load", self._load)

    def open(self, path: str = "/") -> Response:
        """Open a path of the Worker; return the response."""
        response = self.page.goto(self.base_url + path)
        assert response is not None
        return response

    def fill(self, **fields: str) -> None:
        """Fill fields by their ids."""
        for name, value in fields.items():
            self.page.locator(f"#{name}").fill(value)

    def submit(self) -> Response:
        """Submit the form; return the Worker's response. Without JavaScript, wait until its document is loaded."""
        loads = self.loads
        with self.page.expect_response(lambda response: response.request.method == "POST") as response:
            self.page.locator("#submit").click()
        # Without JavaScript the response is a new document, and the browser shows the old one for a moment longer.
        if response.value.request.is_navigation_request() and self.loads == loads:
            self.page.wait_for_event("load")
        return response.value

    def posts(self) -> list[Request]:
        """Return the POST requests."""
        return [each for each in self.requests if each.method == "POST"]

    def focused(self) -> str:
        """Return the id of the focused element. Wait for it, because `autofocus` applies after the page loads."""
        return self.page.locator(":focus").get_attribute("id") or ""

    def described_by(self, name: str) -> str:
        """Return the accessible description of a field."""
        ids = (self.page.locator(f"#{name}").get_attribute("aria-describedby") or "").split()
        return " ".join(self.page.locator(f"#{each}").inner_text() for each in ids)

    def layout_shift(self) -> float:
        """Return the cumulative layout shift since the page was opened."""
        return float(self.page.evaluate(_SHIFT))

    def _load(self, _: Page) -> None:
        self.loads += 1

    def _console(self, message: ConsoleMessage) -> None:
        # The browser logs an error for every status from 400, although the page handles it.
        prefix = "Failed to load resource: the server responded with a status of"
        if any(message.text.startswith(f"{prefix} {status} ") for status in self.expected_statuses):
            return
        if message.type in ("error", "warning"):
            self.problems.append(f"console: {message.text} ({message.location['url']})")

    def _request(self, request: Request) -> None:
        self.requests.append(request)
        url = urlsplit(request.url)
        if url.scheme not in ("data", "blob") and f"{url.scheme}://{url.netloc}" not in {
            self.base_url,
            *self.allowed_origins,
        }:
            self.problems.append(f"request to another origin: {request.url}")

    def _response(self, response: Response) -> None:
        if response.status >= 400 and response.status not in self.expected_statuses:
            self.problems.append(f"{response.status} for {response.request.method} {response.url}")


@contextlib.contextmanager
def visiting(browser: Browser, base_url: str, **options: Any) -> Iterator[Visit]:
    """Open a browser context with an empty page until the block ends; then fail if problems were recorded.

    Args:
        browser: the browser that opens the context.
        base_url: the Worker's URL.
        options: options of the context; the defaults are a desktop viewport, English, light colours and reduced motion.
    """
    defaults = {"viewport": DESKTOP, "locale": "en", "color_scheme": "light", "reduced_motion": "reduce"}
    with contextlib.closing(browser.new_context(**{**defaults, **options})) as context:
        context.set_default_timeout(30_000)
        visit = Visit(context.new_page(), base_url)
        yield visit
        if visit.problems:
            raise AssertionError("\n".join(visit.problems))
