"""The tables and the plot of a run."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING, Any

import pytest

from bench.workers.imports import groups
from bench.workers.plot import draw
from bench.workers.report import BEGIN, END, markdown, put

if TYPE_CHECKING:
    from pathlib import Path

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
        "profile": {"Python, in WebAssembly": 58.6, "edge.mjs": 3.1},
        "memory": {"idle_mib": 50.0, "python_mib": 180.0, "first_mib": 240.0, "peak_mib": 271.0},
        "cold": {"first_answer_ms": {"ours": 3228.4, "ours_snapshot": 394.1}, "snapshot_mib": {"ours": 45.0}},
        "imports": {"ours_ms": 800.0, "untouched_ms": 600.0, "packages_ms": {"httpx": 200.0, "src": 40.0}},
        "bundle": {"packages_gzip_kib": {"pydantic_core": 1388.3}},
        "proxies": {"sqlproxy": {"1": {"per_second": 2581.0, "p99_ms": 1.0}}},
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
        "59 %",
        "200.0 ms",
        "1,388.3 KiB",
        "2,581",
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


def test_the_plot_is_the_same_each_time(tmp_path: Path) -> None:
    """It is SVG, holds no date, and has the names in it."""
    draw(RESULT, tmp_path / "a.svg")
    draw(RESULT, tmp_path / "b.svg")
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert ET.parse(tmp_path / "a.svg").getroot().tag.endswith("}svg")  # noqa: S314 - we wrote it


def test_imports_are_grouped_by_package() -> None:
    """What comes with Python is one group, ours comes last, and a package after what it needs."""
    after = ["sys", "entry", "signup", "signup.web.app", "json", "httpx", "httpx._models", "pydantic", "pydantic_core"]
    found = groups(["sys"], after, {"httpx", "pydantic", "pydantic_core"})
    assert list(found) == ["standard library", "pydantic_core", "pydantic", "httpx", "src"]
    assert found["standard library"] == ["json"]
    assert found["httpx"] == ["httpx", "httpx._models"]
    assert found["src"] == ["entry", "signup", "signup.web.app"]
