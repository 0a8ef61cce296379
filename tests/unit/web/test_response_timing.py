"""Concealing whether an address was known: the same answer, at the same time."""

import time

import pytest

from signup.web.response_timing import until_the_next_tick
from tests.fakes import ADA, Client, user_row

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("short_ticks")]


async def test_new_and_known_addresses_get_one_answer() -> None:
    """Status, body and headers are equal but for the request's id, with and without an idempotency key."""
    answers = []
    created = [user_row()]
    for headers in ({}, {"idempotency-key": "k"}):
        for rows in (created, []):
            client = Client(rows)
            client.conceal = True
            response, content = await client.request(headers={"content-type": "application/json", **headers})
            assert len(client.proxy.executed) == 1
            answers.append((response.status, content, {**response.headers, "x-request-id": ""}))
    assert answers[0][:2] == (202, {"msg": "Sign-up accepted"})
    assert all(answer == answers[0] for answer in answers)


async def test_a_repeated_key_is_a_request_like_any_other() -> None:
    """A key would tell whether its first request made a user: it is not used."""
    client = Client()
    client.conceal = True
    headers = {"content-type": "application/json", "idempotency-key": "k"}
    for _ in range(2):
        await client.request(headers=headers)
    keys = [parameters[-1] for _, parameters in client.proxy.executed]
    assert keys[0] != keys[1]


async def test_the_answer_waits_for_its_tick() -> None:
    """Work that takes a moment is not answered before the first tick."""
    client = Client()
    client.conceal = True
    start = time.monotonic()
    response, _ = await client.request()
    assert (response.status, time.monotonic() - start >= 0.05) == (202, True)


async def test_wrong_input_is_told_as_ever() -> None:
    """What does not depend on who is known is not concealed."""
    client = Client()
    client.conceal = True
    response, _ = await client.request(body={**ADA, "email": "none"})
    assert response.status == 422


@pytest.mark.parametrize("gone", [0.01, 0.06])
async def test_answers_come_on_a_tick(gone: float) -> None:
    """Whenever the work is done, the answer waits for the next multiple of a tick since the start."""
    start = time.monotonic() - gone
    await until_the_next_tick(start)
    over = (time.monotonic() - start) % 0.05
    assert over < 0.04
