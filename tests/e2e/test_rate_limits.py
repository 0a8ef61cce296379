"""Rate limits on the real bindings, as `wrangler dev` simulates them."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.configs import limited
from tests.e2e.conftest import Running, behind_a_relay, new_email
from tests.e2e.flood import flood

CLIENT, EMAIL = 12, 4
# Seconds: a period, what the first test needs of one on a busy machine, and the duration of the flood.
PERIOD, NEEDED = 10, 7
FLOOD = 4


@pytest.fixture(scope="module")
def limited_worker(worker: Running, state: Path) -> Iterator[Running]:
    """Run a Worker with low rate limits."""
    config = limited(CLIENT_LIMIT=CLIENT, EMAIL_LIMIT=EMAIL)
    with behind_a_relay(worker, state / "limited", config) as (it, _):
        yield it


def test_a_client_and_an_address_beyond_their_limit_are_429(limited_worker: Running) -> None:
    """The limits count a /64 network and an e-mail address; others are served meanwhile, and all in the next period."""

    def posted(address: str, **fields: str) -> int:
        body = {"name": "Ada", "email": new_email(), "password": "correct horse battery staple", **fields}
        answer = limited_worker.client.post("/", json=body, headers={"cf-connecting-ip": address})
        assert ("retry-after" in answer.headers) == (answer.status_code == 429)
        return answer.status_code

    # Periods follow the clock, and one must not end in the middle.
    if (left := PERIOD - time.time() % PERIOD) < NEEDED:
        time.sleep(left)
    invalid = [posted(f"2001:db8::{number}", email="none") for number in range(CLIENT + 3)]
    assert invalid == [422] * CLIENT + [429] * 3
    assert posted("2001:db8:0:1::1") == 201
    email = new_email()
    assert [posted(f"100.64.0.{number}", email=email) for number in range(EMAIL + 2)] == [201, *[409] * 3, 429, 429]
    assert posted("100.64.0.1") == 201
    time.sleep(PERIOD + 0.5 - time.time() % PERIOD)
    assert posted("2001:db8::1") == 201


def test_a_flood_is_refused_cheaply_and_other_clients_are_served(limited_worker: Running) -> None:
    """Beyond the limit every response is 429, at less than a tenth of a sign-up's CPU time."""
    seen = flood(limited_worker, FLOOD)
    # The flood spans two periods at most. Requests within the limit are rejected as invalid.
    admitted = sum(count for status, count in seen.answers.items() if status not in ("0", "429"))
    assert CLIENT <= admitted <= 2 * CLIENT
    assert seen.answers["429"] > admitted
    assert seen.answers.keys() <= {"0", "400", "413", "422", "429"}
    assert {*seen.other_statuses} == {201}
    assert seen.refused_cpu_ms < seen.sign_up_cpu_ms / 10
