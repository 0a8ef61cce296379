"""A short run of the comparison between sqlproxy and Prisma's executor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from bench.load import Sample
from bench.proxies import CLIENTS, OURS, ratios

ROOT = Path(__file__).resolve().parents[3]


def test_a_short_comparison_reports_all_ratios(tmp_path: Path) -> None:
    """All contenders have ten connections, and the file has both ratios for each configuration and number of clients.

    The ratios are not asserted, because measurements on a machine that runs tests are not reliable.
    """
    path = tmp_path / "result.json"
    command = [sys.executable, "-m", "bench.proxies", "--rounds", "1", "--seconds", "0.2", "--out", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    result = json.loads(path.read_text(encoding="utf-8"))
    assert result["machine"]["connections"] == dict.fromkeys((*OURS, "executor"), 10)
    names = {
        f"{contender}_{measure}_{clients}"
        for contender in OURS
        for measure in ("requests_per_second", "p99")
        for clients in CLIENTS
    }
    assert result["ratios"].keys() == names
    assert all(ratio["runs"] == 1 and ratio["min"] > 0 for ratio in result["ratios"].values())


def test_a_ratio_above_one_is_better() -> None:
    """A ratio of 2 means twice the requests per second, or half the p99. The result summarises the rounds."""
    slow = Sample(rate=100, p50=0.002, p95=0.002, p99=0.002, answered=1, cpu=0, slowest=0.002)
    ours, theirs = [slow._replace(rate=200, p99=0.001), slow._replace(rate=300)], [slow, slow]
    results = ratios(
        {(name, clients): theirs if name == "executor" else ours for clients in CLIENTS for name in (*OURS, "executor")}
    )
    assert results["sqlproxy_requests_per_second_16"] == {"median": 2.5, "min": 2.0, "max": 3.0, "runs": 2}
    assert results["sqlproxy_listed_p99_64"] == {"median": 1.5, "min": 1.0, "max": 2.0, "runs": 2}
