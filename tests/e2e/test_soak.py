"""A short run of `make soak`."""

import random
import sys
from pathlib import Path

import pytest

from tests.counts import LONG, count
from tests.e2e.conftest import Running, behind_a_relay
from tests.e2e.soak import LIMITS, Soak

SECONDS = count(10, 60)


@pytest.mark.skipif(sys.platform != "linux", reason="memory and file descriptors are read from /proc")
def test_no_sign_up_is_lost_or_duplicated_under_random_faults(
    worker: Running, state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The run also fails if file descriptors leak. It is too short to check memory, which `make soak` does."""
    seed = random.SystemRandom().randrange(10**6)
    with capsys.disabled():
        print(f"soak: seed {seed}")
    with behind_a_relay(worker, state / "soaked", **LIMITS) as (second, relay):
        soak = Soak(worker, second, relay, seed)
        soak.run(SECONDS)
    report = soak.report()
    # Requests, responses and faults of several kinds occurred.
    assert report["users"]
    assert soak.ledger.statuses[201] > len(soak.ledger.created)
    # Status 0, for a client that disconnected, is rare, so only a long run requires it.
    assert ({0, 201, 409, 422} if LONG else {201, 409, 422}) <= soak.ledger.statuses.keys()
    assert len(soak.fault_counts) > 5
