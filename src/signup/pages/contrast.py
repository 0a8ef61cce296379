"""Choose the text colour on the page's accent colour: black or white."""

DARK, LIGHT = "#000000", "#ffffff"
# sRGB is linear up to this value.
_LINEAR = 0.04045


def luminance(colour: str) -> float:
    """Return the relative luminance of `#rrggbb`, from 0 to 1 (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    values = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (each / 12.92 if each <= _LINEAR else ((each + 0.055) / 1.055) ** 2.4 for each in values)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours, from 1 to 21 (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""
    darker, lighter = sorted((luminance(first), luminance(second)))
    return (lighter + 0.05) / (darker + 0.05)


def readable_on(colour: str) -> str:
    """Return black or white, whichever contrasts more with a colour. The contrast is always at least 4.58."""
    return max((DARK, LIGHT), key=lambda text: contrast(colour, text))
