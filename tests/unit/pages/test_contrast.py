"""Text on the page's accent can be read, whichever colour it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from signup.pages.contrast import contrast, readable_on
from tests.counts import examples


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#ffffff", "#ffffff", 1.0),
        # WebAIM's contrast checker says so.
        ("#777777", "#ffffff", 4.48),
        ("#1D4ED8", "#FFFFFF", 6.70),
        ("#ff0000", "#000000", 5.25),
    ],
)
def test_the_contrast_is_wcags(one: str, other: str, ratio: float) -> None:
    """In either order, in either case."""
    assert contrast(one, other) == pytest.approx(ratio, abs=0.005) == contrast(other, one)


@examples(40)
@given(st.integers(0, 0xFFFFFF))
def test_text_on_any_colour_has_the_contrast_of_level_aa(number: int) -> None:
    """4.5 at least, which is the least for text of any size."""
    colour = f"#{number:06x}"
    assert contrast(colour, readable_on(colour)) >= 4.5


def test_it_is_the_better_of_black_and_white() -> None:
    """Black on yellow, white on blue."""
    assert [readable_on(colour) for colour in ("#ffcc00", "#1d4ed8")] == ["#000000", "#ffffff"]
