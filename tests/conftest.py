"""Fixtures and hooks for all tests."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from devstack.scratch import scratch_folder
from tests import scheduling

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Running

# The tests start hundreds of Python processes. Without bytecode files each would compile all that it imports.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, which is what Pyodide has."""
    return "asyncio"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests so that two processes finish at nearly the same time."""
    items.sort(key=lambda item: scheduling.order(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> scheduling.ByFile:
    """Distribute the tests by file."""
    return scheduling.scheduler(config, log)


@pytest.fixture(scope="session")
def state() -> Iterator[Path]:
    """Return a temporary folder inside the checkout."""
    with scratch_folder("test") as folder:
        yield folder


@pytest.fixture(scope="session")
def worker(state: Path) -> Iterator[Running]:
    """Start one real stack for all end-to-end and browser tests."""
    # Unit tests do not need this import.
    from tests.e2e.conftest import a_worker  # noqa: PLC0415

    with a_worker(state) as it:
        yield it
