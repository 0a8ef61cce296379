"""The texts for people in the language that somebody asked for. Codes are the same in all of them, and so is `msg`."""

import re

from signup.i18n.english import ENGLISH, Texts

_NUMBER = re.compile(r"\d+")


def texts(language: str) -> Texts:
    """Return the page's texts in a language of `negotiation.LANGUAGES`."""
    if language != "de":
        return ENGLISH
    # Most ask for English.
    from signup.i18n.german import GERMAN  # noqa: PLC0415

    return GERMAN


def translated(problem: dict[str, object], language: str) -> dict[str, object]:
    """Return problem details, which are in English, in a language of `negotiation.LANGUAGES`."""
    if language != "de":
        return problem
    told = problem | {name: german(str(problem[name])) for name in ("title", "detail")}
    errors = problem.get("errors")
    if isinstance(errors, list):
        told["errors"] = [error | {"detail": german(error["detail"])} for error in errors]
    return told


def german(text: str) -> str:
    """Return a title, a detail or a field error's detail in German."""
    from signup.i18n.german import PROBLEMS  # noqa: PLC0415 - as above

    if text in PROBLEMS:
        return PROBLEMS[text]
    number = _NUMBER.search(text)
    if number is None:
        return text
    return PROBLEMS.get(_NUMBER.sub("{n}", text), text).replace("{n}", number[0])
