"""The breach check in workerd, against a server of these tests' own that speaks the range API of Have I Been Pwned."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.conftest import PASSWORD, Running, behind_a_relay

BREACHED = "trombone quarry velvet 91"
TIMEOUT = 0.5


@dataclass
class Lists:
    """What the server answers, and what it was asked.

    Args:
        mode: well, slow, garbage, or error.
    """

    mode: str = "well"
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    port: int = 0

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Answer a request for a prefix: the listed password's line, and padding as it comes, 800 lines."""
        length = request.headers.get("content-length", "0")
        self.asked.append((request.path, request.headers.get("add-padding", ""), length))
        if self.mode == "slow":
            time.sleep(4 * TIMEOUT)
        digest = sha1(BREACHED.encode(), usedforsecurity=False).hexdigest().upper()
        unlisted = sha1(PASSWORD.encode(), usedforsecurity=False).hexdigest().upper()
        lines = [f"{number:035X}:0" for number in range(800)]
        # The line of a password that is on no list, as padding may happen to be.
        lines += [
            f"{each[5:]}:{count}" for each, count in ((digest, 3), (unlisted, 0)) if request.path.endswith(each[:5])
        ]
        body = b"<html>garbage</html>" if self.mode == "garbage" else "\r\n".join(lines).encode()
        with contextlib.suppress(OSError):  # who does not wait for it is gone
            request.send_response(500 if self.mode == "error" else 200)
            request.send_header("content-length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

    def open(self) -> None:
        """Listen."""
        lists = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                lists.answer(self)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def lists() -> Iterator[Lists]:
    """Run the server."""
    it = Lists()
    it.open()
    yield it
    it.close()


@pytest.fixture(scope="module", params=["on", "strict"])
def checked(
    request: pytest.FixtureRequest, worker: Running, state: Path, lists: Lists
) -> Iterator[tuple[str, Running]]:
    """Run a Worker that checks, and return how."""
    settings = {
        "BREACH_CHECK": request.param,
        "BREACH_TIMEOUT": TIMEOUT,
        "BREACH_API_URL": f"http://127.0.0.1:{lists.port}/range/",
    }
    with behind_a_relay(worker, state / f"breaches-{request.param}", **settings) as (it, _):
        yield request.param, it


def test_a_listed_password_is_refused(checked: tuple[str, Running], lists: Lists) -> None:
    """422 breached, with nothing of the password; another one signs up; five digits were asked for, with padding."""
    _, it = checked
    lists.asked.clear()
    refused = it.sign_up(password=BREACHED)
    assert (refused.status_code, [error["code"] for error in refused.json()["errors"]]) == (422, ["breached"])
    assert it.sign_up().status_code == 201
    prefixes = [sha1(each.encode(), usedforsecurity=False).hexdigest()[:5].upper() for each in (BREACHED, PASSWORD)]
    assert lists.asked == [(f"/range/{prefix}", "true", "0") for prefix in prefixes]
    log = "\n".join(it.lines)
    assert "unchecked" not in log
    assert BREACHED not in log


@pytest.mark.parametrize("mode", ["down", "slow", "garbage", "error"])
def test_without_an_answer(checked: tuple[str, Running], lists: Lists, mode: str) -> None:
    """On lets the sign-up through and warns; strict is 503 with Retry-After; neither waits longer than its time."""
    choice, it = checked
    before = sum("accepted unchecked" in line for line in it.lines)
    if mode == "down":
        lists.close()
    lists.mode = mode
    start = time.monotonic()
    try:
        answer = it.sign_up(password=BREACHED)
        took = time.monotonic() - start
    finally:
        lists.mode = "well"
        if mode == "down":
            lists.open()
    if choice == "on":
        assert answer.status_code == 201
        # The log's line comes over another pipe than the answer.
        while sum("accepted unchecked" in line for line in it.lines) == before:
            assert time.monotonic() < start + 10
            time.sleep(0.05)
    else:
        assert (answer.status_code, answer.json()["code"]) == (503, "breach_check_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert took < TIMEOUT + 1.2
    assert BREACHED not in "\n".join(it.lines)
