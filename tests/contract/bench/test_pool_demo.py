"""A small run of the pool demonstration against a real Postgres."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from bench.isolates import Run, SignUp
from bench.pool_demo import Demo, failures

ROOT = Path(__file__).resolve().parents[3]
SMALL = ("--isolates", "40", "--sign-ups", "3", "--max-connections", "20", "--pool-size", "5")


def read_row(table: str, title: str) -> list[int]:
    """Return the two numbers of a table row: without the pool and with it."""
    match = re.search(rf"^\| {title} +\| +(\d+) \| +(\d+) \|$", table, re.MULTILINE)
    assert match, table
    return [int(number) for number in match.groups()]


def make_run(refused: int, stored: int, connections: int) -> Run:
    """Return a run of ten sign-ups, of which `refused` fail."""
    sign_ups = [SignUp(0.001, "pool exhausted" if number < refused else "", first=False) for number in range(10)]
    return Run("x", sign_ups, connections, connections, stored)


def test_a_small_pool_serves_all_sign_ups_and_direct_connections_do_not(tmp_path: Path) -> None:
    """With the pool no sign-up fails; without it Postgres runs out of connections."""
    command = [sys.executable, "-m", "bench.pool_demo", *SMALL, "--gap", "0.1", "--ramp", "0.3", "--out", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=90)
    assert done.returncode == 0, done.stdout + done.stderr
    table = (tmp_path / "pool-demo.md").read_text(encoding="utf-8")
    assert table in done.stdout
    without_pool, with_pool = read_row(table, "maximum connections at a time")
    assert 5 < without_pool <= 20
    assert 1 <= with_pool <= 5
    refused, refused_with_pool = read_row(table, "refused sign-ups")
    assert refused > 0
    assert refused_with_pool == 0
    assert read_row(table, "successful sign-ups") == [120 - refused, 120]


def test_the_demonstration_fails_without_a_shortage_of_connections(tmp_path: Path) -> None:
    """The command exits with status 1 and prints the unmet expectation."""
    few_isolates = ("--isolates", "2", "--sign-ups", "2", "--gap", "0", "--ramp", "0", "--out", str(tmp_path))
    done = subprocess.run(
        [sys.executable, "-m", "bench.pool_demo", *few_isolates],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=90,
    )
    assert done.returncode == 1
    assert "NOT as expected: no sign-up without the pool was refused" in done.stdout


def test_unmet_expectations_are_reported() -> None:
    """Excess connections, refused sign-ups, lost users, or a direct run without refused sign-ups cause a message."""
    good = Demo(make_run(4, 6, 20), make_run(0, 10, 5), isolates=5, sign_ups_each=2, pool_size=5, max_connections=20)
    assert failures(good) == []
    assert "6 connections" in failures(good._replace(pooled=make_run(0, 10, 6)))[0]
    assert (
        "2 sign-ups through the pool were refused: pool exhausted"
        in failures(good._replace(pooled=make_run(2, 10, 5)))[0]
    )
    assert "9 users are stored" in failures(good._replace(pooled=make_run(0, 9, 5)))[0]
    assert "no sign-up without the pool was refused" in failures(good._replace(direct=make_run(0, 10, 5)))[0]
    assert "7 users are stored" in failures(good._replace(direct=make_run(4, 7, 5)))[0]
