"""Prisma's migration checksums and records."""

from __future__ import annotations

import datetime as dt

import pytest

from devstack.migrate.history import Migration, Record

NOW = dt.datetime(2026, 11, 22, tzinfo=dt.UTC)


def test_the_checksum_equals_that_of_prisma() -> None:
    """The expected value is from the tests of Prisma's checksum.rs."""
    expected = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert Migration("m", "hello").checksum == expected


@pytest.mark.parametrize("recorded", ["a\nb\n", "a\r\nb\r\n", "a\r\nb\n"])
@pytest.mark.parametrize("current", ["a\nb\n", "a\r\nb\r\n"])
def test_line_endings_do_not_change_a_migration(recorded: str, current: str) -> None:
    """A script matches the checksums of its LF and CRLF forms, but not the checksum of mixed line endings."""
    expected = recorded == current or "a\r\nb\n" not in (recorded, current)
    assert Migration("m", current).matches(Migration("m", recorded).checksum) == expected


def test_an_added_line_break_is_a_change() -> None:
    """Only the conversion of line endings is ignored."""
    assert not Migration("m", "SELECT 1;\n").matches(Migration("m", "SELECT 1;").checksum)


@pytest.mark.parametrize(
    ("finished", "rolled_back", "failed"),
    [(None, None, True), (NOW, None, False), (None, NOW, False), (NOW, NOW, False)],
)
def test_a_migration_failed_if_it_neither_finished_nor_was_rolled_back(
    finished: dt.datetime | None, rolled_back: dt.datetime | None, failed: bool
) -> None:
    """A failed record blocks later migrations (Prisma: P3009)."""
    assert Record("id", "m", "c", NOW, finished, rolled_back).failed is failed
