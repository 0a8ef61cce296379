"""The check of translations, which `make check` runs."""

from pathlib import Path

import pytest

from devstack import texts


def test_the_translations_are_complete() -> None:
    """No language has a missing or unused text."""
    assert texts.main() == 0


ENGLISH: texts.Sections = {
    "TITLES": {"internal": "Title"},
    "FIELD_ERRORS": {"too_long": "At most {limit}.", "name.too_long": "Name: {limit}."},
    "LABELS": {"name": "Name"},
    "PAGE": {"title": "Sign up"},
}
KEYS = {"TITLES": {"internal"}, "FIELD_ERRORS": {"too_long"}, "LABELS": {"name"}, "PAGE": {"title"}}


@pytest.mark.parametrize(
    ("section", "changed", "expected"),
    [
        ("PAGE", {"title": "Registrieren"}, []),
        ("TITLES", {}, ["de: TITLES lacks 'internal'"]),
        ("LABELS", {}, ["de: LABELS lacks 'name'"]),
        ("PAGE", {"title": "x", "old": "x"}, ["de: 'old' of PAGE is unused"]),
        # A text for one field is optional and does not replace the general one.
        ("FIELD_ERRORS", {"name.too_long": "{limit}"}, ["de: FIELD_ERRORS lacks 'too_long'"]),
        ("FIELD_ERRORS", {"too_long": "{limit}"}, []),
        (
            "FIELD_ERRORS",
            {"too_long": "{limit}", "nickname.too_long": "{limit}"},
            ["de: 'nickname.too_long'"],
        ),
        ("FIELD_ERRORS", {"too_long": "{n}"}, ["de: 'too_long' of FIELD_ERRORS has the placeholders ['{n}']"]),
    ],
)
def test_errors_of_a_translation_are_reported(section: str, changed: dict[str, str], expected: list[str]) -> None:
    """Missing keys, unused keys and different placeholders are errors."""
    errors = [*texts.errors("de", {**ENGLISH, section: changed}, ENGLISH, KEYS)]
    assert len(errors) == len(expected)
    assert all(error.startswith(beginning) for error, beginning in zip(errors, expected, strict=True))


def test_used_keys_are_found_in_code_and_templates(tmp_path: Path) -> None:
    """Error codes are found in code outside their declaration, page texts in templates, and e-mail texts in both."""
    (tmp_path / "problems.py").write_text('CODES = "breached"')
    (tmp_path / "fields").mkdir()
    (tmp_path / "fields" / "a.py").write_text('raise refusal("too_long", "no code")')
    (tmp_path / "page.html").write_text("<p>{{ text.title }} {{ text.hint.format(limit=1) }} context.other</p>")
    (tmp_path / "mail.txt").write_text("{{ mails.footer }}")
    (tmp_path / "mails.py").write_text("subject = mails.subject")
    used = texts.used_keys(tmp_path)
    assert (used["FIELD_ERRORS"], used["PAGE"]) == ({"too_long"}, {"title", "hint"})
    assert used["MAILS"] == {"footer", "subject"}
