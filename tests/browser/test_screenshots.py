"""The README's pictures of the page are those that this takes: `make screenshots` keeps them in docs/img."""

import os
import re
from pathlib import Path

import pytest
from PIL import Image

from devstack.setup.bootstrap import ROOT
from tests.browser.conftest import Visitor
from tests.browser.screenshots import SHOTS, take

IMAGES = ROOT / "docs" / "img"
LARGEST = 60_000


def size_of(file: Path) -> tuple[int, int]:
    """Return how many pixels a picture has."""
    with Image.open(file) as picture:
        return picture.size


@pytest.mark.parametrize("name", SHOTS)
def test_a_picture_is_taken(visit: Visitor, name: str, tmp_path: Path) -> None:
    """As large as the one that is kept, and light enough for a README; SCREENSHOTS says where to keep it."""
    shot = SHOTS[name]
    file = Path(os.environ.get("SCREENSHOTS") or tmp_path) / f"page-{name}.png"
    file.write_bytes(take(visit(**shot.options), shot))
    assert file.stat().st_size < LARGEST
    assert size_of(IMAGES / file.name) == size_of(file)


def test_the_readme_shows_them() -> None:
    """Each of them, with a text for who cannot see it, and no other that is not there."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r'<img[^>]* src="docs/img/(page-\w+)\.png"[^>]* alt="([^"]+)"', readme)
    shown += [(name, text) for text, name in re.findall(r"!\[([^\]]+)\]\(docs/img/(page-\w+)\.png\)", readme)]
    assert sorted(name for name, _ in shown) == sorted(f"page-{name}" for name in SHOTS)
    assert sorted(path.stem for path in IMAGES.glob("page-*.png")) == sorted(f"page-{name}" for name in SHOTS)
    assert all(len(text) > 20 for _, text in shown)
