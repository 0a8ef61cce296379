"""Idempotency keys: a client can always retry, and a retry creates no second user."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from tests.e2e.conftest import PASSWORD, Running, new_email

WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'sqlproxy'"


def wait_for(done: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def post(worker: Running, key: str, **fields: str) -> httpx.Response:
    """Sign up with an idempotency key."""
    body = {"name": "Ada", "password": PASSWORD, **fields}
    return worker.client.post("/", json=body, headers={"idempotency-key": key})


def test_a_retry_with_the_same_key_and_body_is_replayed(worker: Running) -> None:
    """The response has the same user and is marked as replayed, even if the address is spelled in upper case."""
    email = new_email()
    first = post(worker, email, email=email)
    assert (first.status_code, "idempotency-replayed" in first.headers) == (201, False)
    for spelling in (email, email.upper()):
        again = post(worker, email, email=spelling)
        assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
        assert again.json() == first.json()
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


@pytest.mark.parametrize("change", [{"name": "Eve"}, {"email": "other"}, {"password": "another long password"}])
def test_the_same_key_with_a_different_body_gets_422(worker: Running, change: dict[str, str]) -> None:
    """No user is created; without the key the address is taken."""
    email = new_email()
    assert post(worker, email, email=email).status_code == 201
    other = {"email": email, **change}
    if other["email"] != email:
        other["email"] = new_email()
    response = post(worker, email, **other)
    assert (response.status_code, response.json()["code"]) == (422, "idempotency_mismatch")
    assert worker.rows('SELECT count(*) FROM "User" WHERE email IN (%s, %s)', email, other["email"]) == [(1,)]
    assert worker.sign_up(email=email).status_code == 409


@pytest.mark.parametrize("key", ["two words", "x" * 256, "caf\u00e9".encode(), ""])
def test_an_invalid_key_gets_400(worker: Running, key: str | bytes) -> None:
    """The key is checked before the body."""
    headers = {"idempotency-key": key, "content-type": "application/json"}
    response = worker.client.post("/", content=b"{}", headers=headers)  # type: ignore[arg-type]
    assert (response.status_code, response.json()["code"]) == (400, "bad_idempotency_key")


def test_a_key_is_stored_as_a_digest(worker: Running) -> None:
    """The column has 32 bytes that do not contain the key; the column is also set for a request without a key."""
    email = new_email()
    assert post(worker, email, email=email).status_code == 201
    other = worker.sign_up().json()["user"]["email"]
    for address in (email, other):
        ((key,),) = worker.rows('SELECT idempotency_key FROM "User" WHERE email = %s', address)
        assert len(key) == 32
        assert email.encode() not in key


def test_the_worker_retries_after_its_connection_was_terminated(worker: Running) -> None:
    """The database connection ends before the response; the Worker's retry succeeds, and there is one row."""
    email = new_email()
    with psycopg.connect(worker.stack.database_url) as lock, ThreadPoolExecutor(1) as threads:
        lock.execute('LOCK TABLE "User" IN ACCESS EXCLUSIVE MODE')
        pending = threads.submit(worker.sign_up, email=email)
        wait_for(lambda: bool(worker.rows(WAITING)))
        worker.rows(WAITING.replace("pid", "pg_terminate_backend(pid)"))
        lock.rollback()
        response = pending.result()
    assert response.status_code == 201
    assert "idempotency-replayed" not in response.headers
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


def test_a_client_that_timed_out_can_retry_with_its_key(worker: Running) -> None:
    """The retry gets 201 and there is one row, although the first request may still be in progress."""
    email = new_email()
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    with psycopg.connect(worker.stack.database_url) as lock, ThreadPoolExecutor(1) as threads:
        lock.execute('LOCK TABLE "User" IN ACCESS EXCLUSIVE MODE')
        timed_out = threads.submit(worker.client.post, "/", json=body, headers={"idempotency-key": email}, timeout=1)
        wait_for(lambda: bool(worker.rows(WAITING)))
        with pytest.raises(httpx.ReadTimeout):
            timed_out.result()
        retry = threads.submit(post, worker, email, email=email)
        time.sleep(0.2)  # so that the retry usually waits for the lock too
        lock.rollback()
        assert retry.result().status_code == 201
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


@pytest.mark.parametrize("shared_key", [False, True], ids=["one key each", "one shared key"])
def test_simultaneous_sign_ups_of_one_address_create_one_user(worker: Running, *, shared_key: bool) -> None:
    """With separate keys, one request gets 201 and the others get 409. With a shared key, all get 201 with one id."""
    number = 16
    responses = worker.post_simultaneously(number, shared_key=shared_key)
    statuses = sorted(response.status_code for response in responses)
    assert statuses == ([201] * number if shared_key else [201] + [409] * (number - 1))
    ((user_id,),) = {
        tuple(response.json()["user"].values())[:1] for response in responses if response.status_code == 201
    }
    assert worker.rows('SELECT count(*) FROM "User" WHERE id = %s', user_id) == [(1,)]
