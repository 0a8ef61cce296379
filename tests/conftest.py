"""What all tests share."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devstack.bootstrap import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e.conftest import Running

# They write one matrix together, and share its second Worker.
MATRIX = ("test_certificate", "test_database_faults", "test_faults", "test_full_disk")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, which is what Pyodide has."""
    return "asyncio"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process, and all of the browser: they share what is started.

    Most of the time they wait. First, because pytest-xdist reads the marks in the same hook.
    """
    for item in items:
        file = Path(item.path)
        group = "matrix" if file.stem in MATRIX else "browser" if file.parent.name == "browser" else file.stem
        item.add_marker(pytest.mark.xdist_group(group))


@pytest.fixture(scope="session")
def state() -> Iterator[Path]:
    """Return a folder inside the checkout that is gone afterwards."""
    (ROOT / ".local").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=ROOT / ".local", prefix="test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def worker(state: Path) -> Iterator[Running]:
    """Start one real stack, once, for the end-to-end tests and the browser's."""
    # No unit test needs what this imports.
    from tests.e2e.conftest import a_worker  # noqa: PLC0415

    with a_worker(state) as it:
        yield it
