"""The contrast of text on the page's accent colour."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signup.pages.contrast import contrast, readable_on
from tests.counts import examples


@pytest.mark.parametrize(
    ("first", "second", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        # The values of WebAIM's contrast checker.
        ("#777777", "#ffffff", 4.48),
        ("#1D4ED8", "#FFFFFF", 6.70),
        ("#ff0000", "#000000", 5.25),
    ],
)
def test_the_contrast_ratio_follows_wcag(first: str, second: str, ratio: float) -> None:
    """The order of the colours and the case of their digits do not matter."""
    assert contrast(first, second) == pytest.approx(ratio, abs=0.005) == contrast(second, first)


@examples(40)
@given(st.integers(0, 0xFFFFFF))
def test_text_on_any_colour_meets_wcag_level_aa(rgb: int) -> None:
    """A ratio of 4.5 meets level AA for text of any size."""
    colour = f"#{rgb:06x}"
    assert contrast(colour, readable_on(colour)) >= 4.5


def test_the_colour_with_more_contrast_is_chosen() -> None:
    """Text is black on yellow, and white on blue."""
    assert [readable_on(colour) for colour in ("#ffcc00", "#1d4ed8")] == ["#000000", "#ffffff"]
