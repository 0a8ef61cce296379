"""Settings and metrics of several worker processes."""

from __future__ import annotations

import pytest

from sqlproxy.errors import SettingError
from sqlproxy.operations.metrics import Metrics
from sqlproxy.operations.settings import read, share
from sqlproxy.operations.shared_metrics import Board, SharedMetrics

VALID = {"SQLPROXY_DATABASE_URL": "postgres://u@db/x", "SQLPROXY_TOKEN": "t" * 16}
GAUGES = {"sqlproxy_waiting_requests": ("Waiting.", {"": 2})}


@pytest.mark.parametrize(("total", "processes"), [(1, 1), (4, 3), (10, 4), (12, 4)])
def test_limits_are_divided_among_the_processes(total: int, processes: int) -> None:
    """The shares add up to the total and differ by at most one."""
    flags = {"pool_size": str(total), "processes": str(processes), "queue_length": "7"}
    settings = read(flags, VALID)
    shares = [share(settings, index) for index in range(processes)]
    assert sum(each.pool_size for each in shares) == total
    assert sum(each.queue_length for each in shares) == 7
    assert sum(each.min_connections for each in shares) == 1
    assert max(each.pool_size for each in shares) - min(each.pool_size for each in shares) <= 1
    assert all(each.min_connections <= each.pool_size for each in shares)


def test_more_processes_than_connections_are_rejected() -> None:
    """The message names both settings."""
    with pytest.raises(SettingError, match=r"processes is larger than pool-size"):
        read({"pool_size": "2", "processes": "3"}, VALID)


def test_each_process_reports_the_total() -> None:
    """A process adds its own metrics to those that the other processes have published."""
    board = Board(2)
    first, second = SharedMetrics(board, 0), SharedMetrics(board, 1)
    first.requests["200"] += 3
    first.wait.observe(0.004)
    second.requests["200"] += 1
    second.requests["503"] += 1
    second.wait.observe(0.004)
    first.publish(GAUGES)
    for text in (second.render(GAUGES), first.render(GAUGES)):
        lines = text.splitlines()
        assert 'sqlproxy_requests_total{status="200"} 4' in lines
        assert 'sqlproxy_requests_total{status="503"} 1' in lines
        assert "sqlproxy_wait_seconds_count 2" in lines
        assert 'sqlproxy_wait_seconds_bucket{le="0.005"} 2' in lines
        assert "sqlproxy_wait_seconds_sum 0.008000" in lines
        assert "sqlproxy_waiting_requests 4" in lines


def test_a_replacement_process_continues_the_counters() -> None:
    """Counters never decrease; gauges have the values of the new process."""
    board = Board(2)
    dead = SharedMetrics(board, 1)
    dead.requests["200"] += 5
    dead.publish(GAUGES)
    successor = SharedMetrics(board, 1)
    successor.requests["200"] += 1
    lines = successor.render({"sqlproxy_waiting_requests": ("Waiting.", {"": 0})}).splitlines()
    assert 'sqlproxy_requests_total{status="200"} 6' in lines
    assert "sqlproxy_waiting_requests 0" in lines


def test_a_partially_written_slot_is_ignored() -> None:
    """The last complete values are kept."""
    board = Board(2)
    first, second = SharedMetrics(board, 0), SharedMetrics(board, 1)
    second.requests["200"] += 5
    second.publish({})
    assert 'sqlproxy_requests_total{status="200"} 5' in first.render({})
    memory = board._memory  # noqa: SLF001 - simulates a crash during a write
    start = len(memory) // 2
    memory[start + 8 : start + 12] = b"half"
    assert board.read(1) is None
    assert 'sqlproxy_requests_total{status="200"} 5' in first.render({})


def test_values_that_do_not_fit_are_not_written() -> None:
    """The old values stay, and the next slot is not overwritten."""
    board = Board(2)
    board.write(0, {"a": 1})
    board.write(0, {"a": "x" * 70_000})
    assert board.read(0) == {"a": 1}
    assert board.read(1) is None


def test_a_snapshot_can_be_added_to_other_metrics() -> None:
    """The sum of empty metrics and a snapshot is rendered like the original."""
    counted, copied = Metrics(), Metrics()
    counted.errors["23"] += 2
    counted.rejected["queue_full"] += 1
    counted.statement.observe(0.2)
    copied.add(counted.snapshot())
    assert copied.render({}) == counted.render({})
