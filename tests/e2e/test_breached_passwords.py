"""The breach check in workerd, against a fake of Have I Been Pwned's range API."""

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
class FakeRangeApi:
    """The fake server and the requests that it received.

    Args:
        mode: its behaviour: ok, slow, garbage or error.
        requests: path, add-padding header and content-length of each request.
        port: the port on 127.0.0.1.
    """

    mode: str = "ok"
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    port: int = 0

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Respond to a request for a prefix: the breached password's line and 800 lines of padding."""
        length = request.headers.get("content-length", "0")
        self.requests.append((request.path, request.headers.get("add-padding", ""), length))
        if self.mode == "slow":
            time.sleep(4 * TIMEOUT)
        digest = sha1(BREACHED.encode(), usedforsecurity=False).hexdigest().upper()
        padded = sha1(PASSWORD.encode(), usedforsecurity=False).hexdigest().upper()
        lines = [f"{number:035X}:0" for number in range(800)]
        # A line of padding may match a password that is not breached; its count is 0.
        lines += [
            f"{each[5:]}:{count}" for each, count in ((digest, 3), (padded, 0)) if request.path.endswith(each[:5])
        ]
        body = b"<html>garbage</html>" if self.mode == "garbage" else "\r\n".join(lines).encode()
        with contextlib.suppress(OSError):  # the client may have timed out
            request.send_response(500 if self.mode == "error" else 200)
            request.send_header("content-length", str(len(body)))
            request.end_headers()
            request.wfile.write(body)

    def open(self) -> None:
        """Start listening."""
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                api.answer(self)

            def log_message(self, *_: object) -> None:
                """Suppress the access log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop listening."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()


@pytest.fixture(scope="module")
def range_api() -> Iterator[FakeRangeApi]:
    """Run the fake server."""
    it = FakeRangeApi()
    it.open()
    yield it
    it.close()


@pytest.fixture(scope="module", params=["on", "strict"])
def checked(
    request: pytest.FixtureRequest, worker: Running, state: Path, range_api: FakeRangeApi
) -> Iterator[tuple[str, Running]]:
    """Run a Worker with the breach check; return its mode and the Worker."""
    settings = {
        "BREACH_CHECK": request.param,
        "BREACH_TIMEOUT": TIMEOUT,
        "BREACH_API_URL": f"http://127.0.0.1:{range_api.port}/range/",
    }
    with behind_a_relay(worker, state / f"breaches-{request.param}", **settings) as (it, _):
        yield request.param, it


def test_a_breached_password_is_rejected(checked: tuple[str, Running], range_api: FakeRangeApi) -> None:
    """Another password is accepted. Only five digits of the hash are sent, and padding is requested."""
    _, it = checked
    range_api.requests.clear()
    refused = it.sign_up(password=BREACHED)
    assert (refused.status_code, [error["code"] for error in refused.json()["errors"]]) == (422, ["breached"])
    assert it.sign_up().status_code == 201
    prefixes = [sha1(each.encode(), usedforsecurity=False).hexdigest()[:5].upper() for each in (BREACHED, PASSWORD)]
    assert range_api.requests == [(f"/range/{prefix}", "true", "0") for prefix in prefixes]
    log = "\n".join(it.lines)
    assert "unchecked" not in log
    assert BREACHED not in log


@pytest.mark.parametrize("mode", ["down", "slow", "garbage", "error"])
def test_an_outage_of_the_breach_check_is_handled_by_mode(
    checked: tuple[str, Running], range_api: FakeRangeApi, mode: str
) -> None:
    """Mode `on` accepts the sign-up and logs a warning; `strict` is 503 with Retry-After; both keep the timeout."""
    setting, it = checked
    before = sum("accepted unchecked" in line for line in it.lines)
    if mode == "down":
        range_api.close()
    range_api.mode = mode
    start = time.monotonic()
    try:
        answer = it.sign_up(password=BREACHED)
        seconds = time.monotonic() - start
    finally:
        range_api.mode = "ok"
        if mode == "down":
            range_api.open()
    if setting == "on":
        assert answer.status_code == 201
        # The log line may arrive after the response.
        while sum("accepted unchecked" in line for line in it.lines) == before:
            assert time.monotonic() < start + 10
            time.sleep(0.05)
    else:
        assert (answer.status_code, answer.json()["code"]) == (503, "breach_check_unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert seconds < TIMEOUT + 1.2
    assert BREACHED not in "\n".join(it.lines)
