"""Which statements are prepared, and when."""

from __future__ import annotations

from sqlproxy.postgres.prepared_statements import PreparedStatements


def test_a_statement_is_prepared_at_the_call_that_was_asked_for() -> None:
    """And found under its name from then on."""
    prepared = PreparedStatements(threshold=3)
    assert [prepared.wanted(b"q"), prepared.wanted(b"q")] == [None, None]
    name = prepared.wanted(b"q")
    assert name
    assert prepared.name(b"q") is None
    prepared.add(b"q", name)
    assert prepared.name(b"q") == name


def test_a_name_is_never_given_twice() -> None:
    """Also when the first attempt was given up before anybody knew how it ended."""
    prepared = PreparedStatements(threshold=1)
    assert prepared.wanted(b"q") != prepared.wanted(b"q")


def test_a_threshold_of_none_prepares_nothing() -> None:
    """However often a statement comes."""
    prepared = PreparedStatements(threshold=0)
    assert {prepared.wanted(b"q") for _ in range(10)} == {None}


def test_when_the_room_is_taken_no_more_are_prepared() -> None:
    """The server's memory is bounded."""
    prepared = PreparedStatements(threshold=1, max_statements=1)
    prepared.add(b"a", prepared.wanted(b"a") or b"")
    assert prepared.wanted(b"b") is None


def test_counts_of_statements_that_never_come_again_are_forgotten() -> None:
    """This process's memory is bounded too."""
    prepared = PreparedStatements(threshold=2)
    prepared.wanted(b"first")
    for number in range(1000):
        prepared.wanted(b"%d" % number)
    assert prepared.wanted(b"first") is None
    assert prepared.wanted(b"first") is not None
