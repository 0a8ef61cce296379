"""Settings and metrics of several processes."""

from __future__ import annotations

import pytest

from sqlproxy.errors import SettingError
from sqlproxy.operations.metrics import Metrics
from sqlproxy.operations.settings import read, share
from sqlproxy.operations.shared_metrics import Board, SharedMetrics

GOOD = {"SQLPROXY_DATABASE_URL": "postgres://u@db/x", "SQLPROXY_TOKEN": "t" * 16}
GAUGES = {"sqlproxy_waiting_requests": ("Waiting.", {"": 2})}


@pytest.mark.parametrize(("total", "processes"), [(1, 1), (4, 3), (10, 4), (12, 4)])
def test_parts_add_up_to_the_total(total: int, processes: int) -> None:
    """Each process has a connection, no two differ by more than one, and none is lost."""
    flags = {"pool_size": str(total), "processes": str(processes), "queue_length": "7"}
    settings = read(flags, GOOD)
    parts = [share(settings, index) for index in range(processes)]
    assert sum(part.pool_size for part in parts) == total
    assert sum(part.queue_length for part in parts) == 7
    assert sum(part.min_connections for part in parts) == 1
    assert max(part.pool_size for part in parts) - min(part.pool_size for part in parts) <= 1
    assert all(part.min_connections <= part.pool_size for part in parts)


def test_more_processes_than_connections_are_refused() -> None:
    """With a message that names both."""
    with pytest.raises(SettingError, match=r"processes is larger than pool-size"):
        read({"pool_size": "2", "processes": "3"}, GOOD)


def test_whoever_is_asked_adds_up() -> None:
    """Counters, histograms and gauges, its own and what the others last published."""
    board = Board(2)
    one, two = SharedMetrics(board, 0), SharedMetrics(board, 1)
    one.requests["200"] += 3
    one.wait.observe(0.004)
    two.requests["200"] += 1
    two.requests["503"] += 1
    two.wait.observe(0.004)
    one.publish(GAUGES)
    for text in (two.render(GAUGES), one.render(GAUGES)):
        lines = text.splitlines()
        assert 'sqlproxy_requests_total{status="200"} 4' in lines
        assert 'sqlproxy_requests_total{status="503"} 1' in lines
        assert "sqlproxy_wait_seconds_count 2" in lines
        assert 'sqlproxy_wait_seconds_bucket{le="0.005"} 2' in lines
        assert "sqlproxy_wait_seconds_sum 0.008000" in lines
        assert "sqlproxy_waiting_requests 4" in lines


def test_a_successor_goes_on_counting() -> None:
    """Counters never run backwards; a gauge, which tells of now, begins anew."""
    board = Board(2)
    dead = SharedMetrics(board, 1)
    dead.requests["200"] += 5
    dead.publish(GAUGES)
    successor = SharedMetrics(board, 1)
    successor.requests["200"] += 1
    lines = successor.render({"sqlproxy_waiting_requests": ("Waiting.", {"": 0})}).splitlines()
    assert 'sqlproxy_requests_total{status="200"} 6' in lines
    assert "sqlproxy_waiting_requests 0" in lines


def test_a_slot_that_is_being_written_is_not_believed() -> None:
    """Half of a write is nothing; the numbers seen before it stay."""
    board = Board(2)
    one, two = SharedMetrics(board, 0), SharedMetrics(board, 1)
    two.requests["200"] += 5
    two.publish({})
    assert 'sqlproxy_requests_total{status="200"} 5' in one.render({})
    memory = board._memory  # noqa: SLF001 - what a crash in the middle of a write leaves
    start = len(memory) // 2
    memory[start + 8 : start + 12] = b"half"
    assert board.read(1) is None
    assert 'sqlproxy_requests_total{status="200"} 5' in one.render({})


def test_what_does_not_fit_is_left_out() -> None:
    """An old state is better than none, and than another process' slot overwritten."""
    board = Board(2)
    board.write(0, {"a": 1})
    board.write(0, {"a": "x" * 70_000})
    assert board.read(0) == {"a": 1}
    assert board.read(1) is None


def test_state_and_add_are_inverse() -> None:
    """What was added renders as what was counted."""
    counted, copied = Metrics(), Metrics()
    counted.errors["23"] += 2
    counted.rejected["queue_full"] += 1
    counted.statement.observe(0.2)
    copied.add(counted.snapshot())
    assert copied.render({}) == counted.render({})
