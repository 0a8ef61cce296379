"""More sign-ups than can be hashed in time: what cannot be in time is refused at once, and nothing is answered late."""

import json
import random
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx

from tests.e2e.conftest import PASSWORD, Running, new_email

# Seconds: REQUEST_DEADLINE.
DEADLINE = 10


def at_once(worker: Running, requests: list[tuple[dict[str, str], dict[str, str]]]) -> list[httpx.Response]:
    """Post these bodies with these headers at the same moment."""
    limits = httpx.Limits(max_connections=len(requests))
    hooks = worker.client.event_hooks
    with (
        httpx.Client(base_url=worker.stack.base_url, timeout=60, limits=limits, event_hooks=hooks) as client,
        ThreadPoolExecutor(len(requests)) as threads,
    ):
        return list(threads.map(lambda each: client.post("/", json=each[0], headers=each[1]), requests))


def require_early(worker: Running, answers: list[httpx.Response], alone: float) -> None:
    """Check that refusals are `too_busy`, and come at once, nearly all of them.

    Args:
        worker: the Worker.
        answers: its answers.
        alone: the seconds that one sign-up takes here; on a busy machine all takes longer.
    """
    ids = {each.headers["x-request-id"] for each in answers if each.status_code == 503}
    assert {each.json()["code"] for each in answers if each.status_code == 503} <= {"too_busy"}
    entries = list[dict[str, str]]()
    deadline = time.monotonic() + 10
    while len(entries) < len(ids):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        lines = [line.partition("| ")[2] for line in worker.lines if '"too_busy"' in line]
        entries = [entry for entry in map(json.loads, lines) if entry["request_id"] in ids]
    at_admission = [int(entry["duration_ms"]) for entry in entries if entry["reason"] == "hash_queue_full"]
    assert max(at_admission, default=0) < 1000 * max(1, 4 * alone)
    # Where hashes turn out to be slower than expected.
    assert len(entries) - len(at_admission) <= len(answers) / 3


def test_fifty_replays_at_once(worker: Running) -> None:
    """A replay costs two hashes: as many are admitted as can be in time, the others are refused at once; one row."""
    alone = worker.sign_up().elapsed.total_seconds()
    email = new_email()
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    answers = at_once(worker, [(body, {"idempotency-key": email})] * 50)
    assert 201 in {each.status_code for each in answers} <= {201, 503}
    assert len({each.json()["user"]["id"] for each in answers if each.status_code == 201}) == 1
    require_early(worker, answers, alone)
    assert max(each.elapsed.total_seconds() for each in answers) < DEADLINE
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


def test_sixty_four_clients_at_once(worker: Running) -> None:
    """New, known, replayed and wrong ones: refusals come at once, and every answer before the deadline."""
    known = new_email()
    good = {"name": "Ada", "password": PASSWORD}
    first = worker.post_patiently({**good, "email": known}, {"idempotency-key": known})
    assert first.status_code == 201
    kinds: list[tuple[dict[str, str], dict[str, str]]] = []
    for _ in range(16):
        kinds += [
            ({**good, "email": new_email()}, {}),
            ({**good, "email": known}, {}),
            ({**good, "email": known}, {"idempotency-key": known}),
            ({**good, "email": "x"}, {}),
        ]
    random.Random(1).shuffle(kinds)  # noqa: S311 - the same order in every run
    answers = at_once(worker, kinds)
    assert {201, 422} <= {each.status_code for each in answers} <= {201, 409, 422, 503}
    require_early(worker, answers, first.elapsed.total_seconds())
    assert max(each.elapsed.total_seconds() for each in answers) < DEADLINE


def test_clients_that_go_away_do_not_hold_up_the_others(worker: Running) -> None:
    """Nothing of their requests runs again: they are passed over, and their places are free soon."""
    body = {"name": "Ada", "email": "", "password": PASSWORD}

    def leave(_: int) -> None:
        with suppress(httpx.ReadTimeout):
            worker.client.post("/", json={**body, "email": new_email()}, timeout=0.2)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(leave, range(16)))
    start = time.monotonic()
    assert worker.post_patiently({**body, "email": new_email()}).status_code == 201
    assert time.monotonic() - start < DEADLINE
