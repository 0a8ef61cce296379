"""Scheduling of `make test` over two processes: whole files, the longest first.

The tests of a file stay in one process because they share fixtures. pytest-xdist 3.8's own `loadgroup` does not work
with pytest 9.2: it marks groups in an attribute that no longer exists, so each test would be a group of its own.
"""

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

# These files write one fault matrix.
MATRIX = ("test_tls_proxy", "test_database_faults", "test_faults", "test_full_disk")
# The longest files come first, so that both processes finish at nearly the same time.
FIRST = (
    "test_soak",
    "test_schemathesis",
    "test_optional_settings",
    "test_guards",
    "test_make_dev",
    *MATRIX,
)


def group(nodeid: str) -> str:
    """Return the group of a test: its file, the fault matrix, or the browser tests."""
    file = Path(nodeid.partition("::")[0])
    return "matrix" if file.stem in MATRIX else "browser" if file.parent.name == "browser" else str(file)


def order(nodeid: str) -> tuple[int, int, str]:
    """Return the sort key of a test; tests of one file keep their order."""
    file = Path(nodeid.partition("::")[0])
    rank = FIRST.index(file.stem) if "e2e" in file.parts and file.stem in FIRST else len(FIRST)
    return rank, 0 if {"e2e", "browser"} & set(file.parts) else 1, group(nodeid)


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # xdist publishes no types
    """Give each process whole files, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def scheduler(config: pytest.Config, log: object) -> ByFile:
    """Return the scheduler of a test run, which writes to xdist's log."""
    config.option.loadscopereorder = False
    return ByFile(config, log)
