"""How `make test` shares the tests out between two processes: by file, the longest first.

The tests of a file stay in one process, because they share what it starts, and most of the time they wait. pytest-xdist
3.8 marks the groups of its own `loadgroup` in an attribute that pytest 9.2 has no more: each test is a group by itself.
"""

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

# They write one matrix together, and share its second Worker.
MATRIX = ("test_certificate", "test_database_faults", "test_faults", "test_full_disk")
# What takes longest comes first, so that no process has much left when the other one is done.
FIRST = ("test_soak", "test_schemathesis", "test_breached_passwords", "test_make_dev", *MATRIX)


def group(nodeid: str) -> str:
    """Return what a test shares its process with: the tests of its file, of the matrix, or of the browser."""
    file = Path(nodeid.partition("::")[0])
    return "matrix" if file.stem in MATRIX else "browser" if file.parent.name == "browser" else str(file)


def order(nodeid: str) -> tuple[int, int, str]:
    """Return what tests are sorted by, which leaves those of a file as they are."""
    file = Path(nodeid.partition("::")[0])
    rank = FIRST.index(file.stem) if "e2e" in file.parts and file.stem in FIRST else len(FIRST)
    return rank, 0 if {"e2e", "browser"} & set(file.parts) else 1, group(nodeid)


class ByFile(LoadScopeScheduling):  # type: ignore[misc] # xdist publishes no types
    """Gives each process whole files, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def scheduler(config: pytest.Config, log: object) -> ByFile:
    """Return the scheduler of a run, which writes to xdist's log."""
    config.option.loadscopereorder = False
    return ByFile(config, log)
