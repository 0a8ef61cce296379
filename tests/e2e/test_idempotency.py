"""A client may always simply try again: one user, and always the true answer."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import psycopg
import pytest

from tests.e2e.conftest import PASSWORD, Running, new_email

WAITING = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND usename = 'sqlproxy'"


def wait_for(done: Callable[[], bool]) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + 20
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def post(worker: Running, key: str, **fields: str) -> httpx.Response:
    """Sign up with an idempotency key."""
    body = {"name": "Ada", "password": PASSWORD, **fields}
    return worker.client.post("/", json=body, headers={"idempotency-key": key})


def test_the_same_request_has_the_same_answer(worker: Running) -> None:
    """The same key and body, however written: the same user again, marked as replayed; one row."""
    email = new_email()
    first = post(worker, email, email=email)
    assert (first.status_code, "idempotency-replayed" in first.headers) == (201, False)
    for same in (email, email.upper()):
        again = post(worker, email, email=same)
        assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
        assert again.json() == first.json()
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


@pytest.mark.parametrize("change", [{"name": "Eve"}, {"email": "other"}, {"password": "another long password"}])
def test_the_same_key_with_another_body_is_a_mismatch(worker: Running, change: dict[str, str]) -> None:
    """422, and nothing is made; without the key the address is simply taken."""
    email = new_email()
    assert post(worker, email, email=email).status_code == 201
    other = {"email": email, **change}
    if other["email"] != email:
        other["email"] = new_email()
    answer = post(worker, email, **other)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")
    assert worker.rows('SELECT count(*) FROM "User" WHERE email IN (%s, %s)', email, other["email"]) == [(1,)]
    assert worker.sign_up(email=email).status_code == 409


@pytest.mark.parametrize("key", ["two words", "x" * 256, "caf\u00e9".encode(), ""])
def test_what_is_no_key_is_refused(worker: Running, key: str | bytes) -> None:
    """400, before anything else is looked at."""
    headers = {"idempotency-key": key, "content-type": "application/json"}
    answer = worker.client.post("/", content=b"{}", headers=headers)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_idempotency_key")


def test_the_key_is_stored_as_a_digest(worker: Running) -> None:
    """32 bytes that are not the key, for a request without a key too."""
    email = new_email()
    assert post(worker, email, email=email).status_code == 201
    other = worker.sign_up().json()["user"]["email"]
    for address in (email, other):
        ((key,),) = worker.rows('SELECT idempotency_key FROM "User" WHERE email = %s', address)
        assert len(key) == 32
        assert email.encode() not in key


def test_a_lost_answer_is_asked_for_again(worker: Running) -> None:
    """The statement is done, and its connection ends before the answer: the Worker repeats it, and says 201, once."""
    email = new_email()
    with psycopg.connect(worker.stack.database_url) as lock, ThreadPoolExecutor(1) as threads:
        lock.execute('LOCK TABLE "User" IN ACCESS EXCLUSIVE MODE')
        answer = threads.submit(worker.sign_up, email=email)
        wait_for(lambda: bool(worker.rows(WAITING)))
        worker.rows(WAITING.replace("pid", "pg_terminate_backend(pid)"))
        lock.rollback()
        response = answer.result()
    assert response.status_code == 201
    assert "idempotency-replayed" not in response.headers
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


def test_a_client_that_goes_away_and_comes_back(worker: Running) -> None:
    """While the first request is still under way, perhaps: with its key the client gets its user, once."""
    email = new_email()
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    with psycopg.connect(worker.stack.database_url) as lock, ThreadPoolExecutor(1) as threads:
        lock.execute('LOCK TABLE "User" IN ACCESS EXCLUSIVE MODE')
        gone = threads.submit(worker.client.post, "/", json=body, headers={"idempotency-key": email}, timeout=1)
        wait_for(lambda: bool(worker.rows(WAITING)))
        with pytest.raises(httpx.ReadTimeout):
            gone.result()
        again = threads.submit(post, worker, email, email=email)
        time.sleep(0.2)  # so that it waits too, most of the time
        lock.rollback()
        assert again.result().status_code == 201
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


@pytest.mark.parametrize("key", [False, True])
def test_many_at_once(worker: Running, *, key: bool) -> None:
    """Simultaneous posts of one address: one 201 and the rest 409; with one key: all 201, with one id."""
    number = 16
    answers = worker.at_once(number, key=key)
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses == ([201] * number if key else [201] + [409] * (number - 1))
    ((user,),) = {tuple(answer.json()["user"].values())[:1] for answer in answers if answer.status_code == 201}
    assert worker.rows('SELECT count(*) FROM "User" WHERE id = %s', user) == [(1,)]
