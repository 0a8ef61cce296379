"""Accessibility of every stage of a sign-up, in each language, in light and dark colours, and on a phone."""

from collections.abc import Callable

import pytest

from signup.i18n.catalog import LANGUAGES, texts
from signup.pages.sign_up_page import Page
from tests.browser.axe import violations
from tests.browser.conftest import Visitor
from tests.browser.stages import leave_form_empty, sign_up, submit_invalid_fields, submit_oversized_request
from tests.browser.visits import DESKTOP, PHONE, Visit
from tests.fakes import SETTINGS, change

SMALLEST_TARGET = 24
# For each visible link, button and input: the id or tag name, the left and right edge, and the smaller of width and
# height, in pixels.
_TARGETS = """() => [...document.querySelectorAll("a, button, input:not([type=hidden])")]
  .map((each) => [each, each.getBoundingClientRect()])
  .filter(([_, box]) => box.width)
  .map(([each, box]) => [each.id || each.localName, box.left, box.right, Math.min(box.width, box.height)])"""


@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize(
    "stage",
    [leave_form_empty, submit_invalid_fields, submit_oversized_request, sign_up],
    ids=lambda stage: stage.__name__,
)
@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_every_stage_is_accessible(visit: Visitor, locale: str, stage: Callable[[Visit], None], script: bool) -> None:
    """Axe finds no violation and no undecided result, and the page has the requested language.

    At a width of 320 pixels there is no horizontal scrolling (WCAG 1.4.10), and targets are at least 24 pixels wide and
    high (2.5.8), except links.
    """
    tab = visit("/" if script else None, locale=locale)
    if not script:
        # JavaScript stays enabled, because axe needs it.
        tab.page.route("**/signup.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
        tab.open()
    stage(tab)
    assert tab.page.locator("html").get_attribute("lang") == locale
    results = {"light": violations(tab.page)}
    tab.page.emulate_media(color_scheme="dark")
    results["dark"] = violations(tab.page)
    tab.page.set_viewport_size(PHONE)
    results["dark, phone"] = violations(tab.page)
    assert results == {"light": [], "dark": [], "dark, phone": []}
    assert tab.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    for name, left, right, size in tab.page.evaluate(_TARGETS):
        assert left >= 0, name
        assert right <= PHONE["width"], name
        assert size >= SMALLEST_TARGET or name == "a", name


@pytest.mark.parametrize("locale", LANGUAGES)
def test_the_page_of_closed_sign_ups_is_accessible(visit: Visitor, locale: str) -> None:
    """Axe finds no violation in light colours, nor in dark colours at a width of 320 pixels.

    The test replaces the HTML of the page; the other files are the Worker's.
    """
    tab = visit(None, locale=locale)
    body = Page(change(SETTINGS, sign_up="closed"), texts(locale)).form("key", {})
    tab.page.route(f"{tab.base_url}/", lambda route: route.fulfill(content_type="text/html; charset=utf-8", body=body))
    tab.open()
    assert tab.page.locator("h1").inner_text() == texts(locale).titles["sign_ups_closed"]
    results = violations(tab.page)
    tab.page.emulate_media(color_scheme="dark")
    tab.page.set_viewport_size(PHONE)
    assert results + violations(tab.page) == []
    assert tab.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]


def test_axe_detects_violations(visit: Visitor) -> None:
    """A field without a label and text with low contrast are found."""
    tab = visit(color_scheme="dark", viewport=DESKTOP)
    tab.page.evaluate("document.querySelector('label[for=name]').remove()")
    tab.page.evaluate("document.documentElement.style.setProperty('--text', '#333')")
    rules = {each.split(" ")[0] for each in violations(tab.page)}
    assert {"label", "color-contrast"} <= rules
