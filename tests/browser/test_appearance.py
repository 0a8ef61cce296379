"""Colour scheme, layout shift, size and icon of the page."""

import pytest
from playwright.sync_api import ViewportSize

from signup.i18n.catalog import LANGUAGES, texts
from tests.browser.conftest import Visitor
from tests.browser.stages import sign_up, submit_invalid_fields
from tests.browser.visits import DESKTOP, PHONE

MAX_BYTES = 30 * 1024
# Return the texts that need more space than the page reserves for an error.
_TOO_LONG = """(errors) => {
  const element = document.getElementById("email-error");
  const height = element.parentElement.offsetHeight;
  element.hidden = false;
  const tooLong = errors.filter((text) => {
    element.textContent = text;
    return element.parentElement.offsetHeight > height;
  });
  element.hidden = true;
  return tooLong;
}"""
# Return the lightness of the background and of the text, from 0 to 1.
_LIGHTNESS = """() => ["backgroundColor", "color"].map((name) => {
  const [red, green, blue] = getComputedStyle(document.body)[name].match(/[0-9.]+/g).map(Number);
  return (red + green + blue) / 765;
})"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_follows_the_systems_colour_scheme(visit: Visitor, scheme: str) -> None:
    """The dark scheme has light text on a dark background; `color-scheme` applies to fields and scroll bars."""
    tab = visit(color_scheme=scheme)
    background, text = tab.page.evaluate(_LIGHTNESS)
    assert (background < 0.2, text > 0.8) == ((True, True) if scheme == "dark" else (False, False))
    assert tab.page.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light dark"


@pytest.mark.parametrize("locale", LANGUAGES)
@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_there_is_no_layout_shift(visit: Visitor, viewport: ViewportSize, locale: str) -> None:
    """The layout is stable while the page loads, during typing, with errors and after the sign-up.

    Shifts within half a second of a click are included, because a response may take longer. The summary of errors moves
    the form, which slides to its new place by a transform. Browsers do not count transforms as layout shifts.
    """
    tab = visit(viewport=viewport, locale=locale, reduced_motion="no-preference")
    assert tab.layout_shift() == 0
    tab.page.locator("#password").press_sequentially("a" * 20)
    assert tab.layout_shift() == 0
    submit_invalid_fields(tab)
    assert tab.layout_shift() == 0
    sign_up(tab)
    assert tab.layout_shift() == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_error_fits_below_its_field(visit: Visitor, language: str) -> None:
    """Space for an error is reserved, so no text causes a layout shift, even at a width of 320 pixels.

    The test shows every text below the field of the e-mail address.
    """
    tab = visit(viewport=PHONE, locale=language)
    messages = [text.replace("{limit}", "100") for text in texts(language).field_errors.values()]
    assert tab.page.evaluate(_TOO_LONG, [*messages, texts(language).details["email_taken"]]) == []
    assert tab.page.evaluate(_TOO_LONG, ["x " * 100]) == ["x " * 100]


@pytest.mark.parametrize("locale", LANGUAGES)
def test_the_page_is_smaller_than_30_kib(visit: Visitor, locale: str) -> None:
    """The size includes HTML, style sheet and script, uncompressed. A headless browser requests no other file."""
    tab = visit(locale=locale)
    tab.page.wait_for_load_state("networkidle")
    sizes = {}
    for request in tab.requests:
        response = request.response()
        assert response is not None
        sizes[request.resource_type] = len(response.body())
    assert set(sizes) == {"document", "stylesheet", "script"}
    assert len(tab.requests) == len(sizes)
    assert sum(sizes.values()) < MAX_BYTES, sizes


def test_the_page_has_an_svg_icon(visit: Visitor) -> None:
    """A headless browser does not request the icon by itself, so the test does."""
    tab = visit()
    path = tab.page.locator("link[rel=icon]").get_attribute("href")
    response = tab.page.request.get(f"{tab.base_url}{path}")
    assert (response.status, response.headers["content-type"]) == (200, "image/svg+xml")
