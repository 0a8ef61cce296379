"""A short run of the Worker benchmark in bare workerd."""

from __future__ import annotations

from bench import peers
from bench.workers.contenders import OURS, REFUSED, SHIPPED, Backends
from bench.workers.measurements import POOL_SIZE, database
from bench.workers.rounds import Plan, compete
from bench.workers.row_counts import RowCounter


def test_a_short_benchmark_measures_sign_ups_and_refusals() -> None:
    """Sign-ups are hashed and stored, and refusals are 422 and 429 and store nothing; CPU is workerd's.

    Speed is not asserted, because measurements on a machine that runs tests are not reliable.
    """
    lines: list[str] = []
    with (
        database() as server,
        peers.sqlproxy(server.url(), POOL_SIZE) as proxy,
        RowCounter(server.url()) as books,
    ):
        plan = Plan(rounds=1, seconds={1: 0.1, 4: 0.2}, warm_up=0)
        measured = {"ours": OURS, "ours_hyperdrive": SHIPPED["ours_hyperdrive"], **REFUSED}
        samples = compete(measured, Backends(proxy.port, database=server.url()), books, plan, lines.append)
    assert samples.keys() == {(name, clients) for name in measured for clients in (1, 4)}
    for (sample,) in samples.values():
        assert sample.answered
        assert 0 < sample.p50 <= sample.p99 <= sample.slowest
    # A hash alone takes more CPU time.
    assert samples["ours", 4][0].cpu > 0.015
    assert len(lines) == 2
