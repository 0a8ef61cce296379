"""The script that wrangler starts instead of workerd."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from devstack.pyodide import bundle

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_the_wrapper_works_in_a_folder_with_special_characters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The script quotes the path. Only the command `serve` gets the option for the cache."""
    folder = tmp_path / 'it\'s $HOME \\ "mine"'
    folder.mkdir()
    program = folder / "program"
    program.write_text("#!/bin/sh\nprintf '%s\\n' \"$@\"\n")
    program.chmod(0o755)
    monkeypatch.setattr(bundle, "workerd_program", lambda: program)
    script = bundle.wrapper(folder)

    def run(*arguments: str) -> list[str]:
        completed = subprocess.run([script, *arguments], capture_output=True, text=True, check=True)
        return completed.stdout.splitlines()

    assert run("serve", "a b") == ["serve", f"--pyodide-bundle-disk-cache-dir={folder}", "a b"]
    assert run("--version") == ["--version"]
