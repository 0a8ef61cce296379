"""Delivery of messages in workerd, after the response and by the schedule (docs/mail.md).

`make outbox-faults` also kills Workers and injects random faults.
"""

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from tests.e2e.conftest import Running, behind_a_relay, new_email
from tests.e2e.mails import run_schedule
from tests.e2e.receiver import Receiver, receiving
from tests.e2e.relay import Exchange, hang, respond_with

SECRET = f"whsec_{'A' * 32}"
# The Workers of other tests record e-mails in the same table.
WEBHOOKS = """SELECT count(*) FROM "Outbox" WHERE starts_with(kind, 'user.')"""


def outcomes(receiver: Receiver) -> Iterator[Callable[[Exchange], None]]:
    """Return the outcomes of the requests: an error, two accepted events, no response, then only accepted events."""
    return itertools.chain(
        [respond_with(500), receiver.accept_with_an_incomplete_response, receiver.accept, hang],
        itertools.repeat(receiver.accept),
    )


@pytest.fixture(scope="module")
def notifying(worker: Running, state: Path) -> Iterator[tuple[Running, Receiver]]:
    """Run a Worker that posts webhooks to a receiver."""
    with receiving(outcomes) as receiver:
        url = f"http://127.0.0.1:{receiver.relay.port}/hooks"
        with behind_a_relay(worker, state / "notifying", WEBHOOK_URL=url, WEBHOOK_SECRET=SECRET) as (running, _):
            yield running, receiver


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait up to 30 seconds until a condition holds."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_schedule_delivers_a_message_that_failed_after_the_response(
    worker: Running, notifying: tuple[Running, Receiver]
) -> None:
    """The second request to the receiver has the stored id and a valid signature, and the user's address is not logged.

    The delivery succeeds although the body of the second response is large and never ends.
    """
    running, receiver = notifying
    email = new_email()
    response = running.sign_up(email=email)
    assert response.status_code == 201
    failed = 'SELECT key::text FROM "Outbox" WHERE last_error = %s'
    wait_for(lambda: len(worker.rows(failed, "status_500")) == 1)
    ((key,),) = worker.rows(failed, "status_500")
    assert receiver.accepted == []
    worker.rows('UPDATE "Outbox" SET next_attempt_at = now() RETURNING 1')
    run_schedule(running)
    assert worker.rows(WEBHOOKS) == [(0,)]
    (event,) = receiver.accepted
    assert event.headers["webhook-id"] == key
    assert event.content["data"]["id"] == response.json()["user"]["id"]
    assert Webhook(SECRET).verify(json.dumps(event.content, separators=(",", ":")), event.headers) == event.content
    lines = [line for line in running.lines if '"delivery"' in line]
    assert ["failed" in line for line in lines] == [True, False]
    assert email not in "".join(running.lines)


def test_a_sign_up_does_not_wait_for_delivery(worker: Running, notifying: tuple[Running, Receiver]) -> None:
    """The Worker responds while the receiver does not, and delivers another event in the meantime."""
    running, receiver = notifying
    before = len(receiver.accepted)
    assert running.sign_up().status_code == 201
    wait_for(lambda: len(receiver.accepted) == before + 1)
    start = time.monotonic()
    assert running.sign_up().status_code == 201
    # An attempt to deliver times out after ten seconds.
    assert time.monotonic() - start < 9
    assert running.sign_up().status_code == 201
    wait_for(lambda: len(receiver.accepted) == before + 2)
    assert worker.rows(WEBHOOKS) == [(1,)]
    worker.rows("DELETE FROM \"Outbox\" WHERE starts_with(kind, 'user.') RETURNING 1")
