"""The Worker over Hyperdrive in `wrangler dev`, with a real Postgres server and without sqlproxy."""

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from tests.e2e.chaos import crash_postgres, restart_postgres
from tests.e2e.conftest import PASSWORD, Running, new_email
from tests.e2e.hyperdrive_faults import DEADLINE, over_hyperdrive, sign_up_under_faults, wait_until_idle
from tests.e2e.postgres_relay import PostgresRelay
from tests.e2e.sign_up_ledger import SignUpLedger
from tests.e2e.test_durability import sign_up_under_chaos
from tests.e2e.test_outages import test_the_worker_responds_503_during_an_outage_and_recovers as check_outage

SIGN_UPS = 40
# Seconds for which a statement waits for a lock.
LOCK_SECONDS = 3


@pytest.fixture(scope="module")
def seed() -> int:
    """Return the seed of this run's faults and requests."""
    return random.SystemRandom().randrange(10**6)


@pytest.fixture(scope="module")
def stack(state: Path, seed: int) -> Iterator[tuple[Running, PostgresRelay]]:
    """Run a Worker whose binding HYPERDRIVE reaches Postgres through a relay."""
    with over_hyperdrive(state / "over hyperdrive", seed) as worker_and_relay:
        yield worker_and_relay


@pytest.fixture
def worker(stack: tuple[Running, PostgresRelay]) -> Running:
    """Return the Worker that uses Hyperdrive, instead of the Worker that the other files share."""
    return stack[0]


def test_sign_ups_follow_the_contract(worker: Running) -> None:
    """The cases are a new user, a repeated request, a taken address, a reused key and an invalid address.

    At the end, Hyperdrive's login has no open connection.
    """
    email = new_email()
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    key = {"idempotency-key": email}
    first, again = (worker.client.post("/", json=body, headers=key) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["idempotency-replayed"] == "true"
    assert worker.rows('SELECT id, name FROM "User" WHERE email = %s', email) == [(first.json()["user"]["id"], "Ada")]
    assert worker.sign_up(email=email).json()["code"] == "email_taken"
    changed = worker.client.post("/", json={**body, "name": "Eve"}, headers=key)
    assert changed.json()["code"] == "idempotency_mismatch"
    assert worker.sign_up(email="no-address").json()["code"] == "validation_failed"
    assert worker.client.get("/ready").json() == {"status": "ready"}
    wait_until_idle(worker)


def test_the_worker_responds_503_during_an_outage_and_recovers(worker: Running) -> None:
    """Postgres is stopped and started again."""
    check_outage(worker, "postgres")


def test_every_201_has_exactly_one_row(worker: Running) -> None:
    """Under load, Postgres is restarted, and then crashes."""
    sign_up_under_chaos(worker, restart_postgres, crash_postgres)


def test_a_slow_statement_does_not_block_the_worker(worker: Running) -> None:
    """While a statement waits 3 s for a lock, the Worker serves health checks and a sign-up.

    Another 64 sign-ups begin simultaneously during the wait. All sign-ups get 201 and have one row each.
    """
    emails = [new_email() for _ in range(66)]

    def post(email: str) -> int:
        body = {"name": "Ada", "email": email, "password": PASSWORD}
        return worker.post_patiently(body, {"idempotency-key": email}).status_code

    with ThreadPoolExecutor(65) as threads, psycopg.connect(worker.stack.database_url) as db:
        start = time.monotonic()
        db.execute('INSERT INTO "User" (name, email, password) VALUES (%s, %s, %s)', ("x", emails[0], "x"))
        slow = threads.submit(post, emails[0])
        time.sleep(0.5)
        assert [worker.client.get("/health").status_code for _ in range(5)] == [200] * 5
        assert post(emails[1]) == 201
        others = [threads.submit(post, email) for email in emails[2:]]
        time.sleep(max(0.0, start + LOCK_SECONDS - time.monotonic()))
        assert not slow.done()
        db.rollback()
        assert [other.result() for other in (slow, *others)] == [201] * 65
    rows = worker.rows('SELECT email, count(*) FROM "User" WHERE email = ANY(%s) GROUP BY email', emails)
    assert sorted(rows) == sorted((email, 1) for email in emails)


def test_no_sign_up_is_lost_or_duplicated_under_faults(
    stack: tuple[Running, PostgresRelay], seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """A short run of `python -m tests.e2e.hyperdrive_faults`."""
    worker, relay = stack
    ledger = SignUpLedger(DEADLINE)
    with capsys.disabled():
        print(f"hyperdrive: seed {seed}")
    sign_up_under_faults(worker, relay, ledger, seed, SIGN_UPS)
    assert len(ledger.created) >= SIGN_UPS
    assert len(relay.counts) > 2
