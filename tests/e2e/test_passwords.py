"""Stored hashes, hash profiles, peppers and the hash queue in workerd."""

import hashlib
import hmac
import json
import random
import secrets
import subprocess
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import argon2
import httpx
import pytest
from pydantic import SecretStr

from devstack.kdf import cpython_kdf
from devstack.setup.bootstrap import ROOT
from signup.hashing.password_hasher import Hasher
from signup.hashing.profiles import DEFAULT, PROFILES
from tests.contract.docs.documents import steps
from tests.e2e.conftest import PASSWORD, Running, behind_a_relay, new_email

HASH_QUEUE = 6
# The default of the setting REQUEST_DEADLINE, in seconds.
REQUEST_DEADLINE = 10
PYTHON = Path(sys.executable)
NODE = PYTHON.with_name("node")
READ_CALLS = "const calls = JSON.parse(process.getBuiltinModule('fs').readFileSync(0)); "
OLD_PEPPER, NEW_PEPPER = (f"{name}:{b64encode(secrets.token_bytes(32)).decode()}" for name in ("old", "new"))
# Passwords, and the same passwords in another normalization form if they have one. The last password has 128 code
# points, all outside the BMP.
PASSWORDS = {
    "\x00 and fourteen more \x00": "\x00 and fourteen more \x00",
    "e\u0301 fifteen letters \u00fc": "\u00e9 fifteen letters u\u0308",
    "".join(chr(0x1F900 + number) for number in range(128)): "".join(chr(0x1F900 + number) for number in range(128)),
}


@pytest.fixture(scope="module")
def custom_worker(worker: Running, state: Path) -> Iterator[Running]:
    """Run a Worker that hashes with 46 MiB and a pepper, and whose hash queue has six places."""
    settings: dict[str, float | str] = {
        "HASH_PROFILE": "m=47104,t=1,p=1",
        "HASH_QUEUE": HASH_QUEUE,
        "PASSWORD_PEPPER": OLD_PEPPER,
    }
    with behind_a_relay(worker, state / "custom_worker", **settings) as (running, _):
        yield running


def stored_hash(worker: Running, email: str) -> str:
    """Return the stored hash of an address."""
    ((text,),) = worker.rows('SELECT password FROM "User" WHERE email = %s', email)
    return str(text)


@pytest.fixture(scope="module")
def hashes(worker: Running) -> dict[str, str]:
    """Return the Worker's stored hash of each password."""
    stored = {}
    for password in PASSWORDS:
        email = new_email()
        assert worker.sign_up(email=email, password=password).status_code == 201
        stored[password] = stored_hash(worker, email)
    return stored


def test_argon2_cffi_verifies_the_workers_hashes(hashes: dict[str, str]) -> None:
    """Passwords with NUL, decomposed or astral characters are hashed completely and in NFC.

    A password without its last character or with a different one does not match.
    """
    library = argon2.PasswordHasher()
    for typed, stored in hashes.items():
        composed = PASSWORDS[typed].replace("u\u0308", "\u00fc")
        assert library.verify(stored, composed)
        for wrong_password in (composed[:-1], composed[:-1] + chr(ord(composed[-1]) ^ 1)):
            with pytest.raises(argon2.exceptions.VerifyMismatchError):
                library.verify(stored, wrong_password)


def run_documented_code(folder: Path, language: str, calls: list[tuple[str, str]]) -> Any:
    """Run the code in docs/passwords.md for pairs of password and stored hash; return its results."""
    (code,) = [step.text for step in steps(ROOT / "docs" / "passwords.md") if step.language == language]
    program, name, call = {
        "python": (
            PYTHON,
            "it.py",
            "import json, sys; print(json.dumps([log_in(*each) for each in json.load(sys.stdin)]))",
        ),
        "js": (
            NODE,
            "it.mjs",
            f"{READ_CALLS}console.log(JSON.stringify(calls.map((it) => [verify(...it), rehash(...it)])))",
        ),
    }[language]
    (folder / name).write_text(f"{code}\n{call}\n")
    command = [program, folder / name]
    completed = subprocess.run(command, input=json.dumps(calls), capture_output=True, text=True, check=True)
    return json.loads(completed.stdout)


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_documented_log_in_verifies_the_workers_hashes(
    hashes: dict[str, str], language: str, tmp_path: Path
) -> None:
    """The code accepts each normalization form, rejects a different last character, and reports no hash as outdated."""
    calls = [call for typed, stored in hashes.items() for call in ((typed, stored), (PASSWORDS[typed], stored))]
    assert run_documented_code(tmp_path, language, calls) == [[True, None]] * len(calls)
    wrong_calls = [(typed[:-1] + chr(ord(typed[-1]) ^ 1), stored) for typed, stored in hashes.items()]
    assert [result[0] for result in run_documented_code(tmp_path, language, wrong_calls)] == [False] * len(wrong_calls)


@pytest.mark.anyio
@pytest.mark.parametrize("language", ["python", "js"])
async def test_the_documented_log_in_replaces_outdated_hashes(language: str, tmp_path: Path) -> None:
    """A hash of another profile is verified; the returned new hash has the default profile and is valid."""
    outdated = await Hasher(cpython_kdf, PROFILES["m=7168,t=5,p=1"]).hash(SecretStr("Zo\u00ebs Passwort"))
    ((is_valid, new_hash),) = run_documented_code(
        tmp_path, language, [("Zoe\u0308s Passwort", outdated.get_secret_value())]
    )
    assert is_valid
    assert new_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await Hasher(cpython_kdf, DEFAULT).verify(SecretStr("Zo\u00ebs Passwort"), SecretStr(new_hash))


@pytest.mark.anyio
async def test_the_stored_hash_is_keyed(worker: Running, custom_worker: Running) -> None:
    """The hash names the profile and the pepper, and its key is the HMAC of argon2-cffi's output."""
    email = new_email()
    assert custom_worker.sign_up(email=email).status_code == 201
    _, scheme, version, parameters, salt, key = stored_hash(worker, email).split("$")
    assert (scheme, version, parameters) == ("argon2id", "v=19", "m=47104,t=1,p=1,keyid=old")
    derived = await cpython_kdf(PASSWORD.encode(), b64decode(salt + "=="), PROFILES["m=47104,t=1,p=1"])
    assert b64decode(key + "=") == hmac.digest(b64decode(OLD_PEPPER.split(":")[1]), derived, "sha256")


def test_a_scrypt_hash_of_an_earlier_version_is_verified(worker: Running) -> None:
    """A request with the same idempotency key is replayed if the password matches, and otherwise gets 422."""
    body = {"name": "Ada", "email": new_email(), "password": PASSWORD}
    salt = secrets.token_bytes(16)
    derived = hashlib.scrypt(PASSWORD.encode(), salt=salt, n=2**14, r=8, p=5, maxmem=2**25, dklen=32)
    text = "$".join(b64encode(part).decode().rstrip("=") for part in (salt, derived))
    insert = 'INSERT INTO "User" (name, email, password, idempotency_key) VALUES (%s, %s, %s, %s) RETURNING id'
    key = hashlib.sha256(body["email"].encode()).digest()
    ((user_id,),) = worker.rows(insert, "Ada", body["email"], f"$scrypt$ln=14,r=8,p=5${text}", key)
    headers = {"idempotency-key": body["email"]}
    again = worker.client.post("/", json=body, headers=headers)
    assert (again.status_code, again.json()["user"]["id"]) == (201, user_id)
    assert again.headers["idempotency-replayed"] == "true"
    other = worker.client.post("/", json={**body, "password": "another long password"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_mismatch")


def test_peppers_can_be_rotated(worker: Running, custom_worker: Running, state: Path) -> None:
    """Hashes with another profile and the old pepper are verified if PASSWORD_PEPPER_PREVIOUS has the old pepper.

    New hashes use the new pepper. A Worker without peppers responds 500 to the retry, and no pepper is logged.
    """
    body = {"name": "Ada", "email": new_email(), "password": PASSWORD}
    key = {"idempotency-key": body["email"]}
    assert custom_worker.client.post("/", json=body, headers=key).status_code == 201
    settings = {"PASSWORD_PEPPER": NEW_PEPPER, "PASSWORD_PEPPER_PREVIOUS": OLD_PEPPER}
    with behind_a_relay(worker, state / "rotated", **settings) as (rotated, _):
        again = rotated.client.post("/", json=body, headers=key)
        assert (again.status_code, again.headers.get("idempotency-replayed")) == (201, "true")
        other = rotated.client.post("/", json={**body, "password": "another long password"}, headers=key)
        assert other.json()["code"] == "idempotency_mismatch"
        email = new_email()
        assert rotated.sign_up(email=email).status_code == 201
        assert stored_hash(worker, email).startswith("$argon2id$v=19$m=19456,t=2,p=1,keyid=new$")
    response = worker.client.post("/", json=body, headers=key)
    assert (response.status_code, response.json()["code"]) == (500, "misconfigured")
    for lines in (custom_worker.lines, rotated.lines, worker.lines):
        assert not [line for line in lines for pepper in (OLD_PEPPER, NEW_PEPPER) if pepper.split(":")[1] in line]


def post_simultaneously(worker: Running, requests: list[tuple[dict[str, str], dict[str, str]]]) -> list[httpx.Response]:
    """Post each pair of body and headers once, all at the same time."""
    limits = httpx.Limits(max_connections=len(requests))
    hooks = worker.client.event_hooks
    with (
        httpx.Client(base_url=worker.stack.base_url, timeout=60, limits=limits, event_hooks=hooks) as client,
        ThreadPoolExecutor(len(requests)) as threads,
    ):
        return list(threads.map(lambda each: client.post("/", json=each[0], headers=each[1]), requests))


def require_refused_at_admission(worker: Running, responses: list[httpx.Response]) -> None:
    """Check that some responses are 503, each due to a full hash queue and faster than the slowest sign-up.

    No response takes longer than the request deadline.
    """
    ids = {each.headers["x-request-id"]: each for each in responses if each.status_code == 503}
    assert ids
    assert {each.json()["code"] for each in ids.values()} == {"too_busy"}
    assert min(int(each.headers["retry-after"]) for each in ids.values()) >= 1
    entries = list[dict[str, Any]]()
    deadline = time.monotonic() + 10
    while len(entries) < len(ids):
        assert time.monotonic() < deadline
        time.sleep(0.05)
        lines = [line.partition("| ")[2] for line in worker.lines if '"too_busy"' in line]
        entries = [entry for entry in map(json.loads, lines) if entry["request_id"] in ids]
    assert {entry["reason"] for entry in entries} == {"hash_queue_full"}
    slowest = max(each.elapsed.total_seconds() for each in responses if each.status_code == 201)
    assert max(entry["duration_ms"] for entry in entries) / 1000 < slowest
    assert max(each.elapsed.total_seconds() for each in responses) < REQUEST_DEADLINE


def test_sign_ups_beyond_the_queue_are_refused_at_admission(worker: Running, custom_worker: Running) -> None:
    """64 simultaneous sign-ups are new, repeated or invalid, or have a taken address.

    Exactly the addresses of the new sign-ups that got 201 are stored.
    """
    body = {"name": "Ada", "email": new_email(), "password": PASSWORD}
    key = {"idempotency-key": body["email"]}
    assert custom_worker.post_patiently(body, key).status_code == 201
    new = [new_email() for _ in range(16)]
    requests: list[tuple[dict[str, str], dict[str, str]]] = [({**body, "email": each}, {}) for each in new]
    requests += [(body, {}), (body, key), ({**body, "email": "x"}, {})] * 16
    random.Random(1).shuffle(requests)  # noqa: S311 - the same order in every run
    responses = post_simultaneously(custom_worker, requests)
    assert {each.status_code for each in responses} <= {201, 409, 422, 503}
    require_refused_at_admission(custom_worker, responses)
    created = [each.json()["user"]["email"] for each in responses if each.status_code == 201]
    stored = worker.rows('SELECT email FROM "User" WHERE email = ANY(%s)', new)
    assert sorted(email for (email,) in stored) == sorted(email for email in created if email != body["email"])


def test_replays_beyond_the_queue_are_refused_at_admission(worker: Running, custom_worker: Running) -> None:
    """A replay computes two hashes. Of fifty requests, all that succeed return the same user."""
    body = {"name": "Ada", "email": new_email(), "password": PASSWORD}
    responses = post_simultaneously(custom_worker, [(body, {"idempotency-key": body["email"]})] * 50)
    assert {each.status_code for each in responses} == {201, 503}
    require_refused_at_admission(custom_worker, responses)
    ((user_id,),) = worker.rows('SELECT id FROM "User" WHERE email = %s', body["email"])
    assert {each.json()["user"]["id"] for each in responses if each.status_code == 201} == {user_id}


def test_disconnected_clients_do_not_delay_others(custom_worker: Running) -> None:
    """After 16 requests with a client timeout of 0.2 s, a sign-up succeeds within the request deadline."""

    def send_and_disconnect(_: int) -> None:
        with suppress(httpx.ReadTimeout):
            custom_worker.client.post(
                "/", json={"name": "Ada", "email": new_email(), "password": PASSWORD}, timeout=0.2
            )

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(send_and_disconnect, range(16)))
    start = time.monotonic()
    assert custom_worker.post_patiently({"name": "Ada", "email": new_email(), "password": PASSWORD}).status_code == 201
    assert time.monotonic() - start < REQUEST_DEADLINE
