"""A fake of Have I Been Pwned's range API."""

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BREACHED = "trombone quarry velvet 91"
# The Worker's timeout in seconds. The mode `slow` takes longer.
TIMEOUT = 0.5


@dataclass
class FakeRangeApi:
    """The fake server and the requests that it received.

    Args:
        padding: a password that is not breached, but whose hash is one of the lines of padding.
        mode: the server's behaviour: ok, slow, garbage or error.
        requests: path, add-padding header and content-length of each request.
        port: the port on 127.0.0.1.
    """

    padding: str
    mode: str = "ok"
    requests: list[tuple[str, str, str]] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    port: int = 0

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """Respond to a request for a hash prefix with padding, and with the line of `BREACHED` if it matches."""
        length = request.headers.get("content-length", "0")
        self.requests.append((request.path, request.headers.get("add-padding", ""), length))
        if self.mode == "slow":
            time.sleep(4 * TIMEOUT)
        digest = sha1(BREACHED.encode(), usedforsecurity=False).hexdigest().upper()
        padded = sha1(self.padding.encode(), usedforsecurity=False).hexdigest().upper()
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


@contextlib.contextmanager
def fake_range_api(padding: str) -> Iterator[FakeRangeApi]:
    """Run the fake server; `padding` is a password that is not breached."""
    api = FakeRangeApi(padding)
    api.open()
    try:
        yield api
    finally:
        api.close()
