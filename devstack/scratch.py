"""Temporary folders inside the checkout, so that a command leaves nothing elsewhere."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from devstack.setup.bootstrap import ROOT


@contextlib.contextmanager
def scratch_folder(name: str) -> Iterator[Path]:
    """Create a folder in `.local` and yield it; delete it when the block ends."""
    (ROOT / ".local").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / ".local", prefix=f"{name}-") as folder:
        yield Path(folder)
