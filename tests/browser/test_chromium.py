"""If the browser is missing or broken, the tests fail and report the reason."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from devstack.setup.bootstrap import ROOT
from tests.browser import chromium
from tests.browser.chromium import BrowserError


def test_a_browser_that_does_not_start_is_reported(tmp_path: Path) -> None:
    """The error contains the program's output, which names a missing library, for example."""
    program = tmp_path / "chromium"
    program.write_text("#!/bin/sh\necho 'cannot open libmissing.so' >&2\nexit 127\n")
    program.chmod(0o700)
    # Chromium runs in a separate process, because Playwright may be running in this one.
    command = [sys.executable, "-c", "from tests.browser.chromium import chromium\nwith chromium(): pass"]
    completed = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "CHROMIUM": str(program)}, capture_output=True, text=True, check=False
    )
    assert completed.returncode == 1
    assert f"BrowserError: {program} does not start" in completed.stderr
    assert "libmissing.so" in completed.stderr


def test_a_missing_package_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The exception makes the browser tests fail; they are not skipped."""
    monkeypatch.setattr(chromium, "PACKAGE", tmp_path)
    with pytest.raises(BrowserError, match="@sparticuz/chromium is not installed"):
        chromium.unpack()


def test_a_failed_unpacking_leaves_no_files(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Otherwise the next run would use an incomplete folder instead of unpacking the package again."""
    shutil.copy(chromium.PACKAGE / "package.json", tmp_path)
    (tmp_path / ".local").mkdir()
    monkeypatch.setattr(chromium, "ROOT", tmp_path)
    monkeypatch.setattr(chromium, "PACKAGE", tmp_path)
    monkeypatch.setattr(chromium, "UNPACK", "throw new Error('no room')")
    with pytest.raises(BrowserError, match="no room"):
        chromium.unpack()
    assert list((tmp_path / ".local").iterdir()) == []
