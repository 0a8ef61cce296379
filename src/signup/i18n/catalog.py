"""The catalog of translations: the texts for users, by code or name. Each module of `languages` is one language."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import SimpleNamespace

from signup.i18n import languages

DEFAULT = "en"
# The tags of all languages, the default first. A language's module is imported when a request needs it.
LANGUAGES = tuple(
    sorted((each.name for each in iter_modules(languages.__path__)), key=lambda tag: (tag != DEFAULT, tag))
)


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language.

    Args:
        language: the language tag, such as `en`.
        titles, details: the texts of problems, by code.
        field_errors: the error texts of fields, by "CODE" or "FIELD.CODE".
        labels: the labels of the page's fields, by name.
        page: all other texts of the pages, as attributes.
        mails: the texts of the e-mails, as attributes.
    """

    language: str
    titles: Mapping[str, str]
    details: Mapping[str, str]
    field_errors: Mapping[str, str]
    labels: Mapping[str, str]
    page: SimpleNamespace
    mails: SimpleNamespace

    def field_error(self, field: str, code: str, limit: int | None = None) -> str:
        """Return the error text of a field.

        Args:
            field: the path of the field, such as `email` or `extra.company`.
            code: the code of the error.
            limit: the number that replaces `{limit}` in the text; None if the text has none.
        """
        text = self.field_errors.get(f"{field}.{code}") or self.field_errors[code]
        return text.replace("{limit}", str(limit))


@cache
def texts(language: str) -> Texts:
    """Return the texts of one of `LANGUAGES`."""
    module = import_module(f"{languages.__name__}.{language}")
    page, mails = SimpleNamespace(**module.PAGE), SimpleNamespace(**module.MAILS)
    return Texts(language, module.TITLES, module.DETAILS, module.FIELD_ERRORS, module.LABELS, page, mails)
