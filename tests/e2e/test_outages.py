"""Outages behind the Worker: the client's response, and recovery without a restart."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import psycopg
import pytest

from tests.e2e.conftest import PASSWORD, POOL_SIZE, Running, new_email

# In seconds: the default of REQUEST_DEADLINE, and extra time for busy machines.
DEADLINE = 10
GRACE = 5


@pytest.mark.parametrize("service", ["sqlproxy", "postgres"])
def test_the_worker_responds_503_during_an_outage_and_recovers(worker: Running, service: str) -> None:
    """The 503 has Retry-After and arrives before the deadline; after the outage a sign-up succeeds."""
    wrangler = worker.stack.service("wrangler").pid
    email = new_email()
    stopped = worker.stack.service(service)
    stopped.stop()
    try:
        start = time.monotonic()
        response = worker.sign_up(email=email)
        assert time.monotonic() - start < DEADLINE + GRACE
        assert (response.status_code, response.json()["code"]) == (503, "proxy_unavailable")
        assert int(response.headers["retry-after"]) >= 1
        assert worker.client.get("/ready").status_code == 503
        assert worker.client.get("/health").status_code == 200
    finally:
        stopped.start()
    deadline = time.monotonic() + 30
    while worker.client.get("/ready").status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert worker.sign_up(email=email).status_code == 201
    assert worker.stack.service("wrangler").pid == wrangler


def test_32_simultaneous_sign_ups_share_the_pool(worker: Running) -> None:
    """All sign-ups succeed, and no sample shows more connections to Postgres than the pool allows."""
    stop = Event()
    count = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"

    def count_connections() -> list[int]:
        counts = []
        with psycopg.connect(worker.stack.database_url, autocommit=True) as db:
            while not stop.is_set():
                counts += [number for (number,) in db.execute(count)]
                time.sleep(0.002)
        return counts

    bodies = [{"name": "Ada", "email": new_email(), "password": PASSWORD} for _ in range(32)]
    before = worker.rows('SELECT count(*) FROM "User"')[0][0]
    with ThreadPoolExecutor(33) as threads:
        counting = threads.submit(count_connections)
        try:
            statuses = [
                response.status_code
                for response in threads.map(
                    lambda body: worker.post_patiently(body, {"idempotency-key": body["email"]}), bodies
                )
            ]
        finally:
            stop.set()
        counts = counting.result()
    assert statuses == [201] * 32
    assert 1 <= max(counts) <= POOL_SIZE
    assert worker.rows('SELECT count(*) FROM "User"')[0][0] == before + 32


def test_an_exhausted_pool_leads_to_503_with_retry_after(worker: Running) -> None:
    """Every connection waits for a lock; after its release a sign-up succeeds."""
    with psycopg.connect(worker.stack.database_url) as db:
        db.execute('LOCK TABLE "User" IN ACCESS EXCLUSIVE MODE')
        with ThreadPoolExecutor(2 * POOL_SIZE) as threads:
            responses = list(threads.map(lambda _: worker.sign_up(), range(2 * POOL_SIZE)))
        db.rollback()
    codes = {response.json()["code"] for response in responses}
    # Timeouts open the circuit, which refuses the sign-ups that are hashed late.
    assert codes <= {"proxy_busy", "proxy_timeout", "proxy_unavailable", "too_busy"}
    assert "proxy_busy" in codes
    assert all("retry-after" in response.headers for response in responses if response.status_code == 503)
    deadline = time.monotonic() + 30
    while worker.sign_up().status_code != 201:
        assert time.monotonic() < deadline
    for response in responses:
        if response.json()["code"] == "proxy_unavailable":
            logged = [line for line in worker.lines if response.headers["x-request-id"] in line]
            assert '"reason":"circuit_open"' in "".join(logged)


def test_an_incomplete_body_is_logged(worker: Running) -> None:
    """The client disconnects in the middle of the body. The next sign-up succeeds."""
    with socket.create_connection(("127.0.0.1", worker.stack.options.port)) as client:
        head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
        client.sendall(head + b'{"name":')
        time.sleep(0.2)
    deadline = time.monotonic() + 10
    while not any('"reason":"incomplete_body"' in line for line in worker.lines):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert worker.sign_up().status_code == 201
