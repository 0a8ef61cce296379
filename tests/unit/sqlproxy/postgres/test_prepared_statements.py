"""The cache of prepared statements."""

from __future__ import annotations

from sqlproxy.postgres.prepared_statements import PreparedStatements


def test_a_statement_is_prepared_at_the_threshold() -> None:
    """Later calls use the statement's name."""
    prepared = PreparedStatements(threshold=3)
    assert [prepared.wanted(b"q"), prepared.wanted(b"q")] == [None, None]
    name = prepared.wanted(b"q")
    assert name
    assert prepared.name(b"q") is None
    prepared.add(b"q", name)
    assert prepared.name(b"q") == name
    prepared.clear()
    assert prepared.name(b"q") is None


def test_a_name_is_never_reused() -> None:
    """It is unknown whether an abandoned attempt prepared the statement."""
    prepared = PreparedStatements(threshold=1)
    assert prepared.wanted(b"q") != prepared.wanted(b"q")


def test_a_threshold_of_zero_prepares_nothing() -> None:
    """The number of calls does not matter."""
    prepared = PreparedStatements(threshold=0)
    assert {prepared.wanted(b"q") for _ in range(10)} == {None}


def test_a_full_cache_prepares_no_more() -> None:
    """The limit bounds the memory that Postgres uses for prepared statements."""
    prepared = PreparedStatements(threshold=1, max_statements=1)
    prepared.add(b"a", prepared.wanted(b"a") or b"")
    assert prepared.wanted(b"b") is None


def test_counts_of_rare_statements_are_dropped() -> None:
    """If all counts were kept, they would use more and more of sqlproxy's memory."""
    prepared = PreparedStatements(threshold=2)
    prepared.wanted(b"first")
    for number in range(1000):
        prepared.wanted(b"%d" % number)
    assert prepared.wanted(b"first") is None
    assert prepared.wanted(b"first") is not None
