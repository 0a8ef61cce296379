"""The pictures of the page that the README shows: what each of them is, and how it is taken."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image

from tests.browser.visits import Visit

# Enough for two colours, their edges, and a shadow.
COLOURS = 64
# An address of a name that is told in no log, and nobody's.
NAME, EMAIL = "Ada Lovelace", "ada@example.org"


@dataclass(frozen=True)
class Shot:
    """A picture.

    Args:
        prepare: brings the page to what is shown.
        options: of the browser's context; its viewport is what is shown.
    """

    prepare: Callable[[Visit], None]
    options: dict[str, Any]


def _written(it: Visit) -> None:
    it.fill(name=NAME, email=EMAIL, password="correct horse")


def _errors(it: Visit) -> None:
    it.refusals.add(422)
    it.fill(name=NAME, email="ada@example", password="correct horse")
    it.submit()
    it.page.locator("#summary").wait_for()


_DESKTOP = {"width": 640, "height": 660}
SHOTS = {
    "desktop": Shot(_written, {"viewport": _DESKTOP}),
    "dark": Shot(_written, {"viewport": _DESKTOP, "color_scheme": "dark"}),
    "errors": Shot(_errors, {"viewport": {"width": 640, "height": 800}}),
    "phone": Shot(_errors, {"viewport": {"width": 320, "height": 600}, "locale": "de-DE", "device_scale_factor": 2}),
}


def take(it: Visit, shot: Shot) -> bytes:
    """Return a picture as a PNG, small, and the same of the same page: no caret, nothing that moves."""
    shot.prepare(it)
    it.page.evaluate("document.activeElement.blur()")
    it.page.mouse.move(0, 0)
    picture = Image.open(io.BytesIO(it.page.screenshot(animations="disabled", caret="hide")))
    small = io.BytesIO()
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(small, "PNG", optimize=True)
    return small.getvalue()
