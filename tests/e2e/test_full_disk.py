"""A full disk: the table of users is on a small file system."""

import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.e2e.conftest import PASSWORD, Matrix, Running, a_worker, new_email, outcome

# Root in a user namespace (user_namespaces(7)) may mount file systems. Only Postgres sees the mount, which disappears
# when Postgres ends. Docker's default seccomp profile forbids namespaces; there, only test_database_faults.py covers
# this error.
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")


@pytest.fixture
def small_disk(state: Path) -> Iterator[Running]:
    """Start a stack whose users are stored on a file system of 2 MiB, half of which a ballast table uses."""
    (small := state / "small").mkdir()
    mount = f"mount -t tmpfs -o size=2m,mode=700 none '{small}'"
    if not shutil.which("unshare") or subprocess.run([*NAMESPACE, mount], check=False, capture_output=True).returncode:
        pytest.skip("mount namespaces are forbidden")
    with a_worker(state / "small-disk", within=[*NAMESPACE, f'{mount} && exec "$@"', "sh"]) as running:
        with psycopg.connect(running.stack.database_url, autocommit=True) as db:
            db.execute(f"CREATE TABLESPACE small LOCATION '{small}'".encode())
            db.execute('ALTER TABLE "User" SET TABLESPACE small')
            indexes = db.execute("SELECT indexname FROM pg_indexes WHERE tablename = 'User'").fetchall()
            for (index,) in indexes:
                db.execute(f'ALTER INDEX "{index}" SET TABLESPACE small'.encode())
            db.execute("CREATE TABLE ballast (data bytea STORAGE EXTERNAL) TABLESPACE small")
            db.execute("INSERT INTO ballast SELECT decode(repeat('00', 1000000), 'hex')")
        yield running


def fill(db: psycopg.Connection) -> None:
    """Add users until 50 inserts in a row fail. Then hardly any page of the indexes has room for another entry."""
    insert = 'INSERT INTO "User" (name, email, password, idempotency_key) VALUES (%s, %s, %s, %s)'
    failures = 0
    while failures < 50:
        try:
            db.execute(insert, ["Ada", new_email(), "x" * 80, secrets.token_bytes(32)])
        except psycopg.errors.DiskFull:
            failures += 1
        else:
            failures = 0


def test_a_full_disk_causes_503_and_a_retry_succeeds(small_disk: Running, matrix: Matrix) -> None:
    """No row is stored; when there is space again, a retry with the same key gets 201 and there is one row."""
    email = new_email()
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    with psycopg.connect(small_disk.stack.database_url, autocommit=True) as db:
        fill(db)
        start = time.monotonic()
        response = small_disk.client.post("/", json=body, headers={"idempotency-key": email})
        seconds = time.monotonic() - start
        assert (response.status_code, response.json()["code"]) == (503, "proxy_unavailable")
        assert any("53100" in line for line in small_disk.lines)
        assert small_disk.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(0,)]
        db.execute("DROP TABLE ballast")
    retry = small_disk.post_patiently(body, {"idempotency-key": email})
    assert (retry.status_code, "idempotency-replayed" in retry.headers) == (201, False)
    assert small_disk.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]
    matrix.add("full disk (2 MiB)", "", outcome(response, seconds), "201", "0 → 1")
