"""Every text for people has its German counterpart, and no German text is without one."""

import ast
import re
from dataclasses import fields
from pathlib import Path

import pytest

from signup import problems
from signup.i18n.catalog import german, texts, translated
from signup.i18n.english import ENGLISH
from signup.i18n.german import GERMAN, PROBLEMS
from signup.problems import FieldError, ValidationFailed
from tests.fakes import ADA, Client
from tests.unit.test_problems import tree

SRC = Path(problems.__file__).parent
# What makes a field error, and where its text stands among the arguments.
CALLS = {
    "FieldError": 2,
    "Objection": 1,
    "PydanticCustomError": 1,
    "ValueError": 0,
    "AddressError": 0,
    "_refused": 1,
}
# ValueErrors of other modules are for whoever calls them.
MODULES = (
    "fields/email_address",
    "guards/breached_passwords",
    "guards/rate_limits",
    "fields/models",
    "fields/password_policy",
    "guards/turnstile",
)
PLACEHOLDER = re.compile(r"\{\w+\}")


def written(node: ast.expr) -> str | None:
    """Return a text as it is written, with `{n}` for what is put in; None for what is no text."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return PLACEHOLDER.sub("{n}", node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "{n}" for part in node.values)
    return None


def field_errors() -> set[str]:
    """Return the text of every field error, read off the code."""
    found = set[str | None]()
    for module in MODULES:
        for node in ast.walk(ast.parse((SRC / f"{module}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
                found.add(written(node.args[CALLS[node.func.id]]))
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_CODES":
                assert isinstance(node.value, ast.Dict)
                found |= {written(each.elts[1]) for each in node.value.values if isinstance(each, ast.Tuple)}
    # "{detail}" is what another one says.
    return {text for text in found if text is not None} - {"{n}"}


def told() -> set[str]:
    """Return every English text of problem details."""
    return field_errors() | {text for each in tree() for text in (each.title, each.detail)}


def test_every_text_has_a_german_one_and_none_is_left_over() -> None:
    """Titles, details, and what is said of fields, with numbers in it or without."""
    assert {
        "must be at least {n} characters long",
        "is required",
        "must not mix letters of several scripts in one part",
        "must not contain ligatures or other compatibility characters before the @",
        "must not stand on a published list of breached passwords",
    } < field_errors()
    assert told() == PROBLEMS.keys()


def test_german_is_german() -> None:
    """No text is the same in both, and each keeps its number, its final stop and its beginning."""
    for english, other in PROBLEMS.items():
        assert other != english
        assert PLACEHOLDER.findall(other) == PLACEHOLDER.findall(english)
        assert other.endswith(".") == english.endswith(".")
        assert other[0].isupper() == english[0].isupper()


def test_the_page_says_the_same_in_both() -> None:
    """Each text is there in both, with the same placeholders, and labels for the same fields."""
    assert (texts("en"), texts("de")) == (ENGLISH, GERMAN)
    assert (ENGLISH.language, GERMAN.language) == ("en", "de")
    assert ENGLISH.labels.keys() == GERMAN.labels.keys()
    for each in fields(ENGLISH):
        one, other = getattr(ENGLISH, each.name), getattr(GERMAN, each.name)
        if isinstance(one, str):
            assert one != other
            assert PLACEHOLDER.findall(one) == PLACEHOLDER.findall(other)


def test_numbers_are_kept() -> None:
    """A text with another number is the same text; one that has its own stays as it is."""
    assert german("must be at least 15 characters long") == "muss mindestens 15 Zeichen lang sein"
    assert german("must be at most 254 characters long") == "darf h\u00f6chstens 254 Zeichen lang sein"
    assert "16 KiB" in german(problems.BodyTooLarge.detail)
    # What nobody knows stays in English.
    assert [german(text) for text in ("canary", "canary 5")] == ["canary", "canary 5"]


def test_codes_stay() -> None:
    """Of problem details only what is for people changes, and the English ones are left alone."""
    problem = {"code": "validation_failed", "title": "Validation failed", "detail": "canary", "status": 422}
    problem |= ValidationFailed([FieldError("/name", "required", "is required")]).members()
    error = {"pointer": "/name", "code": "required"}
    changed = translated(problem, "de")
    assert changed == {
        "code": "validation_failed",
        "title": "Angaben nicht in Ordnung",
        "detail": "canary",
        "status": 422,
        "errors": [error | {"detail": "ist erforderlich"}],
    }
    assert problem["errors"] == [error | {"detail": "is required"}]
    assert translated(problem, "en") is problem


@pytest.mark.anyio
@pytest.mark.parametrize(("path", "body"), [("/", {"name": 5, "role": 1}), ("/", b"{"), ("/nowhere", None)])
async def test_problems_are_told_in_the_language_that_is_asked_for(path: str, body: dict[str, int] | bytes) -> None:
    """Title and detail differ, status and codes do not; the answer says which language it is in."""
    answers = []
    for spoken in ("en", "de"):
        headers = {"content-type": "application/json", "accept-language": spoken}
        response, problem = await Client().request(path=path, body=body, headers=headers)
        assert (response.headers["content-language"], response.headers["vary"]) == (spoken, "accept-language")
        answers.append((response.status, problem))
    (status, english), (other_status, other) = answers
    assert (status, english["code"]) == (other_status, other["code"])
    assert {english["title"], english["detail"]}.isdisjoint({other["title"], other["detail"]})
    assert {"title", "detail"}.isdisjoint(
        name for name in other if name not in ("instance", "errors") and other[name] == english[name]
    )


@pytest.mark.anyio
async def test_a_success_is_in_no_language() -> None:
    """It is the same for everybody, and nothing is looked at for it."""
    headers = {"content-type": "application/json", "accept-language": "de"}
    response, body = await Client().request(body=ADA, headers=headers)
    assert (response.status, body["msg"]) == (201, "User created")
    assert {"content-language", "vary"}.isdisjoint(response.headers)
