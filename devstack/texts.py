"""Check the texts of each language against the code that uses them, as part of `make check`.

Missing and unused texts, unused field codes, and texts whose placeholders differ from those of the English text are
errors.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path
from typing import get_args

import signup
from signup.fields.models import BOT_CHECK_FIELD, INPUTS, TERMS_FIELD, SignUpRequest
from signup.i18n import languages
from signup.i18n.catalog import DEFAULT, LANGUAGES
from signup.problems import TABLE, FieldCode

SOURCE = Path(signup.__file__).parent
# Modules and packages that declare codes and texts, or contain examples of them. Their strings do not count as uses.
DECLARATIONS = ("problems.py", "i18n", "openapi")

Sections = dict[str, dict[str, str]]


def sections(language: str) -> Sections:
    """Return the texts of a language by section and key."""
    module = vars(import_module(f"{languages.__name__}.{language}"))
    return {name: module.get(name, {}) for name in ("TITLES", "DETAILS", "FIELD_ERRORS", "LABELS", "PAGE", "MAILS")}


def used_keys(source: Path = SOURCE) -> dict[str, set[str]]:
    """Return the keys that the code uses, by section."""
    files = [file for file in source.rglob("*.py") if file.relative_to(source).parts[0] not in DECLARATIONS]
    nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))]
    subjects = {
        node.attr
        for node in nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "mails"
    }
    constants = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    templates = [file.read_text(encoding="utf-8") for name in ("*.html", "mail.txt") for file in source.rglob(name)]
    return {
        "TITLES": set(TABLE),
        "DETAILS": set(TABLE),
        "FIELD_ERRORS": constants & set(get_args(FieldCode)),
        "LABELS": set(INPUTS),
        "PAGE": {name for text in templates for name in re.findall(r"\btext\.(\w+)", text)},
        "MAILS": {name for text in templates for name in re.findall(r"\bmails\.(\w+)", text)} | subjects,
    }


def errors(language: str, texts: Sections, english: Sections, keys: Mapping[str, set[str]]) -> Iterator[str]:
    """Yield the errors in the texts of a language."""
    fields = {*SignUpRequest.model_fields, BOT_CHECK_FIELD, TERMS_FIELD}
    for section, wanted in keys.items():
        existing = texts[section].keys()
        # A key such as `email.CODE` replaces the text of the code for one field.
        for_one_field = (
            {f"{field}.{code}" for field in fields for code in wanted} if section == "FIELD_ERRORS" else set()
        )
        yield from (f"{language}: {section} lacks {key!r}" for key in sorted(wanted - existing))
        yield from (f"{language}: {key!r} of {section} is unused" for key in sorted(existing - wanted - for_one_field))
        for key in sorted(existing & english[section].keys()):
            actual, required = (sorted(re.findall(r"\{\w+\}", each[section][key])) for each in (texts, english))
            if actual != required:
                yield f"{language}: {key!r} of {section} has the placeholders {actual}, and {required} in English"


def main() -> int:
    """Print all errors, and return the exit status."""
    keys, english = used_keys(), sections(DEFAULT)
    unused = set(get_args(FieldCode)) - keys["FIELD_ERRORS"]
    messages = [f"the code {code!r} of FieldCode is unused" for code in sorted(unused)]
    messages += [message for language in LANGUAGES for message in errors(language, sections(language), english, keys)]
    for message in messages:
        print(message, file=sys.stderr)
    return 1 if messages else 0


if __name__ == "__main__":
    raise SystemExit(main())
