"""The fault matrix: faults between the Worker and its proxy, the responses, and the rows in the database.

Each fault, except a refused connection, first occurs once, and the sign-up succeeds. Then it lasts, and the Worker
reports it, unless it is only a short delay. After the fault is removed, the client retries with the same idempotency
key.
"""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL

import httpx
import pytest

from devstack.stack.stack import Stack
from tests.e2e.chaos import kill
from tests.e2e.conftest import PASSWORD, Matrix, Running, behind_a_relay, new_email, outcome
from tests.e2e.relay import DELIVERED, FAULTS, Exchange, Relay

# In seconds. GRACE is extra time for busy machines.
PROXY_TIMEOUT = 0.5
REQUEST_DEADLINE = 2
GRACE = 5
# More exchanges than any test causes.
LASTING = 10**6


@dataclass
class FaultyStack:
    """A Worker that reaches the real proxy through a relay."""

    client: httpx.Client
    stack: Stack
    relay: Relay

    def sign_up(self, email: str) -> tuple[httpx.Response, float]:
        """Sign up with the address as idempotency key; return the response and its duration in seconds."""
        body = {"name": "Ada", "email": email, "password": PASSWORD}
        start = time.monotonic()
        response = self.client.post("/", json=body, headers={"idempotency-key": email})
        return response, time.monotonic() - start

    def recover(self) -> None:
        """Remove the fault and wait until a sign-up succeeds, which closes the circuit."""
        self.relay.heal()
        deadline = time.monotonic() + 120
        while not self._can_sign_up():
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def _can_sign_up(self) -> bool:
        try:
            return self.sign_up(new_email())[0].status_code == 201
        except httpx.TransportError:
            return False  # the Worker is still starting


@pytest.fixture(scope="module")
def faulty(worker: Running, state: Path) -> Iterator[FaultyStack]:
    """Start a second Worker that reaches the first Worker's sqlproxy through a relay."""
    limits = {"PROXY_TIMEOUT": PROXY_TIMEOUT, "REQUEST_DEADLINE": REQUEST_DEADLINE}
    with behind_a_relay(worker, state / "faulty", **limits) as (second, relay):
        yield FaultyStack(second.client, second.stack, relay)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_retried_and_reported_if_it_lasts(
    worker: Running, faulty: FaultyStack, matrix: Matrix, name: str
) -> None:
    """The Worker responds in time: 201 if the fault occurs once, and 503 or 504 if it lasts.

    A lasting delay gets 201, and a refused connection is tested only as a lasting fault. After a lasting fault a retry
    with the same key gets 201. Each address has exactly one row.
    """
    brief, lasting = new_email(), new_email()
    fault = FAULTS[name]
    once = "lasting only"
    if fault is not None:
        faulty.relay.inject(fault, 1)
        response, seconds = faulty.sign_up(brief)
        assert response.status_code == 201
        assert seconds < REQUEST_DEADLINE + GRACE
        once = outcome(response, seconds)
    faulty.relay.inject(fault, LASTING)
    response, seconds = faulty.sign_up(lasting)
    reported = outcome(response, seconds)
    # A delay below the timeout is not a fault.
    assert response.status_code == 201 if name.startswith("delayed") else response.status_code in (503, 504)
    assert response.status_code != 503 or int(response.headers["retry-after"]) >= 1
    assert seconds < REQUEST_DEADLINE + GRACE
    delivered = worker.rows('SELECT count(*) FROM "User" WHERE email = %s', lasting)[0][0]
    assert delivered == (1 if name in DELIVERED or response.status_code == 201 else 0)
    faulty.recover()
    again, _ = faulty.sign_up(lasting)
    assert again.status_code == 201
    assert ("idempotency-replayed" in again.headers) == bool(delivered)
    for email in (brief, lasting) if fault is not None else (lasting,):
        assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]
    matrix.add(name, once, reported, "201, replayed" if delivered else "201", f"{delivered} → 1")


HEAD = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: %b\r\n%b\r\n"
JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"
ANNOUNCED, CHUNKED = b"content-length: 500\r\n", b"transfer-encoding: chunked\r\n"


def trickle(port: int, head: bytes, piece: bytes) -> tuple[int, str, float]:
    """Send a head, and a piece of a body every 0.2 s until the response arrives; return status, code and seconds."""
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection:
        connection.sendall(head)
        response = b""
        while b"\r\n\r\n" not in response or b"}" not in response:
            assert time.monotonic() < start + REQUEST_DEADLINE + GRACE, response
            with contextlib.suppress(TimeoutError):
                response += connection.recv(65536)
                continue
            if not response:
                connection.sendall(piece)
        seconds = time.monotonic() - start
    code = re.search(rb'"code":"(\w+)"', response)
    return int(response.split()[1]), code[1].decode() if code else "", seconds


def test_an_incomplete_body_gets_408_at_the_deadline(faulty: FaultyStack) -> None:
    """The cases are bodies with and without content-length, slow and stalled bodies, and JSON and forms."""
    port = faulty.stack.options.port
    cases = [
        *((HEAD % (JSON, ANNOUNCED), b" "), (HEAD % (JSON, ANNOUNCED), b"")),
        *((HEAD % (JSON, CHUNKED), b"1\r\n \r\n"), (HEAD % (FORM, ANNOUNCED), b"a")),
    ]
    with ThreadPoolExecutor(len(cases)) as threads:
        responses = list(threads.map(lambda case: trickle(port, *case), cases))
    assert [response[:2] for response in responses] == [(408, "body_timeout")] * len(cases)
    # The Worker reserves a quarter of a second for the response.
    assert all(REQUEST_DEADLINE - 0.5 < seconds < REQUEST_DEADLINE + 1 for *_, seconds in responses)
    assert faulty.sign_up(new_email())[0].status_code == 201


def test_a_redirect_is_not_followed(faulty: FaultyStack) -> None:
    """The Worker never requests the URL in `location`; otherwise another host could get the token."""
    faulty.relay.inject(FAULTS["redirect"], LASTING)
    faulty.sign_up(new_email())
    faulty.recover()
    assert set(faulty.relay.paths) <= {b"/sql", b""}


def test_sign_ups_fail_fast_while_the_circuit_is_open(faulty: FaultyStack) -> None:
    """The median response takes less than a fifth of PROXY_TIMEOUT.

    The Worker neither hashes the password nor calls the proxy.
    """
    faulty.relay.inject(FAULTS["no response"], LASTING)
    deadline = time.monotonic() + 60
    while True:
        response, _ = faulty.sign_up(new_email())
        assert response.status_code in (503, 504)
        _, seconds = faulty.sign_up(new_email())
        if seconds < PROXY_TIMEOUT / 5:
            break
        assert time.monotonic() < deadline
    times = sorted(faulty.sign_up(new_email())[1] for _ in range(9))
    faulty.recover()
    assert times[len(times) // 2] < PROXY_TIMEOUT / 5


def test_a_retry_succeeds_after_the_worker_was_killed(worker: Running, faulty: FaultyStack, matrix: Matrix) -> None:
    """The killed Worker has stored the user but sent no response; the retry is marked as replayed."""
    email = new_email()
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    stored = threading.Event()

    def store_and_hang(exchange: Exchange) -> None:
        exchange.forward()
        stored.set()
        exchange.client.recv(1)  # returns when the Worker is killed

    faulty.relay.inject(store_and_hang, LASTING)
    with ThreadPoolExecutor(1) as threads:
        response = threads.submit(faulty.client.post, "/", json=body, headers={"idempotency-key": email})
        assert stored.wait(30)
        kill(faulty.stack.service("wrangler"), SIGKILL)
        with pytest.raises(httpx.TransportError):
            response.result()
    faulty.recover()
    again, _ = faulty.sign_up(email)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]
    matrix.add("Worker killed", "", "none", "201, replayed", "1 → 1")
