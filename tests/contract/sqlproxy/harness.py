"""sqlproxy processes for tests. When a process stops, its log is searched for secrets."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import httpx
import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from devstack.postgres import server

ROOT = Path(__file__).resolve().parents[3]
TOKEN = "canary-token-of-the-contract"
RAW_HEADERS = {"neon-raw-text-output": "true", "neon-array-mode": "true"}
_DEADLINE_SECONDS = 15.0
_numbers = itertools.count()
T = TypeVar("T")


def eventually(condition: Callable[[], T], what: str) -> T:
    """Call `condition` until it returns a true value, and return that value."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while not (value := condition()):
        assert time.monotonic() < deadline, f"timed out after {_DEADLINE_SECONDS:.0f} s: {what}"
        time.sleep(0.01)
    return value


@dataclass
class Proxy:
    """A running `python -m sqlproxy`.

    Attributes:
        process: the process; the supervisor if there are several workers.
        name: the application_name of its connections in Postgres.
        lines: the log lines so far, each a JSON object.
        port: the port on which the proxy listens.
    """

    process: subprocess.Popen[str]
    name: str
    lines: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        """The base URL of the proxy."""
        return f"http://127.0.0.1:{self.port}"

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the logged events with this name."""
        return [entry for entry in map(json.loads, list(self.lines)) if entry["event"] == name]

    def client(self, **settings: Any) -> httpx.Client:
        """Return a client that sends the token, and requests values as text and rows as arrays."""
        headers = {"authorization": f"Bearer {TOKEN}", **RAW_HEADERS}
        return httpx.Client(base_url=self.url, headers=headers, timeout=_DEADLINE_SECONDS, **settings)

    def sql(self, query: str, *params: object, **headers: str) -> httpx.Response:
        """Post one statement."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        with self.client() as client:
            return client.post("/sql", json={"query": query, "params": params}, headers=names)

    def batch(self, *queries: str) -> httpx.Response:
        """Post statements as one transaction."""
        with self.client() as client:
            return client.post("/sql", json={"queries": [{"query": query} for query in queries]})

    def rows(self, query: str, *params: object) -> list[list[str | None]]:
        """Return the rows of a statement, which must succeed."""
        response = self.sql(query, *params)
        assert response.status_code == 200, response.text
        rows: list[list[str | None]] = response.json()["rows"]
        return rows

    def metric(self, sample: str) -> float:
        """Return a sample of /metrics, or 0 if it is missing."""
        with self.client() as client:
            for line in client.get("/metrics").text.splitlines():
                if line.startswith(sample + " "):
                    return float(line.rpartition(" ")[2])
        return 0.0

    def stop(self) -> int:
        """Stop the process with SIGTERM unless it has already exited, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(_DEADLINE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


class Background(Protocol):
    """A function that posts a statement in a thread."""

    def __call__(self, proxy: Proxy, query: str) -> Future[httpx.Response]:
        """Post a statement; return a future of the response."""
        ...


class StartProxy(Protocol):
    """A function that starts proxies, which are stopped at the end of the test."""

    def __call__(self, *flags: str, database: str = "postgres", **environ: str) -> Proxy:
        """Start a proxy with these flags and environment variables (named without the prefix SQLPROXY_)."""
        ...


@contextmanager
def run_proxy(pg: server.Postgres, *flags: str, database: str = "postgres", **environ: str) -> Iterator[Proxy]:
    """Run a proxy on a free port until the block ends, and then check that its log contains no secret."""
    name = f"sqlproxy-test-{next(_numbers)}"
    secrets = {
        "SQLPROXY_DATABASE_URL": f"{pg.url(database)}?application_name={name}",
        "SQLPROXY_TOKEN": TOKEN,
        "SQLPROXY_LOG_LEVEL": "debug",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "sqlproxy", "--port", "0", *flags],
        env={**os.environ, **secrets, **{f"SQLPROXY_{key}": value for key, value in environ.items()}},
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    proxy = Proxy(process, name)
    assert process.stderr is not None
    reader = threading.Thread(target=lambda pipe: proxy.lines.extend(iter(pipe.readline, "")), args=[process.stderr])
    reader.start()
    try:
        eventually(lambda: proxy.lines or process.poll() is not None, "the proxy's first line")
        proxy.port = proxy.events("listening")[0]["port"]
        yield proxy
    finally:
        proxy.stop()
        reader.join()
        process.stderr.close()
    password = psycopg.conninfo.conninfo_to_dict(pg.url())["password"]
    log = "".join(proxy.lines)
    assert TOKEN not in log
    assert str(password) not in log
    assert "canary" not in log


@contextmanager
def allowing(*statements: str) -> Iterator[tuple[str, str]]:
    """Yield flags for a proxy that runs only these statements, and therefore does not reset its sessions."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "statements.json")
        path.write_text(json.dumps(statements))
        yield "--allow-statements", str(path)


def connections(admin: psycopg.Connection, proxy: Proxy) -> int:
    """Return the number of the proxy's connections that Postgres reports."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s"
    row = admin.execute(query, [proxy.name]).fetchone()
    assert row is not None
    return int(row[0])


def running_statements(admin: psycopg.Connection, proxy: Proxy, like: str = "%") -> int:
    """Return the number of the proxy's running statements that match a pattern."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state = 'active' AND query LIKE %s"
    row = admin.execute(query, [proxy.name, like]).fetchone()
    assert row is not None
    return int(row[0])
