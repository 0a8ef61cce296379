"""Scheduling of `make test` over its processes: whole files, the longest first.

The tests of a file stay in one process because they share fixtures. pytest-xdist 3.8's own `loadgroup` does not work
with pytest 9.2: it marks groups in an attribute that no longer exists, so each test would be a group of its own.
"""

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

# The files of a group share fixtures that take seconds to set up, by the names of files or folders.
GROUPS = {
    # These write one fault matrix.
    "matrix": ("test_tls_proxy", "test_database_faults", "test_faults", "test_full_disk"),
    # These share Workers with other settings (tests/e2e/conftest.py).
    "settings": ("test_page", "test_optional_settings", "test_guards", "test_fields"),
    # These look commands up in wrangler's help.
    "guides": ("test_deploy_guide", "test_migration_guide"),
    "browser": ("browser",),
    "proxies": ("proxies",),
}
# The longest groups and files come first, so that all processes finish at nearly the same time.
FIRST = (
    *("matrix", "test_soak", "guides", "test_make_dev", "settings", "browser", "proxies", "test_processes"),
    *("test_sessions", "test_passwords", "test_schemathesis", "test_rate_limits", "test_deploy"),
)


def group(nodeid: str) -> str:
    """Return the group of a test: one of `GROUPS`, or its file."""
    file = Path(nodeid.partition("::")[0])
    names = {file.stem, file.parent.name}
    return next((name for name, members in GROUPS.items() if names.intersection(members)), str(file))


def order(nodeid: str) -> tuple[int, bool, str]:
    """Return the sort key of a test; tests of one file keep their order."""
    name = group(nodeid)
    is_short = bool({"unit", "wire"} & set(Path(name).parts))
    stem = Path(name).stem
    rank = FIRST.index(stem) if stem in FIRST and not is_short else len(FIRST)
    return rank, is_short, name


class FileScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist publishes no types
    """Gives each process whole files, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def scheduler(config: pytest.Config, log: object) -> FileScheduling:
    """Return the scheduler of a test run, which writes to xdist's log."""
    config.option.loadscopereorder = False
    return FileScheduling(config, log)
