"""Fixtures and hooks for all tests."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from devstack.scratch import scratch_folder
from devstack.setup.bootstrap import ROOT
from tests import scheduling

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e.conftest import Running

# The tests start hundreds of Python processes. Without bytecode files, each would compile the project's modules again.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# Node also caches compiled code, because wrangler alone has 15 MB of JavaScript.
os.environ.setdefault("NODE_COMPILE_CACHE", str(ROOT / ".local" / "node-compile-cache"))


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, which the Worker also uses. tests/unit/conftest.py overrides this fixture."""
    return "asyncio"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort the tests so that all processes finish at nearly the same time."""
    items.sort(key=lambda item: scheduling.sort_key(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> scheduling.FileScheduling:
    """Distribute the tests by file or group of files."""
    return scheduling.scheduler(config, log)


@pytest.fixture(scope="session", autouse=True)
def coverage_of_processes() -> str:
    """Return COVERAGE_PROCESS_CONFIG, which makes a process measure its coverage; "" without coverage.

    The variable is removed from the environment, because it delays each of hundreds of processes by a quarter of a
    second. Only tests/contract/sqlproxy needs it.
    """
    return os.environ.pop("COVERAGE_PROCESS_CONFIG", "")


@pytest.fixture(scope="session")
def state() -> Iterator[Path]:
    """Return a temporary folder inside the checkout."""
    with scratch_folder("test") as folder:
        yield folder


@pytest.fixture(scope="session")
def worker(state: Path) -> Iterator[Running]:
    """Run a real stack for the end-to-end and browser tests of this process."""
    # This import takes time, and unit tests do not need it.
    from tests.e2e.conftest import a_worker  # noqa: PLC0415

    with a_worker(state) as running:
        yield running


@pytest.fixture(scope="session")
def configured(worker: Running, state: Path) -> Iterator[Running]:
    """Run a Worker with other settings (`tests.e2e.conftest.a_configured_worker`)."""
    from tests.e2e.conftest import a_configured_worker  # noqa: PLC0415

    with a_configured_worker(worker, state) as running:
        yield running
