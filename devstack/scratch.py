"""Temporary folders inside the checkout, so that a command leaves nothing elsewhere."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from devstack.setup.bootstrap import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """Yield a new folder in `.local`, which is deleted when the block ends."""
    (ROOT / ".local").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / ".local", prefix=f"{name}-") as folder:
        yield Path(folder)
