"""Rate limits with the rate limit bindings that `wrangler dev` simulates."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.configs import limited
from tests.e2e.conftest import Running, behind_a_relay, new_email
from tests.e2e.flood import flood

CLIENT_LIMIT, EMAIL_LIMIT = 12, 4
# In seconds: a period of the limits, the time that the first test needs within a period, and the duration of the flood.
PERIOD, NEEDED = 10, 7
FLOOD = 4


@pytest.fixture(scope="module")
def limited_worker(worker: Running, state: Path) -> Iterator[Running]:
    """Run a Worker with low rate limits."""
    config = limited(CLIENT_LIMIT=CLIENT_LIMIT, EMAIL_LIMIT=EMAIL_LIMIT)
    with behind_a_relay(worker, state / "limited", config) as (running, _):
        yield running


def test_requests_beyond_a_limit_get_429(limited_worker: Running) -> None:
    """Requests are counted by /64 network and by e-mail address.

    Other clients are served in the same period, and the limited client is served in the next one.
    """

    def post_sign_up(address: str, **fields: str) -> int:
        body = {"name": "Ada", "email": new_email(), "password": "correct horse battery staple", **fields}
        response = limited_worker.client.post("/", json=body, headers={"cf-connecting-ip": address})
        assert ("retry-after" in response.headers) == (response.status_code == 429)
        return response.status_code

    # Periods are aligned with the clock, and none may end during the following requests.
    if (remaining := PERIOD - time.time() % PERIOD) < NEEDED:
        time.sleep(remaining)
    statuses = [post_sign_up(f"2001:db8::{number}", email="none") for number in range(CLIENT_LIMIT + 3)]
    assert statuses == [422] * CLIENT_LIMIT + [429] * 3
    assert post_sign_up("2001:db8:0:1::1") == 201
    email = new_email()
    assert [post_sign_up(f"100.64.0.{number}", email=email) for number in range(EMAIL_LIMIT + 2)] == [
        201,
        *[409] * 3,
        429,
        429,
    ]
    assert post_sign_up("100.64.0.1") == 201
    time.sleep(PERIOD + 0.5 - time.time() % PERIOD)
    assert post_sign_up("2001:db8::1") == 201


def test_a_flood_is_refused_cheaply_and_other_clients_are_served(limited_worker: Running) -> None:
    """Requests beyond the limit get 429. A request of the flood takes less than a tenth of a sign-up's CPU time."""
    result = flood(limited_worker, FLOOD)
    # The flood spans two periods at most. Requests within the limit are rejected as invalid.
    admitted = sum(count for status, count in result.answers.items() if status not in ("0", "429"))
    assert CLIENT_LIMIT <= admitted <= 2 * CLIENT_LIMIT
    assert result.answers["429"] > admitted
    assert result.answers.keys() <= {"0", "400", "413", "422", "429"}
    assert {*result.other_statuses} == {201}
    assert result.refused_cpu_ms < result.sign_up_cpu_ms / 10
