"""`make timing`: test whether the response time reveals that an address is known, on the real stack.

One client signs up new and known addresses in random order, with DUPLICATE_RESPONSE as `conflict` and as `conceal`.
Two two-sided tests of SciPy compare the two samples of each mode: Mann-Whitney U detects that one is slower,
Kolmogorov-Smirnov any difference in distribution. The results are in `bench/results-timing.json`.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from typing import Any

import httpx
from scipy import stats

from bench import ROOT, report
from devstack.scratch import scratch_folder
from tests.e2e.conftest import PASSWORD, Running, a_worker, behind_a_relay, new_email

MODES = {"conflict": {"new": 201, "known": 409}, "conceal": {"new": 202, "known": 202}}


def sample(worker: Running, mode: str, count: int, draws: random.Random) -> dict[str, list[float]]:
    """Sign up `count` new and `count` known addresses in random order; return the response times in milliseconds."""
    known = new_email()
    url = worker.stack.base_url
    times: dict[str, list[float]] = {"new": [], "known": []}
    order = ["new", "known"] * count
    draws.shuffle(order)
    with httpx.Client(base_url=url, timeout=60) as client:
        post(client, known)
        for kind in order:
            milliseconds, status = post(client, known if kind == "known" else new_email())
            if status != MODES[mode][kind]:
                raise RuntimeError(f"the response to a {kind} address has status {status}")
            times[kind].append(milliseconds)
    return times


def post(client: httpx.Client, email: str) -> tuple[float, int]:
    """Sign up; return the response time in milliseconds and the status."""
    start = time.perf_counter()
    answer = client.post("/", json={"name": "Ada", "email": email, "password": PASSWORD})
    return 1000 * (time.perf_counter() - start), answer.status_code


def judge(times: dict[str, list[float]]) -> dict[str, Any]:
    """Return the percentiles and the p-values of both tests."""
    new, known = times["new"], times["known"]
    return {
        "samples": len(new),
        "median_ms": {kind: round(report.percentile(each, 0.5), 2) for kind, each in times.items()},
        "p95_ms": {kind: round(report.percentile(each, 0.95), 2) for kind, each in times.items()},
        "mann_whitney_p": round(float(stats.mannwhitneyu(new, known).pvalue), 4),
        "kolmogorov_smirnov_p": round(float(stats.ks_2samp(new, known).pvalue), 4),
    }


def main() -> None:
    """Measure both modes and write the results."""
    parser = argparse.ArgumentParser(prog="make timing", description=__doc__)
    parser.add_argument("--samples", type=int, default=500, help="number of samples of each kind in each mode (500)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="seed of the order")
    arguments = parser.parse_args()
    times: dict[str, dict[str, list[float]]] = {}
    with (
        scratch_folder("timing") as folder,
        a_worker(folder / "stack") as worker,
    ):
        for mode in MODES:
            with behind_a_relay(worker, folder / mode, DUPLICATE_RESPONSE=mode) as (behind, _):
                draws = random.Random(f"{arguments.seed} {mode}")  # noqa: S311 - a reproducible order
                times[mode] = sample(behind, mode, arguments.samples, draws)
    result = {
        "commit": report.commit(),
        "machine": report.machine(),
        "seed": arguments.seed,
        "modes": {mode: judge(each) for mode, each in times.items()},
    }
    text = json.dumps(result, indent=2)
    sys.stdout.write(text + "\n")
    (ROOT / "bench" / "results-timing.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
