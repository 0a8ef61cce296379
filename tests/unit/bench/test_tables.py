"""The tables of a run."""

from __future__ import annotations

import re
from typing import Any

import pytest

from bench.workers.report import BEGIN, END, markdown, put

FIGURES = {
    "p50_ms": 1.234,
    "p95_ms": 2,
    "p99_ms": 3,
    "requests_per_second": 800.5,
    "cpu_us": 950.0,
    "resident_mib": 240,
    "sign_ups": 10,
}
RESULT: dict[str, Any] = {
    "commit": "abc",
    "machine": {"cores": 2, "processor": "P", "system": "Linux", "postgres": "18, fsync off"},
    "ratios": {
        "rps16_vs_hono_neon": {"median": 0.5, "min": 0.4, "max": 0.6, "runs": 5},
        "cpu_ms_beyond_floor": {"median": 1.5, "min": 1.4, "max": 1.6, "runs": 5},
    },
    "detail": {
        "sign-ups": {"ours": {"1": FIGURES, "16": FIGURES}},
        "memory": {"idle_mib": 50.0, "python_mib": 180.0, "first_mib": 240.0, "peak_mib": 271.0},
        "cold": {"first_answer_ms": {"ours": 3228.4, "ours_snapshot": 394.1}, "snapshot_mib": {"ours": 45.0}},
        "users": {"0": FIGURES, "10000000": FIGURES},
    },
}


def test_every_figure_is_in_the_tables() -> None:
    """A ratio and a plain figure each in their own; nothing for clients that were not measured."""
    text = markdown(RESULT)
    first, rest = text.split("less is better")
    assert re.search(r"rps16_vs_hono_neon +\| +0\.50 \| +0\.40 \| +0\.60 \| +0\.3 \|", first)
    assert "cpu_ms_beyond_floor (ms)" in rest
    assert "1.23 / 1.23 / -" in text
    for figure in (
        "3,228 ms",
        "ours, from a snapshot",
        "271 MiB",
        "10,000,000",
    ):
        assert figure in text
    assert "With the hash" not in text


def test_the_block_of_the_document_is_replaced() -> None:
    """What stands around it stays, however often; without its markers nothing is written."""
    text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
    once = put(text, "new")
    assert once == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
    assert put(once, "new") == once
    with pytest.raises(ValueError, match="marker"):
        put("without", "new")
