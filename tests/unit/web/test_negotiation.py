"""Content negotiation by Accept, Accept-Language and Content-Type."""

import pytest

from signup.i18n.catalog import LANGUAGES
from signup.web.negotiation import FORM, is_form, language, prefers_html


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        # The headers of Chromium, of Firefox and Safari, and of Lynx.
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8", True),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", True),
        ("text/html, text/plain, text/sgml, */*;q=0.01", True),
        ("text/html", True),
        ("TEXT/HTML; Charset=UTF-8", True),
        ("text/*", True),
        # `text/html` is more specific than `*/*`.
        ("text/html, */*", True),
        ("text/html;q=0.5, */*;q=0.5", True),
        ("text/html;q=0.9, application/json;q=0.8", True),
        ("text/html, application/json;q=0", True),
        # The header of curl, fetch and httpx, and no header.
        ("*/*", False),
        ("", False),
        (",", False),
        ("application/json", False),
        ("application/json, text/html", False),
        ("application/problem+json, text/html", False),
        ("text/*, application/json", False),
        ("text/html;q=0.8, application/json", False),
        ("text/html;q=0.8, */*", False),
        ("*/*, application/json;q=0.5", False),
        # HTML is refused or not acceptable, or its weight is invalid.
        ("text/html;q=0, */*", False),
        ("text/html;q=0", False),
        ("text/html;q=2", False),
        ("text/html;q=high", False),
        ("text/html;level=1", False),
        ("text/plain", False),
        (";q=1", False),
        # Only the first 64 elements are parsed.
        ("a/b," * 64 + "text/html", False),
    ],
)
def test_a_page_is_returned_if_html_is_preferred(accept: str, *, html: bool) -> None:
    """Weights are compared first, then the specificity of the ranges; `*/*` is not a preference."""
    assert prefers_html(accept) is html


@pytest.mark.parametrize(
    ("accept_language", "expected"),
    [
        ("", "en"),
        ("de", "de"),
        ("DE", "de"),
        ("de-AT", "de"),
        ("de-CH-1996", "de"),
        ("de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7", "de"),
        ("en-GB,en;q=0.9,de;q=0.8", "en"),
        ("de;q=0.5, en;q=0.9", "en"),
        ("en;q=0.5, de;q=0.9", "de"),
        ("de, en", "de"),
        ("tlh, de;q=0.3", "de"),
        ("tlh", "en"),
        ("*", "en"),
        ("tlh, *;q=0.5", "en"),
        ("en;q=0, *", LANGUAGES[1]),
        ("de;q=0", "en"),
        ("de;q=0, de-AT", "en"),
        (", ".join(f"{each};q=0" for each in LANGUAGES), "en"),
        ("de;q=1.5", "en"),
        ("*;q=0.9, en;q=0.1", LANGUAGES[1]),
        ("*;q=0.1, en;q=0.9", "en"),
        ("en;q=0.1, *;q=0.9, de;q=0.2", next((each for each in LANGUAGES if each not in ("en", "de")), "de")),
        ("en-US;q=0.3, *;q=0.5", LANGUAGES[1]),
        ("de-AT;q=0", "en"),
        ("*;q=0, de;q=0.1", "de"),
        ("deutsch", "en"),
        ("den", "en"),
        ("\u00e9, de", "de"),
    ],
)
def test_the_language_with_the_highest_weight_is_selected(accept_language: str, expected: str) -> None:
    """At equal weights, the first language wins. A region matches its language, and the default is English."""
    assert language(accept_language) == expected


@pytest.mark.parametrize(
    ("content_type", "form"),
    [
        (FORM, True),
        (f"{FORM.upper()} ; charset=UTF-8", True),
        ("application/json", False),
        ("", False),
        ("multipart/form-data", False),
        (f"{FORM}x", False),
    ],
)
def test_a_form_is_recognised_by_its_media_type(content_type: str, *, form: bool) -> None:
    """Parameters of the media type are ignored."""
    assert is_form(content_type) is form
