"""The Worker in bare workerd, measured for a moment: the harness builds it, counts what it counts, and stops it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def run(out: Path, part: str) -> subprocess.CompletedProcess[str]:
    """Measure ours and a floor for one short round."""
    asked = ("--quick", "--only", part, "--contenders", "ours,floor_fetch", "--out", str(out))
    return subprocess.run(
        [sys.executable, "-m", "bench.workers", *asked],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_short_bench(tmp_path: Path) -> None:
    """Sign-ups are answered and stored, without a hash, at each number of clients; CPU and memory are workerd's.

    How fast it is is not asserted here: a machine that runs tests is no place to measure.
    """
    done = run(tmp_path / "result.json", "sign-ups")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    figures = result["detail"]["sign-ups"]
    assert figures.keys() == {"ours", "floor_fetch"}
    for each in figures.values():
        assert each.keys() == {"1", "16", "64"}
        assert all(figure["sign_ups"] > 0 and 0 < figure["p50_ms"] <= figure["p99_ms"] for figure in each.values())
    # A hash alone would take 150 ms of it.
    assert 0 < figures["ours"]["16"]["cpu_us"] < 100_000
    assert figures["ours"]["16"]["resident_mib"] > 100
    assert result["ratios"].keys() == {"cpu_ms_beyond_floor"}


def test_a_run_that_is_not_whole_leaves_the_document_alone(tmp_path: Path) -> None:
    """The size of the upload is found, and only the file that was asked for is written."""
    document = ROOT / "docs" / "performance.md"
    before = document.read_bytes()
    done = run(tmp_path / "result.json", "bundle")
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "result.json").read_text(encoding="utf-8"))
    assert 100 < result["ratios"]["bundle_gzip_kib"]["median"] < 10_000
    assert document.read_bytes() == before
