"""The short form of `make soak`."""

import random
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import Running, behind_a_relay
from tests.e2e.soak import LIMITS, Soak

SECONDS = 20


@pytest.mark.skipif(sys.platform != "linux", reason="memory and file descriptors are read from /proc")
def test_faults_at_random(worker: Running, state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody lost, nobody twice, nothing leaks; memory is looked at by the long form, for which this is too short."""
    seed = random.SystemRandom().randrange(10**6)
    with capsys.disabled():
        print(f"soak: seed {seed}")
    with behind_a_relay(worker, state / "soaked", **LIMITS) as (second, relay):
        soak = Soak(worker, second, relay, seed)
        soak.run(SECONDS)
    report = soak.report()
    # Something happened, on every side.
    assert report["users"]
    assert soak.books.seen[201] > len(soak.books.made)
    assert {0, 201, 409, 422} <= soak.books.seen.keys()
    assert len(soak.struck) > 5
