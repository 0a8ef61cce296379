"""A short run of the Worker benchmark in bare workerd."""

from __future__ import annotations

from bench.workers.contenders import OURS, REFUSED, SHIPPED
from bench.workers.measurement import behind_sqlproxy
from bench.workers.sign_ups import Plan, compete


def test_a_short_benchmark_measures_sign_ups_and_refusals() -> None:
    """Accepted and refused sign-ups have response times, and the CPU time of a sign-up includes its hash.

    Speed is not asserted, because measurements on a machine that runs tests are not reliable.
    """
    with behind_sqlproxy() as (backends, counter):
        plan = Plan(rounds=1, seconds={1: 0.1, 4: 0.2}, warm_up=0)
        contenders = {"ours": OURS, "ours_hyperdrive": SHIPPED["ours_hyperdrive"], **REFUSED}
        samples = compete(contenders, backends, counter, plan)
    assert samples.keys() == {(name, clients) for name in contenders for clients in (1, 4)}
    for (sample,) in samples.values():
        assert sample.answered
        assert 0 < sample.p50 <= sample.p99 <= sample.slowest
    # The hash alone takes more than 15 ms of CPU time.
    assert samples["ours", 4][0].cpu > 0.015
