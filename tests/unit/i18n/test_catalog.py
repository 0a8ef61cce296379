"""Texts by code and language. `make check` compares the languages (tests/unit/devstack/test_texts.py)."""

import re
from pathlib import Path
from typing import get_args

import pytest

from signup.i18n import languages
from signup.i18n.catalog import LANGUAGES, texts
from signup.problems import FieldCode
from tests.fakes import ADA, Client


def test_the_languages_are_the_modules_of_the_folder() -> None:
    """English, the default, is first."""
    files = {file.stem for file in Path(languages.__path__[0]).glob("*.py")} - {"__init__"}
    assert {*LANGUAGES} == files > {"de"}
    assert LANGUAGES[0] == "en"
    assert [texts(each).language for each in LANGUAGES] == [*LANGUAGES]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_has_no_region(language: str) -> None:
    """A tag with a region selects its language, so a file such as `pt-BR.py` or `pt_br.py` is never selected."""
    assert re.fullmatch("[a-z]{2,3}", language)


def test_the_text_for_a_field_replaces_the_general_one() -> None:
    """The error's limit is filled in."""
    english = texts("en")
    assert english.field_error("name", "required") == "Enter your name."
    assert english.field_error("other", "required") == "This field is required."
    assert english.field_error("password", "too_short", 15) == "The password must be at least 15 characters long."


@pytest.mark.parametrize("language", LANGUAGES)
def test_details_and_field_errors_end_with_a_full_stop(language: str) -> None:
    """Titles do not end with a full stop."""
    catalog = texts(language)
    assert not [title for title in catalog.titles.values() if title.endswith(".")]
    assert all(detail.endswith(".") for detail in catalog.details.values())
    for code in get_args(FieldCode):
        assert catalog.field_error("email", code, 1).endswith(".")


def test_no_german_text_equals_the_english_one() -> None:
    """Titles, details and field errors are compared."""
    english, german = texts("en"), texts("de")
    assert not {*english.titles.values()} & {*german.titles.values()}
    assert not {*english.details.values()} & {*german.details.values()}
    assert not {*english.field_errors.values()} & {*german.field_errors.values()}


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "body"), [("/", {"name": 5, "role": 1}), ("/", b"{"), ("/nowhere", None)])
async def test_problems_are_in_the_requested_language(path: str, body: dict[str, int] | bytes) -> None:
    """Title and detail differ, status and codes do not; Content-Language names the language."""
    responses = []
    for tag in ("en", "de"):
        headers = {"content-type": "application/json", "accept-language": tag}
        response, problem = await Client().request(path=path, body=body, headers=headers)
        assert (response.headers["content-language"], response.headers["vary"]) == (tag, "accept-language")
        responses.append((response.status, problem))
    (status, english), (german_status, german) = responses
    assert (status, english["code"]) == (german_status, german["code"])
    assert {english["title"], english["detail"]}.isdisjoint({german["title"], german["detail"]})
    assert {"title", "detail"}.isdisjoint(
        name for name in german if name not in ("instance", "errors") and german[name] == english[name]
    )
    for error, german_error in zip(english.get("errors", ()), german.get("errors", ()), strict=True):
        assert (error["pointer"], error["code"]) == (german_error["pointer"], german_error["code"])
        assert error["detail"] != german_error["detail"]


@pytest.mark.anyio
async def test_a_success_does_not_depend_on_the_language() -> None:
    """The response has neither Content-Language nor Vary."""
    headers = {"content-type": "application/json", "accept-language": "de"}
    response, body = await Client().request(body=ADA, headers=headers)
    assert (response.status, body["msg"]) == (201, "User created")
    assert {"content-language", "vary"}.isdisjoint(response.headers)
