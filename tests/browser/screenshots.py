"""The README's screenshots of the sign-up page."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from tests.browser.visits import Visit

# The number of colours in the palette, which is enough for the page's colours, anti-aliased edges and shadow.
COLOURS = 64
# The name, and the address in the screenshots without errors.
NAME, EMAIL = "Ada Lovelace", "ada@example.org"


@dataclass(frozen=True)
class Screenshot:
    """The state of the page and the browser options of a screenshot.

    Args:
        prepare: the function that brings the page into the state to show.
        options: the options of the browser context; the viewport sets the size of the screenshot.
    """

    prepare: Callable[[Visit], None]
    options: dict[str, Any]


def _fill_form(tab: Visit) -> None:
    tab.fill(name=NAME, email=EMAIL, password="correct horse")


def _submit_invalid_form(tab: Visit) -> None:
    tab.expected_statuses.add(422)
    tab.fill(name=NAME, email="ada@example", password="correct horse")
    tab.submit()
    tab.page.locator("#summary").wait_for()


_DESKTOP = {"width": 640, "height": 660}
SCREENSHOTS = {
    "desktop": Screenshot(_fill_form, {"viewport": _DESKTOP}),
    "dark": Screenshot(_fill_form, {"viewport": _DESKTOP, "color_scheme": "dark"}),
    "errors": Screenshot(_submit_invalid_form, {"viewport": {"width": 640, "height": 830}}),
    "phone": Screenshot(
        _submit_invalid_form, {"viewport": {"width": 320, "height": 830}, "locale": "de-DE", "device_scale_factor": 2}
    ),
}


def take(tab: Visit, screenshot: Screenshot) -> bytes:
    """Return a screenshot as a small PNG, without caret and animations, so that it is reproducible."""
    screenshot.prepare(tab)
    tab.page.evaluate("document.activeElement.blur()")
    tab.page.mouse.move(0, 0)
    picture = Image.open(io.BytesIO(tab.page.screenshot(animations="disabled", caret="hide")))
    small = io.BytesIO()
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()
