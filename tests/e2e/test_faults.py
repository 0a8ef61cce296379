"""The fault matrix: what goes wrong between the Worker and its proxy, and what the client and the books show.

Each fault strikes once, which the Worker mends by itself, and then for good, which it says in time; then the client,
who kept its idempotency key, asks again.
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

# Seconds. Short, so that the matrix is quick; GRACE is for the way to the Worker and back on a busy machine.
PROXY_TIMEOUT = 0.5
REQUEST_DEADLINE = 2
GRACE = 5
FOR_GOOD = 10**6


@dataclass
class Faulty:
    """A Worker whose way to the real proxy leads through a relay."""

    client: httpx.Client
    stack: Stack
    relay: Relay

    def sign_up(self, email: str) -> tuple[httpx.Response, float]:
        """Sign up with a key that is the address; return the answer and the seconds that it took."""
        body = {"name": "Ada", "email": email, "password": PASSWORD}
        start = time.monotonic()
        answer = self.client.post("/", json=body, headers={"idempotency-key": email})
        return answer, time.monotonic() - start

    def recover(self) -> None:
        """Heal, and wait until the circuit is closed again."""
        self.relay.heal()
        deadline = time.monotonic() + 120
        while not self._signs_up():
            assert time.monotonic() < deadline
            time.sleep(0.2)

    def _signs_up(self) -> bool:
        try:
            return self.sign_up(new_email())[0].status_code == 201
        except httpx.TransportError:
            return False  # the Worker itself is not there yet


@pytest.fixture(scope="module")
def faulty(worker: Running, state: Path) -> Iterator[Faulty]:
    """Start a second Worker in front of the first one's proxy."""
    limits = {"PROXY_TIMEOUT": PROXY_TIMEOUT, "REQUEST_DEADLINE": REQUEST_DEADLINE}
    with behind_a_relay(worker, state / "faulty", **limits) as (second, relay):
        yield Faulty(second.client, second.stack, relay)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault(worker: Running, faulty: Faulty, matrix: Matrix, name: str) -> None:
    """Once: 201 in time. For good: 503 or 504 in time. Then, with the same key: 201, and exactly one row for each."""
    passing, lasting = new_email(), new_email()
    fault = FAULTS[name]
    once = "refused for good only"
    if fault is not None:
        faulty.relay.inject(fault, 1)
        answer, seconds = faulty.sign_up(passing)
        assert answer.status_code == 201
        assert seconds < REQUEST_DEADLINE + GRACE
        once = outcome(answer, seconds)
    faulty.relay.inject(fault, FOR_GOOD)
    answer, seconds = faulty.sign_up(lasting)
    lasted = outcome(answer, seconds)
    # A delay below the time limit is no fault at all.
    assert answer.status_code == 201 if name.startswith("delayed") else answer.status_code in (503, 504)
    assert answer.status_code != 503 or int(answer.headers["retry-after"]) >= 1
    assert seconds < REQUEST_DEADLINE + GRACE
    delivered = worker.rows('SELECT count(*) FROM "User" WHERE email = %s', lasting)[0][0]
    assert delivered == (1 if name in DELIVERED or answer.status_code == 201 else 0)
    faulty.recover()
    again, _ = faulty.sign_up(lasting)
    assert again.status_code == 201
    assert ("idempotency-replayed" in again.headers) == bool(delivered)
    for email in (passing, lasting) if fault is not None else (lasting,):
        assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]
    matrix.add(name, once, lasted, "201, replayed" if delivered else "201", f"{delivered} → 1")


HEAD = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: %b\r\n%b\r\n"
JSON, FORM = b"application/json", b"application/x-www-form-urlencoded"
ANNOUNCED, CHUNKED = b"content-length: 500\r\n", b"transfer-encoding: chunked\r\n"


def trickle(port: int, head: bytes, piece: bytes) -> tuple[int, str, float]:
    """Send a head, and then a piece of a body each 0.2 s until there is an answer; return status, code and seconds."""
    start = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), timeout=0.2) as connection:
        connection.sendall(head)
        answer = b""
        while b"\r\n\r\n" not in answer or b"}" not in answer:
            assert time.monotonic() < start + REQUEST_DEADLINE + GRACE, answer
            with contextlib.suppress(TimeoutError):
                answer += connection.recv(65536)
                continue
            if not answer:
                connection.sendall(piece)
        seconds = time.monotonic() - start
    code = re.search(rb'"code":"(\w+)"', answer)
    return int(answer.split()[1]), code[1].decode() if code else "", seconds


def test_a_body_that_does_not_arrive_is_answered_at_the_deadline(faulty: Faulty) -> None:
    """408, whether its length is announced or not, whether it comes slowly or stops, as JSON and as a form."""
    port = faulty.stack.options.port
    cases = [
        *((HEAD % (JSON, ANNOUNCED), b" "), (HEAD % (JSON, ANNOUNCED), b"")),
        *((HEAD % (JSON, CHUNKED), b"1\r\n \r\n"), (HEAD % (FORM, ANNOUNCED), b"a")),
    ]
    with ThreadPoolExecutor(len(cases)) as threads:
        answers = list(threads.map(lambda case: trickle(port, *case), cases))
    assert [answer[:2] for answer in answers] == [(408, "body_timeout")] * len(cases)
    # A quarter of a second is kept for the answer.
    assert all(REQUEST_DEADLINE - 0.5 < seconds < REQUEST_DEADLINE + 1 for *_, seconds in answers)
    assert faulty.sign_up(new_email())[0].status_code == 201


def test_a_redirect_is_not_followed(faulty: Faulty) -> None:
    """The token goes where DATABASE_URL says, and nowhere else."""
    faulty.relay.inject(FAULTS["a redirect"], FOR_GOOD)
    faulty.sign_up(new_email())
    faulty.recover()
    assert set(faulty.relay.paths) <= {b"/sql", b""}


def test_a_dead_proxy_costs_milliseconds(faulty: Faulty) -> None:
    """With the circuit open the median answer takes less than a fifth of PROXY_TIMEOUT: nothing is hashed for it."""
    faulty.relay.inject(FAULTS["never answered"], FOR_GOOD)
    deadline = time.monotonic() + 60
    while True:
        answer, _ = faulty.sign_up(new_email())
        assert answer.status_code in (503, 504)
        _, quick = faulty.sign_up(new_email())
        if quick < PROXY_TIMEOUT / 5:
            break
        assert time.monotonic() < deadline
    times = sorted(faulty.sign_up(new_email())[1] for _ in range(9))
    faulty.recover()
    assert times[len(times) // 2] < PROXY_TIMEOUT / 5


def test_a_worker_that_dies_in_the_middle(worker: Running, faulty: Faulty, matrix: Matrix) -> None:
    """As an isolate that is evicted, or a machine that fails: no answer, and the next isolate gives it."""
    email = new_email()
    body = {"name": "Ada", "email": email, "password": PASSWORD}
    made = threading.Event()

    def made_and_held(exchange: Exchange) -> None:
        exchange.forward()
        made.set()
        exchange.client.recv(1)  # returns when the Worker is gone

    faulty.relay.inject(made_and_held, FOR_GOOD)
    with ThreadPoolExecutor(1) as threads:
        answer = threads.submit(faulty.client.post, "/", json=body, headers={"idempotency-key": email})
        assert made.wait(30)
        kill(faulty.stack.service("wrangler"), SIGKILL)
        with pytest.raises(httpx.TransportError):
            answer.result()
    faulty.recover()
    again, _ = faulty.sign_up(email)
    assert (again.status_code, again.headers["idempotency-replayed"]) == (201, "true")
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]
    matrix.add("the Worker is killed", "", "none", "201, replayed", "1 → 1")
