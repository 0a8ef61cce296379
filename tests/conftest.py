"""What all tests share."""

import pytest

from tests import side_by_side


@pytest.fixture
def anyio_backend() -> str:
    """Run async tests on asyncio, which is what Pyodide has."""
    return "asyncio"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring them into the order in which two processes are done soonest; one process takes any order."""
    items.sort(key=lambda item: side_by_side.order(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> side_by_side.ByFile:
    """Share them out by file."""
    return side_by_side.scheduler(config, log)
