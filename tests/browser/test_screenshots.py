"""The README's screenshots; `make screenshots` writes them to docs/img."""

import os
import re
from pathlib import Path

import pytest
from PIL import Image

from devstack.setup.bootstrap import ROOT
from tests.browser.conftest import Visitor
from tests.browser.screenshots import SCREENSHOTS, take

IMAGES = ROOT / "docs" / "img"
MAX_BYTES = 60_000


def size_of(file: Path) -> tuple[int, int]:
    """Return the size of an image in pixels."""
    with Image.open(file) as picture:
        return picture.size


@pytest.mark.parametrize("name", SCREENSHOTS)
def test_a_screenshot_has_the_size_of_the_stored_one(visit: Visitor, name: str, tmp_path: Path) -> None:
    """The file is small enough for a README. The environment variable SCREENSHOTS names the folder to write to."""
    screenshot = SCREENSHOTS[name]
    file = Path(os.environ.get("SCREENSHOTS") or tmp_path) / f"page-{name}.png"
    file.write_bytes(take(visit(**screenshot.options), screenshot))
    assert file.stat().st_size < MAX_BYTES
    assert size_of(IMAGES / file.name) == size_of(file)


def test_the_readme_shows_every_screenshot() -> None:
    """Each screenshot has an alternative text, and no other screenshot is referenced or stored."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r'<img[^>]* src="docs/img/(page-\w+)\.png"[^>]* alt="([^"]+)"', readme)
    shown += [(name, text) for text, name in re.findall(r"!\[([^\]]+)\]\(docs/img/(page-\w+)\.png\)", readme)]
    assert sorted(name for name, _ in shown) == sorted(f"page-{name}" for name in SCREENSHOTS)
    assert sorted(path.stem for path in IMAGES.glob("page-*.png")) == sorted(f"page-{name}" for name in SCREENSHOTS)
    assert all(len(text) > 20 for _, text in shown)
