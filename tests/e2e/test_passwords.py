"""Hash profiles, peppers and the queue in workerd."""

import contextlib
import hmac
import secrets
import threading
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from signup.hashing.password_hasher import PROFILES, hashlib_scrypt
from tests.e2e.conftest import PASSWORD, Running, behind_a_relay, new_email
from tests.e2e.resources import descendants, resident

QUEUE = 6
MIB = 1024
OLD, NEW = (f"{name}:{b64encode(secrets.token_bytes(32)).decode()}" for name in ("old", "new"))


@pytest.fixture(scope="module")
def heavy(worker: Running, state: Path) -> Iterator[Running]:
    """Run a Worker that hashes with 64 MiB and a pepper, and lets six wait."""
    settings: dict[str, float | str] = {"HASH_PROFILE": 64, "HASH_QUEUE": QUEUE, "PASSWORD_PEPPER": OLD}
    with behind_a_relay(worker, state / "heavy", **settings) as (it, _):
        yield it


def stored(worker: Running, email: str) -> str:
    """Return what the table has for an address."""
    ((text,),) = worker.rows('SELECT password FROM "User" WHERE email = %s', email)
    return str(text)


@pytest.mark.anyio
async def test_the_stored_string_is_keyed_scrypt(worker: Running, heavy: Running) -> None:
    """Profile and name of the key stand in it, and CPython's scrypt and HMAC give the same bytes."""
    email = new_email()
    assert heavy.sign_up(email=email).status_code == 201
    _, scheme, parameters, salt, key = stored(worker, email).split("$")
    assert (scheme, parameters) == ("scrypt", "ln=16,r=8,p=2,keyid=old")
    derived = await hashlib_scrypt(PASSWORD.encode(), b64decode(salt + "=="), PROFILES["64"])
    assert b64decode(key + "=") == hmac.digest(b64decode(OLD.split(":")[1]), derived, "sha256")


def test_rotation(worker: Running, heavy: Running, state: Path) -> None:
    """With another profile and the old key in PREVIOUS, a user of the old ones is verified; without it, it is told."""
    body = {"name": "Ada", "email": new_email(), "password": PASSWORD}
    key = {"idempotency-key": body["email"]}
    assert heavy.client.post("/", json=body, headers=key).status_code == 201
    settings = {"PASSWORD_PEPPER": NEW, "PASSWORD_PEPPER_PREVIOUS": OLD}
    with behind_a_relay(worker, state / "rotated", **settings) as (rotated, _):
        again = rotated.client.post("/", json=body, headers=key)
        assert (again.status_code, again.headers.get("idempotency-replayed")) == (201, "true")
        other = rotated.client.post("/", json={**body, "password": "another long password"}, headers=key)
        assert other.json()["code"] == "idempotency_mismatch"
        email = new_email()
        assert rotated.sign_up(email=email).status_code == 201
        assert stored(worker, email).startswith("$scrypt$ln=14,r=8,p=5,keyid=new$")
    told = worker.client.post("/", json=body, headers=key)
    assert (told.status_code, told.json()["code"]) == (500, "misconfigured")
    for lines in (heavy.lines, rotated.lines, worker.lines):
        assert not [line for line in lines for pepper in (OLD, NEW) if pepper.split(":")[1] in line]


def test_beyond_the_queue_the_answer_is_at_once_and_memory_is_bounded(worker: Running, heavy: Running) -> None:
    """Of 24 at once as many sign up as find a place, the others are told before those are done; one at a time hashes.

    The isolate has 128 MB: two hashes of 64 MiB at a time would be its end.
    """
    with watched(heavy) as one_after_the_other:
        alone = [heavy.sign_up() for _ in range(QUEUE)]
    assert {answer.status_code for answer in alone} == {201}
    emails = [new_email() for _ in range(24)]
    with watched(heavy) as together:
        answers = at_once(heavy, emails)
    refused = [answer for answer in answers if answer.status_code == 503]
    created = [answer for answer in answers if answer.status_code == 201]
    assert len(refused) + len(created) == 24
    assert QUEUE <= len(created) < 24
    assert {(answer.json()["code"], answer.headers["retry-after"]) for answer in refused} == {("too_busy", "2")}
    # At least one hash before the last one is done.
    one_hash = min(answer.elapsed for answer in alone)
    assert min(answer.elapsed for answer in refused) + one_hash < max(answer.elapsed for answer in created)
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = ANY(%s)', emails) == [(len(created),)]
    # What one hash at a time takes, with whatever the allocator keeps of it, was taken before.
    assert max(together) - max(one_after_the_other) < 48 * MIB


@contextlib.contextmanager
def watched(worker: Running) -> Iterator[list[int]]:
    """Collect workerd's memory, in KiB, while the block runs."""
    wrangler = worker.stack.service("wrangler").pid
    assert wrangler is not None
    workerd = max(descendants(wrangler, "workerd"), key=resident)
    seen, done = [resident(workerd)], threading.Event()

    def watch() -> None:
        while not done.wait(0.01):
            seen.append(resident(workerd))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        done.set()
        watcher.join()


def at_once(worker: Running, emails: list[str]) -> list[httpx.Response]:
    """Sign up with all of them at the same moment, and give each one chance."""
    limits = httpx.Limits(max_connections=len(emails))
    with (
        httpx.Client(
            base_url=worker.stack.base_url, timeout=60, limits=limits, event_hooks=worker.client.event_hooks
        ) as client,
        ThreadPoolExecutor(len(emails)) as threads,
    ):
        return list(threads.map(lambda email: replace(worker, client=client).sign_up(email=email), emails))
