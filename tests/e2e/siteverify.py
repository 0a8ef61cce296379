"""A server that speaks Turnstile's siteverify, for one test."""

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
    """What it knows. Tokens count once, but for the request that used them; `answer` overrides everything.

    Args:
        port: where it listens on 127.0.0.1.
        used: the idempotency key by which each token was used.
        seen: what was sent.
        answer: status and body for every request, when set.
    """

    port: int
    used: dict[str, str] = field(default_factory=dict)
    seen: list[dict[str, Any]] = field(default_factory=list)
    answer: tuple[int, bytes] | None = None

    def judge(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Answer as siteverify does. A token says which host and action it is for: `good.<host>.<action>`."""
        self.seen.append(fields)
        if fields["secret"] != SECRET:
            return {"success": False, "error-codes": ["invalid-input-secret"]}
        token, key = fields["response"], fields["idempotency_key"]
        kind, _, rest = token.partition("|")
        if kind != "good":
            return {"success": False, "error-codes": [kind]}
        if self.used.setdefault(token, key) != key:
            return {"success": False, "error-codes": ["timeout-or-duplicate"]}
        host, action, _ = rest.split("|")
        return {"success": True, "error-codes": [], "hostname": host, "action": action, "challenge_ts": "2026-11-24"}


@contextlib.contextmanager
def siteverify() -> Iterator[Siteverify]:
    """Serve while the block runs."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, content = it.answer or (200, json.dumps(it.judge(json.loads(body))).encode())
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        it = Siteverify(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield it
        finally:
            server.shutdown()
            thread.join()
