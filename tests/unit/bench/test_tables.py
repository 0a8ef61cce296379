"""The Markdown tables of the Worker benchmark, and the files that a run writes."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from bench.workers import __main__ as command
from bench.workers.contenders import CONTENDERS
from bench.workers.measurement import Result
from bench.workers.report import LEAST, markdown

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

FIGURES = {
    "p50_ms": 1.234,
    "p95_ms": 2,
    "p99_ms": 3,
    "requests_per_second": 800.5,
    "cpu_ms": 0.95,
    "sign_ups": 10,
}
ISOLATE = {
    "idle_mib": 66.0,
    "first_mib": 87.0,
    "loaded_mib": [90.0, 95.0],
    "wasm_mib": [19.1, 43.2],
    "sign_ups": 20_000,
    "slowest_s": 2.4,
}
RESULT: dict[str, Any] = {
    "commit": "abc",
    "machine": {"cores": 2, "processor": "P", "system": "Linux", "postgres": "18, fsync off"},
    "ratios": {
        "hashed_rps16_vs_scrypt": {"median": 5.5, "min": 5.4, "max": 5.6, "runs": 5},
        "own_cpu_share": {"median": 0.07, "min": 0.06, "max": 0.08, "runs": 5},
        "same_hash_rps16_vs_fastapi": {"median": 1.0, "min": 0.9, "max": 1.1, "runs": 5},
    },
    "detail": {
        "sign-ups": {name: {"1": FIGURES} for name in CONTENDERS},
        "admission": {
            "retry after 1 s": {
                "201": {"number": 1698, "p50_s": 2.32, "slowest_s": 2.53},
                "503": {"number": 46, "p50_s": 0.25, "slowest_s": 0.26},
            }
        },
        "memory": {"m=19456,t=2,p=1": ISOLATE},
        "cold": {"first_answer_ms": {"ours": 3228.4, "ours_snapshot": 394.1}, "snapshot_mib": {"ours": 45.0}},
        "proxies": {"sqlproxy": {"1": {"per_second": 2581.0, "p99_ms": 1.0}}},
        "users": {"0": FIGURES, "10000000": FIGURES},
    },
}


def test_the_tables_have_figures_and_targets() -> None:
    """Ratios have their targets, and each contender has its figures; unmeasured parts are omitted."""
    text = markdown(RESULT)
    assert re.search(r"hashed_rps16_vs_scrypt +\| +5\.50 \| +5\.40 \| +5\.60 \| +≥ 4\.5 \|", text)
    assert re.search(r"own_cpu_share +\| +0\.07 \| +0\.06 \| +0\.08 \| +≤ 0\.08 \|", text)
    assert re.search(r"same_hash_rps16_vs_fastapi +\| +1\.00 \| +0\.90 \| +1\.10 \| +\|", text)
    assert text.count("1.2 / -") == len(CONTENDERS) + 1  # `ours` is in two tables
    for figure in ("3,228 ms", "ours_snapshot", "19 + 43", "20,000", "1,698", "2.53", "0.26", "2,581", "10,000,000"):
        assert figure in text
    assert "Refused" not in markdown({**RESULT, "detail": {"cold": RESULT["detail"]["cold"]}})


def test_a_partial_run_does_not_change_the_document(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a complete run replaces the block of the document and bench/results.json."""
    ratios = {name: {"median": 1.0, "min": 1.0, "max": 1.0, "runs": 5} for name in LEAST}
    monkeypatch.setattr(
        command,
        "MEASUREMENTS",
        {"cold": lambda _: Result(ratios, {"first_answer_ms": {}}), "x": lambda _: Result({}, {})},
    )
    document, results, out = (tmp_path / name for name in ("performance.md", "results.json", "out.json"))
    monkeypatch.setattr(command, "DOCUMENT", document)
    monkeypatch.setattr(command, "RESULTS", results)
    document.write_text("before\n[bench]\nold\n[/bench]\nafter\n")
    assert command.main(["--only", "cold", "--out", str(out)]) == 0
    assert "\nold\n" in document.read_text()
    assert not results.exists()
    assert command.main([]) == 0
    assert document.read_text().startswith("before\n[bench]\nMeasured at commit ")
    assert json.loads(results.read_text())["ratios"] == json.loads(out.read_text())["ratios"] == ratios
