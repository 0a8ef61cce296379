"""Nobody is kept out: at whatever stage, in either language, in light and dark, at a desk and on a phone."""

from collections.abc import Callable

import pytest

from tests.browser.axe import violations
from tests.browser.conftest import Visitor
from tests.browser.stages import done, empty, errors, refused
from tests.browser.visits import DESKTOP, PHONE, Visit

SMALLEST_TARGET = 24
# Of all that can be pressed or typed into: what it is, and its box.
_TARGETS = """() => [...document.querySelectorAll("a, button, input:not([type=hidden])")]
  .map((each) => [each, each.getBoundingClientRect()])
  .filter(([_, box]) => box.width)
  .map(([each, box]) => [each.id || each.localName, box.left, box.right, Math.min(box.width, box.height)])"""


@pytest.mark.parametrize("locale", ["en", "de-DE"])
@pytest.mark.parametrize("stage", [empty, errors, refused, done], ids=lambda stage: stage.__name__)
@pytest.mark.parametrize("script", [True, False], ids=["with JavaScript", "without"])
def test_every_stage(visit: Visitor, locale: str, stage: Callable[[Visit], None], script: bool) -> None:
    """Axe finds no violation, and nothing that it could not decide. The language is what was asked for.

    320 pixels suffice (WCAG 1.4.10): nothing has to be scrolled sideways, and what is to be pressed is 24 pixels large
    (2.5.8), but for links in a text.
    """
    it = visit("/" if script else None, locale=locale)
    if not script:
        # Not off altogether: axe needs it.
        it.page.route("**/signup.js", lambda route: route.fulfill(content_type="text/javascript", body=""))
        it.open()
    stage(it)
    assert it.page.locator("html").get_attribute("lang") == locale[:2]
    found = {"light": violations(it.page)}
    it.page.emulate_media(color_scheme="dark")
    found["dark"] = violations(it.page)
    it.page.set_viewport_size(PHONE)
    found["dark, phone"] = violations(it.page)
    assert found == {"light": [], "dark": [], "dark, phone": []}
    assert it.page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    for name, left, right, size in it.page.evaluate(_TARGETS):
        assert left >= 0, name
        assert right <= PHONE["width"], name
        assert size >= SMALLEST_TARGET or name == "a", name


def test_axe_would_find_something(visit: Visitor) -> None:
    """A field without a label, and text that can hardly be read in dark colours."""
    it = visit(color_scheme="dark", viewport=DESKTOP)
    it.page.evaluate("document.querySelector('label[for=name]').remove()")
    it.page.evaluate("document.documentElement.style.setProperty('--text', '#333')")
    rules = {each.split(" ")[0] for each in violations(it.page)}
    assert {"label", "color-contrast"} <= rules
