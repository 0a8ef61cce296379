"""The real `uv audit` and `npm audit`, asked about what is locked, with the data of a server on loopback."""

from __future__ import annotations

import gzip
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote

from devstack import audit
from devstack.bootstrap import ROOT
from devstack.locks import python_pins

if TYPE_CHECKING:
    from collections.abc import Iterator

BAD = {"id": "PYSEC-2099-1", "modified": "2099-01-01T00:00:00Z", "summary": "bad"}
ADVISORY = {"id": 1, "url": "x", "title": "bad", "severity": "high", "vulnerable_versions": "*", "cwe": [], "cvss": {}}


class Advisories(BaseHTTPRequestHandler):
    """OSV's API and npm's, which know of one vulnerability each."""

    def do_POST(self) -> None:
        """Answer which packages are bad."""
        body = self.rfile.read(int(self.headers["content-length"]))
        asked = json.loads(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
        if "queries" not in asked:
            self._answer({"ws": [ADVISORY]} if "ws" in asked else {})
            return
        names = [query["package"]["name"] for query in asked["queries"]]
        self._answer({"results": [{"vulns": [BAD]} if name == "h11" else {} for name in names]})

    def do_GET(self) -> None:
        """Answer what is bad; npm asks for a package's versions too."""
        if not self.path.endswith(BAD["id"]):
            name = unquote(self.path.strip("/"))
            self._answer({"name": name, "versions": {"1.0.0": {"name": name, "version": "1.0.0"}}, "dist-tags": {}})
            return
        affected = {"package": {"name": "h11", "ecosystem": "PyPI"}, "ranges": [], "versions": []}
        self._answer({**BAD, "affected": [affected]})

    def _answer(self, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def advisories() -> Iterator[str]:
    """Serve them; yield their URL."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_a_vulnerable_package_fails_the_audit() -> None:
    """Both tools read our locks whole, and what their data says is bad is found."""
    assert "h11" in {pin.name for pin in python_pins(ROOT / "requirements" / "sqlproxy.txt")}
    with advisories() as url:
        python = audit.python_verdict("--service-url", url)
        javascript = audit.npm_verdict("--registry", url, "--cache", str(ROOT / ".local" / "npm-cache"))
    assert python == audit.Verdict(reached=True, findings=("h11: PYSEC-2099-1",))
    assert javascript.reached
    assert "ws: high" in javascript.findings


def test_data_that_cannot_be_reached_is_said() -> None:
    """Nobody listens there: not reached, and not clean."""
    nowhere = "http://127.0.0.1:1/"
    assert not audit.python_verdict("--service-url", nowhere).reached
    assert not audit.npm_verdict("--registry", nowhere, "--fetch-retries", "0").reached
