"""With concealment, new and taken addresses get the same response, which is sent on a tick."""

import time

import pytest

from signup.web.response_timing import TICK, until_the_next_tick
from tests.fakes import ADA, Client, user_row

pytestmark = pytest.mark.anyio


async def test_new_and_taken_addresses_get_the_same_response() -> None:
    """Only the request ID differs, with and without an idempotency key."""
    responses = []
    created = [user_row()]
    for headers in ({}, {"idempotency-key": "k"}):
        for rows in (created, []):
            client = Client(rows)
            client.conceal = True
            response, content = await client.request(headers={"content-type": "application/json", **headers})
            assert len(client.proxy.executed) == 1
            responses.append((response.status, content, {**response.headers, "x-request-id": ""}))
    assert responses[0][:2] == (202, {"msg": "Sign-up accepted"})
    assert all(each == responses[0] for each in responses)


async def test_a_repeated_key_is_ignored() -> None:
    """A replay would reveal whether the first request created a user."""
    client = Client()
    client.conceal = True
    headers = {"content-type": "application/json", "idempotency-key": "k"}
    for _ in range(2):
        await client.request(headers=headers)
    keys = [parameters[-1] for _, parameters in client.proxy.executed]
    assert keys[0] != keys[1]


async def test_a_response_waits_for_the_tick() -> None:
    """A request that finishes early gets its response on the first tick."""
    client = Client()
    client.conceal = True
    start = time.monotonic()
    response, _ = await client.request()
    assert response.status == 202
    assert TICK <= time.monotonic() - start < 2 * TICK


async def test_invalid_input_is_still_reported() -> None:
    """Errors that do not depend on existing users are not concealed."""
    client = Client()
    client.conceal = True
    response, _ = await client.request(body={**ADA, "email": "none"})
    assert response.status == 422


@pytest.mark.parametrize("elapsed", [0.1, TICK + 0.1])
async def test_responses_are_sent_on_a_tick(elapsed: float) -> None:
    """The time since the start is a multiple of the tick, regardless of the time that the work took."""
    start = time.monotonic() - elapsed
    await until_the_next_tick(start)
    since_tick = (time.monotonic() - start) % TICK
    assert since_tick < 0.04
