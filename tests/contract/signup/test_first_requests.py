"""The first requests of an isolate, in bare workerd."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection

from bench.workers.contenders import OURS
from bench.workers.measurement import behind_sqlproxy
from bench.workers.workerd import running
from tests.counts import count

ISOLATES = count(1, 8)
CLIENTS = 8


def page_status(port: int) -> int:
    """Return the status of the response to a request for the page."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/")
        return connection.getresponse().status


def test_a_new_isolate_serves_simultaneous_requests() -> None:
    """If requests imported the JavaScript modules, Pyodide could corrupt its memory, and workerd would exit.

    One isolate would not show this in every run. The unit tests of `signup.runtime.server` check when the modules
    are imported.
    """
    with behind_sqlproxy() as (backends, _), ThreadPoolExecutor(CLIENTS) as clients:
        worker = OURS.make(backends)
        for _ in range(ISOLATES):
            with running(worker) as (port, _):
                assert list(clients.map(page_status, [port] * CLIENTS)) == [200] * CLIENTS
