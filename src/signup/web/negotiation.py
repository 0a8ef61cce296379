"""What a client would rather have, by its header fields (RFC 9110, section 12.5): HTML or JSON, and which language."""

import re
from collections.abc import Iterator

from signup.i18n.catalog import LANGUAGES

FORM = "application/x-www-form-urlencoded"

# Elements of a header field that are looked at; no browser sends as many.
MOST = 64
_WEIGHT = re.compile(r"q=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")
# What else a JSON client may name. Both are offered at `/`, and a client that likes one of them likes JSON.
_JSON = ("application/json", "application/problem+json")
_OF_HTML = {"charset=utf-8", 'charset="utf-8"'}


def prefers_html(accept: str) -> bool:
    """Say whether a header field Accept prefers text/html to JSON, and names it: to accept anything is no preference.

    Of two that weigh the same, the one that is named more exactly is preferred.
    """
    ranges = list(_elements(accept))
    html = _liking(ranges, "text/html")
    return html[0] > 0 and html[1] > 0 and html > max(_liking(ranges, each) for each in _JSON)


def accepts_html(accept: str) -> bool:
    """Return whether a header field Accept allows text/html; an empty one allows everything."""
    ranges = list(_elements(accept))
    return not ranges or _liking(ranges, "text/html")[0] > 0


def language(accept_language: str) -> str:
    """Return the language of `LANGUAGES` that a header field Accept-Language prefers (RFC 9110, section 12.5.4).

    A region stands for its language (RFC 4647, section 3.4), and `*` for each language that is not named. Of equal
    weights the first counts. Without a preference it is the first language that is not refused.
    """
    ranges = [(value, weight, -place) for place, (value, _, weight) in enumerate(_elements(accept_language))]
    refused = {value for value, weight, _ in ranges if weight == 0}

    def preference(offered: str) -> tuple[float, int]:
        named = [each for each in ranges if each[0].partition("-")[0] == offered]
        found = named or [each for each in ranges if each[0] == "*"]
        weights = ((weight, place) for _, weight, place in found if weight > 0)
        return (-1.0, 0) if offered in refused else max(weights, default=(0.0, -MOST))

    return max(LANGUAGES, key=preference)


def is_form(content_type: str) -> bool:
    """Say whether a body is declared as what a form posts."""
    return content_type.partition(";")[0].strip().lower() == FORM


def _elements(field: str) -> Iterator[tuple[str, set[str], float]]:
    """Yield each element's value, its parameters and its weight, in order; one whose weight is none is left out."""
    for element in field.lower().split(",", MOST)[:MOST]:
        value, *parameters = (part.strip() for part in element.split(";"))
        weights = [_WEIGHT.fullmatch(each) for each in parameters if each.startswith("q=")]
        if value and None not in weights:
            others = {each for each in parameters if each and not each.startswith("q=")}
            yield value, others, float(weights[0][1]) if weights and weights[0] else 1.0


def _liking(ranges: list[tuple[str, set[str], float]], media_type: str) -> tuple[float, int]:
    """Return the weight of a media type, and how exactly it is named: 2 by itself, 1 by its kind, 0 with anything."""
    kind = media_type.partition("/")[0]
    exactness = {media_type: 2, f"{kind}/*": 1, "*/*": 0}
    found = [
        (exactness[value], weight)
        for value, parameters, weight in ranges
        if value in exactness and parameters <= _OF_HTML
    ]
    if not found:
        return 0.0, -1
    exact, weight = max(found)
    return weight, exact
