"""Content negotiation (RFC 9110, section 12.5): HTML or JSON, and the language."""

import re
from collections.abc import Iterator

from signup.i18n.catalog import LANGUAGES

FORM = "application/x-www-form-urlencoded"

# The maximum number of elements in a header; further elements are ignored. Browsers send fewer.
MOST_ELEMENTS = 64
_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
# The media types that clients of the API accept.
_JSON = ("application/json", "application/problem+json")
_HTML_PARAMETERS = {"charset=utf-8", 'charset="utf-8"'}


def prefers_html(accept: str) -> bool:
    """Return whether an Accept header names text/html or text/*, and prefers it to JSON.

    If weights are equal, the more specific range wins. `*/*` is not a preference.
    """
    ranges = list(_elements(accept))
    html = _preference(ranges, "text/html")
    return html[0] > 0 and html[1] > 0 and html > max(_preference(ranges, each) for each in _JSON)


def accepts_html(accept: str) -> bool:
    """Return whether an Accept header allows text/html. An empty header allows everything."""
    ranges = list(_elements(accept))
    return not ranges or _preference(ranges, "text/html")[0] > 0


def language(accept_language: str) -> str:
    """Return the language of `LANGUAGES` that an Accept-Language header prefers (RFC 9110, section 12.5.4).

    A region matches its language (RFC 4647, section 3.4), and `*` matches each language that is not named. If weights
    are equal, the first element wins. Without a preference, the result is the first language that is not refused.
    """
    ranges = [(value, weight, -position) for position, (value, _, weight) in enumerate(_elements(accept_language))]
    refused = {value for value, weight, _ in ranges if weight == 0}

    def preference(offered: str) -> tuple[float, int]:
        named = [each for each in ranges if each[0].partition("-")[0] == offered]
        matching = named or [each for each in ranges if each[0] == "*"]
        weights = ((weight, position) for _, weight, position in matching if weight > 0)
        return (-1.0, 0) if offered in refused else max(weights, default=(0.0, -MOST_ELEMENTS))

    return max(LANGUAGES, key=preference)


def is_form(content_type: str) -> bool:
    """Return whether a Content-Type declares a form."""
    return content_type.partition(";")[0].strip().lower() == FORM


def _elements(field: str) -> Iterator[tuple[str, set[str], float]]:
    """Yield value, parameters and weight of each element, in order. Skip elements with an invalid weight."""
    for element in field.lower().split(",", MOST_ELEMENTS)[:MOST_ELEMENTS]:
        value, *parameters = (part.strip() for part in element.split(";"))
        weights = [_WEIGHT.fullmatch(each) for each in parameters if each.startswith("q=")]
        if value and None not in weights:
            others = {each for each in parameters if each and not each.startswith("q=")}
            yield value, others, float(weights[0][1]) if weights and weights[0] else 1.0


def _preference(ranges: list[tuple[str, set[str], float]], media_type: str) -> tuple[float, int]:
    """Return the weight and specificity for a media type: 2 for a full match, 1 for `type/*`, 0 for `*/*`, else -1."""
    main_type = media_type.partition("/")[0]
    specificity = {media_type: 2, f"{main_type}/*": 1, "*/*": 0}
    matches = [
        (specificity[value], weight)
        for value, parameters, weight in ranges
        if value in specificity and parameters <= _HTML_PARAMETERS
    ]
    if not matches:
        return 0.0, -1
    specific, weight = max(matches)
    return weight, specific
