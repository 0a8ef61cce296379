"""What a client sees when what is behind the Worker fails, and that it recovers without a restart."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import psycopg
import pytest

from tests.e2e.conftest import PASSWORD, POOL_SIZE, Running, new_email

DEADLINE = 10
GRACE = 5


@pytest.mark.parametrize("service", ["sqlproxy", "postgres"])
def test_an_outage_is_503_and_ends_by_itself(worker: Running, service: str) -> None:
    """While the proxy or the database is stopped: 503 with Retry-After within the deadline. Afterwards: 201 again."""
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


def test_64_clients_share_the_pools_connections(worker: Running) -> None:
    """64 sign-ups at once: all are done, with never more connections to Postgres than the pool has."""
    done = Event()
    count = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"

    def watch() -> list[int]:
        seen = []
        with psycopg.connect(worker.stack.database_url, autocommit=True) as db:
            while not done.is_set():
                seen += [number for (number,) in db.execute(count)]
                time.sleep(0.002)
        return seen

    bodies = [{"name": "Ada", "email": new_email(), "password": PASSWORD} for _ in range(64)]
    before = worker.rows('SELECT count(*) FROM "User"')[0][0]
    with ThreadPoolExecutor(65) as threads:
        watching = threads.submit(watch)
        try:
            answers = [
                answer.status_code
                for answer in threads.map(
                    lambda body: worker.post_patiently(body, {"idempotency-key": body["email"]}), bodies
                )
            ]
        finally:
            done.set()
        seen = watching.result()
    assert answers == [201] * 64
    assert 1 <= max(seen) <= POOL_SIZE
    assert worker.rows('SELECT count(*) FROM "User"')[0][0] == before + 64


def test_a_busy_pool_is_503_with_retry_after(worker: Running) -> None:
    """With every connection stuck behind a lock, who comes is told to come back; afterwards all is well."""
    with psycopg.connect(worker.stack.database_url) as db:
        db.execute('LOCK TABLE "User" IN ACCESS EXCLUSIVE MODE')
        with ThreadPoolExecutor(2 * POOL_SIZE) as threads:
            answers = list(threads.map(lambda _: worker.sign_up(), range(2 * POOL_SIZE)))
        db.rollback()
    codes = {answer.json()["code"] for answer in answers}
    assert codes <= {"proxy_busy", "proxy_timeout", "too_busy"}
    assert "proxy_busy" in codes
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code == 503)
    deadline = time.monotonic() + 30
    while worker.sign_up().status_code != 201:
        assert time.monotonic() < deadline


def test_a_client_that_goes_away_is_no_mistake_of_ours(worker: Running) -> None:
    """Half a body and then nothing: the log says that it was cut off, and the Worker goes on."""
    with socket.create_connection(("127.0.0.1", worker.stack.options.port)) as client:
        head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
        client.sendall(head + b'{"name":')
        time.sleep(0.2)
    deadline = time.monotonic() + 10
    while not any("the body was cut off" in line for line in worker.lines):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert worker.sign_up().status_code == 201
