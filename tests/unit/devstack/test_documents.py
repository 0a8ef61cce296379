"""Generated documents are current, and their examples are valid settings."""

import json
import tomllib
from pathlib import Path

import pytest

from devstack import documents
from devstack.setup.bootstrap import ROOT
from signup.settings import Settings
from sqlproxy.__main__ import parser

DISPOSABLE = "src/signup/fields/disposable_domains.txt"
FILES = ("docs/settings.md", "docs/openapi.json", ".dev.vars.example", "wrangler.toml", DISPOSABLE)
URL = "sql+http://token@127.0.0.1:1/"
# Settings whose example is a placeholder for a key, and WEBHOOK_URL, which requires such a key.
PLACEHOLDERS = {
    *("PASSWORD_PEPPER", "PASSWORD_PEPPER_PREVIOUS", "INVITATION_SECRET", "VERIFICATION_SECRET"),
    *("WEBHOOK_SECRET", "WEBHOOK_URL"),
}


def read(name: str) -> str:
    """Return the text of a document."""
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_document_is_current() -> None:
    """`make docs` would change nothing."""
    assert not documents.stale()


def test_stale_documents_fail_the_check_and_are_regenerated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One changed character in each document is detected; `make docs` restores the texts."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        changed = read(name).replace("128", "129", 1)
        assert changed != read(name)
        (tmp_path / name).write_text(changed, encoding="utf-8")
    assert documents.main(["--check"], tmp_path) == 1
    assert capsys.readouterr().out == "".join(f"docs: {name} is stale: run `make docs`\n" for name in FILES)
    assert documents.main([], tmp_path) == 0
    assert [name for name in FILES if (tmp_path / name).read_text(encoding="utf-8") != read(name)] == []
    assert documents.main(["--check"], tmp_path) == 0


def test_a_missing_or_repeated_block_is_an_error() -> None:
    """Without the error, a missing block would not be updated, and a repeated block would be updated twice."""
    for text in ("# [other]\n# [/other]\n", "# [a]\n# [/a]\n" * 2):
        with pytest.raises(ValueError, match=r"the block \[a\] occurs"):
            documents.fill(text, "a", "x\n")


def test_dev_vars_example_has_valid_settings() -> None:
    """The settings are in the order of `Settings`, and all values except placeholders are valid."""
    lines = [line.removeprefix("# ").partition("=") for line in read(".dev.vars.example").splitlines()]
    # A value in single quotes is literal.
    examples = {
        name: value.strip("'") if value.startswith("'") else json.loads(value)
        for name, _, value in lines
        if name.isupper() and "_" in name
    }
    assert [name.lower() for name in examples] == list(Settings.model_fields)
    valid = {name: value for name, value in examples.items() if name not in PLACEHOLDERS}
    assert Settings.from_bindings(valid.get).turnstile


def test_the_vars_of_wrangler_toml_are_valid_settings() -> None:
    """The file has every setting that is not secret."""
    text = "".join(f"{line.removeprefix('# ')}\n" for line in read("wrangler.toml").splitlines() if " = " in line)
    variables = tomllib.loads("".join(line for line in text.splitlines(keepends=True) if line.split(" ")[0].isupper()))
    secrets = {name for name, schema in Settings.model_json_schema()["properties"].items() if "writeOnly" in schema}
    assert {name.lower() for name in variables} == Settings.model_fields.keys() - secrets
    Settings.from_bindings({**variables, "DATABASE_URL": URL}.get)


def test_the_sqlproxy_table_has_every_flag() -> None:
    """The table lists the flags of the command line in the same order."""
    table = read("docs/settings.md").partition("[sqlproxy]")[2]
    flags = [action.option_strings[-1] for action in parser()._actions]  # noqa: SLF001 - argparse has no other way
    assert [line.split("`")[1] for line in table.splitlines() if line.startswith("| `--")] == flags[1:]
