"""Rate limits on the real bindings, as `wrangler dev` simulates them."""

import time
from pathlib import Path

from tests.e2e.configs import limited
from tests.e2e.conftest import Running, behind_a_relay, new_email

CLIENT, EMAIL = 12, 4
# Seconds of a period of 10 that suffice on a busy machine.
LEFT = 7


def test_beyond_a_limit_one_client_and_one_address_are_refused(worker: Running, state: Path) -> None:
    """429 with Retry-After from the limit on: for all of a /64, for one e-mail address; others are served meanwhile."""
    config = limited(CLIENT_LIMIT=CLIENT, EMAIL_LIMIT=EMAIL)
    with behind_a_relay(worker, state / "limited", config) as (limited_worker, _):
        client = limited_worker.client

        def posted(address: str, **fields: str) -> int:
            body = {"name": "Ada", "email": new_email(), "password": "correct horse battery staple", **fields}
            answer = client.post("/", json=body, headers={"cf-connecting-ip": address})
            assert ("retry-after" in answer.headers) == (answer.status_code == 429)
            return answer.status_code

        # Counted by the clock: a period must not end in the middle.
        if (left := 10 - time.time() % 10) < LEFT:
            time.sleep(left)
        wrong = [posted(f"2001:db8::{number}", email="none") for number in range(CLIENT + 3)]
        assert wrong == [422] * CLIENT + [429] * 3
        assert posted("2001:db8:0:1::1") == 201
        email = new_email()
        assert [posted(f"192.0.2.{number}", email=email) for number in range(EMAIL + 2)] == [201, *[409] * 3, 429, 429]
        assert posted("192.0.2.1") == 201
        # And when the period is over, everybody may again.
        time.sleep(10.5 - time.time() % 10)
        assert posted("2001:db8::1") == 201
