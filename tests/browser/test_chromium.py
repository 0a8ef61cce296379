"""Where the browser cannot be had, its tests fail and say what is missing."""

import shutil
from pathlib import Path

import pytest

from tests.browser import chromium
from tests.browser.chromium import BrowserError


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It is said, and nothing is skipped."""
    monkeypatch.setattr(chromium, "PACKAGE", tmp_path)
    with pytest.raises(BrowserError, match="@sparticuz/chromium is not installed"):
        chromium.unpacked()


def test_what_cannot_be_unpacked_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The next run tries again, from the beginning."""
    shutil.copy(chromium.PACKAGE / "package.json", tmp_path)
    (tmp_path / ".local").mkdir()
    monkeypatch.setattr(chromium, "ROOT", tmp_path)
    monkeypatch.setattr(chromium, "PACKAGE", tmp_path)
    monkeypatch.setattr(chromium, "UNPACK", "throw new Error('no room')")
    with pytest.raises(BrowserError, match="no room"):
        chromium.unpacked()
    assert list((tmp_path / ".local").iterdir()) == []
