"""A fake of Turnstile's siteverify API."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "canary-secret-of-siteverify"


@dataclass
class Siteverify:
    """The state of the fake API. A token can be redeemed once, and again only with the same idempotency key.

    Args:
        port: the port on 127.0.0.1.
        used: for each token, the idempotency key that redeemed it.
        seen: the fields of the received requests.
        answer: if set, the status and body of every response.
    """

    port: int
    used: dict[str, str] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)
    answer: tuple[int, bytes] | None = None

    def judge(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Return the verdict on a token of the form `good|<host>|<action>|<id>` or `<error code>|...`."""
        self.seen.append(fields)
        if fields["secret"] != SECRET:
            return {"success": False, "error-codes": ["invalid-input-secret"]}
        token, key = fields["response"], fields["idempotency_key"]
        kind, _, details = token.partition("|")
        if kind != "good":
            return {"success": False, "error-codes": [kind]}
        if self.used.setdefault(token, key) != key:
            return {"success": False, "error-codes": ["timeout-or-duplicate"]}
        host, action, _ = details.split("|")
        return {"success": True, "error-codes": [], "hostname": host, "action": action, "challenge_ts": "2026-11-24"}


@contextlib.contextmanager
def siteverify() -> Iterator[Siteverify]:
    """Run the fake API."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, content = api.answer or (200, json.dumps(api.judge(json.loads(body))).encode())
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Suppress the access log."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api = Siteverify(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield api
        finally:
            server.shutdown()
            thread.join()
