"""Distribute the tests of `make test` over processes: whole files or groups of files, the longest first.

The tests of a file stay in one process because they share fixtures. pytest-xdist 3.8's own `loadgroup` does not work
with pytest 9.2: it stores groups in an attribute that no longer exists, so each test would be a separate group.
"""

from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

# Groups of files or folders. The tests of a group share fixtures that take seconds to set up.
GROUPS = {
    # Tests that write the fault matrix.
    "matrix": ("test_tls_proxy", "test_database_faults", "test_faults", "test_full_disk"),
    # Tests that share Workers with non-default settings (tests/e2e/conftest.py).
    "settings": ("test_page", "test_optional_settings", "test_guards", "test_fields"),
    # Tests that look up commands in wrangler's help.
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
    """Return the group of a test: a name in `GROUPS`, or the path of its file."""
    file = Path(nodeid.partition("::")[0])
    names = {file.stem, file.parent.name}
    return next((name for name, members in GROUPS.items() if names.intersection(members)), str(file))


def sort_key(nodeid: str) -> tuple[int, bool, str]:
    """Return the sort key of a test. Tests of the same file have the same key, so they keep their order."""
    name = group(nodeid)
    is_short = bool({"unit", "wire"} & set(Path(name).parts))
    stem = Path(name).stem
    rank = FIRST.index(stem) if stem in FIRST and not is_short else len(FIRST)
    return rank, is_short, name


class FileScheduling(LoadScopeScheduling):  # type: ignore[misc] # xdist publishes no types
    """Assigns whole files or groups to processes, in the order in which they were collected."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)


def scheduler(config: pytest.Config, log: object) -> FileScheduling:
    """Return the scheduler of a test run, which writes to xdist's log."""
    config.option.loadscopereorder = False
    return FileScheduling(config, log)
