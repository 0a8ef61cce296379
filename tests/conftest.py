"""What all tests share."""

from pathlib import Path

import pytest

# They write one matrix together, and share its second Worker.
MATRIX = ("test_certificate", "test_database_faults", "test_faults", "test_full_disk")


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, which is what Pyodide has."""
    return "asyncio"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Keep the tests of a file in one process: they share what it starts. Most of the time they wait.

    First, because pytest-xdist reads the marks in the same hook.
    """
    for item in items:
        file = Path(item.path).stem
        item.add_marker(pytest.mark.xdist_group("matrix" if file in MATRIX else file))
