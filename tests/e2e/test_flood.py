"""A short flood from one address, against the limits of wrangler.toml."""

from devstack.scratch import scratch_folder
from devstack.setup.bootstrap import ROOT
from tests.e2e.conftest import a_worker
from tests.e2e.flood import flood


def test_a_flood_is_refused_cheaply_and_others_are_served() -> None:
    """Beyond the limit every answer is 429, at less than a tenth of a sign-up's CPU; a good client is signed up."""
    config = (ROOT / "wrangler.toml").read_text(encoding="utf-8")
    with (
        scratch_folder("flood") as folder,
        a_worker(folder / "stack", config=config) as worker,
    ):
        seen = flood(worker, 6)
    # Two periods at the most: their limits are let through, to be told what is wrong.
    let_in = sum(count for status, count in seen.answers.items() if status not in ("0", "429"))
    assert 30 <= let_in <= 60
    assert seen.answers["429"] > let_in
    assert seen.answers.keys() <= {"0", "400", "413", "422", "429"}
    assert {*seen.good} == {201}
    assert seen.refused_cpu_ms < seen.sign_up_cpu_ms / 10
