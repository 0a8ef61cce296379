"""Startup, output and shutdown of the sqlproxy process."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.contract.sqlproxy.harness import ROOT, TOKEN, connections, eventually, running_statements

if TYPE_CHECKING:
    from concurrent.futures import Future

    import psycopg

    from tests.contract.sqlproxy.harness import Background, Proxy, StartProxy

URL = "postgres://canary-user:canary-password@127.0.0.1:1/canary-database"

# Long timeouts, so that only the tested event ends a statement.
PATIENT = ("--statement-timeout", "60", "--total-timeout", "90")


def run(*flags: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command until it exits."""
    secrets = {"SQLPROXY_DATABASE_URL": URL, "SQLPROXY_TOKEN": TOKEN}
    return subprocess.run(
        [sys.executable, "-m", "sqlproxy", *flags],
        env={**os.environ, **secrets, **environ},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


@pytest.mark.parametrize(
    ("flags", "environ", "expected"),
    [
        (["--port", "http"], {}, "--port"),
        (["--host", "192.0.2.1"], {}, "not loopback"),
        (["--host", "nowhere.invalid", "--insecure-listen"], {}, "cannot listen on nowhere.invalid"),
        (["--tls-cert", __file__, "--tls-key", __file__], {}, "tls-cert"),
        ([], {"SQLPROXY_DATABASE_URL": "canary: not a connection string"}, "SQLPROXY_DATABASE_URL"),
        ([], {"SQLPROXY_TOKEN": "canary"}, "SQLPROXY_TOKEN"),
    ],
)
def test_a_wrong_setting_prints_one_line(flags: list[str], environ: dict[str, str], expected: str) -> None:
    """The line names the setting or the address, and contains no secret; the exit status is 2."""
    done = run(*flags, **environ)
    assert done.returncode == 2
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("sqlproxy: ")
    assert expected in line
    assert "canary" not in line


def test_a_port_in_use_is_reported(proxy: Proxy) -> None:
    """The message names the host and the port; the exit status is 2."""
    done = run("--port", str(proxy.port))
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {proxy.port}" in done.stderr


def test_unencrypted_traffic_is_logged(start_proxy: StartProxy) -> None:
    """`--insecure-listen` allows unencrypted traffic, and a warning is logged."""
    proxy = start_proxy("--host", "0.0.0.0", "--insecure-listen")  # noqa: S104 - the subject of the test
    (warning,) = eventually(lambda: proxy.events("traffic_not_encrypted"), "the warning")
    assert warning["level"] == "warning"
    assert proxy.events("listening")[0]["host"] == "0.0.0.0"  # noqa: S104 - the host under test


def test_a_certificate_disables_plain_http(start_proxy: StartProxy, tmp_path: Path) -> None:
    """Plain HTTP fails, and no warning about unencrypted traffic is logged."""
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    node = Path(sys.executable).with_name("node")
    subprocess.run([node, Path(__file__).with_name("certificate.mjs"), cert, key], check=True)
    proxy = start_proxy("--tls-cert", str(cert), "--tls-key", str(key), "--host", "0.0.0.0")  # noqa: S104 - allowed with TLS
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cert)
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"https://127.0.0.1:{proxy.port}", verify=context, headers=headers) as client:
        assert client.post("/sql", json={"query": "SELECT 1 AS v"}).json()["rows"] == [{"v": 1}]
    with pytest.raises(httpx.TransportError):
        httpx.get(f"http://127.0.0.1:{proxy.port}/health")
    assert not proxy.events("traffic_not_encrypted")


def test_the_proxy_starts_without_postgres() -> None:
    """`/health` gets 200, and a statement gets 503. The log contains no user, password or database name."""
    environ = {**os.environ, "SQLPROXY_DATABASE_URL": URL, "SQLPROXY_TOKEN": TOKEN, "SQLPROXY_PORT": "0"}
    with subprocess.Popen(
        [sys.executable, "-m", "sqlproxy", "--wait-timeout", "0.2"],
        env=environ,
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline()]
        port = int(lines[0].partition('"port": ')[2].partition(",")[0])
        base = f"http://127.0.0.1:{port}"
        assert httpx.get(f"{base}/health").status_code == 200
        response = httpx.post(f"{base}/sql", json={"query": "x"}, headers={"authorization": f"Bearer {TOKEN}"})
        assert (response.status_code, response.json()["code"]) == (503, "08001")
        process.terminate()
        lines += process.stderr.readlines()
        assert process.wait(10) == 0
    log = "".join(lines)
    assert "database_unreachable" in log
    assert "canary" not in log + response.text


def test_sigterm_lets_the_statement_in_flight_finish(
    start_proxy: StartProxy, admin: psycopg.Connection, background: Background
) -> None:
    """The process refuses connections, completes the response, closes its connections to Postgres, and exits with 0."""
    proxy = start_proxy()
    future = background(proxy, "SELECT pg_sleep(0.7)::text, 'whole'")
    eventually(lambda: running_statements(admin, proxy, "%pg_sleep%"), "the statement runs")
    proxy.process.send_signal(signal.SIGTERM)
    eventually(lambda: proxy.events("stopping"), "the proxy is stopping")
    eventually(lambda: not accepts(proxy.port), "the proxy refuses connections")
    assert future.result().json()["rows"] == [["", "whole"]]
    assert proxy.process.wait(10) == 0
    assert proxy.events("stopped")[0]["graceful"] is True
    eventually(lambda: connections(admin, proxy) == 0, "the connections to Postgres are closed")


def test_the_stop_timeout_cancels_statements(
    start_proxy: StartProxy, admin: psycopg.Connection, background: Background
) -> None:
    """A longer statement is cancelled in Postgres; its client gets an error or a closed connection."""
    proxy = start_proxy("--stop-timeout", "1", *PATIENT)
    future = background(proxy, "SELECT pg_sleep(60)")
    eventually(lambda: running_statements(admin, proxy, "%pg_sleep%"), "the statement runs")
    began = time.monotonic()
    assert proxy.stop() == 0
    assert time.monotonic() - began < 30
    assert ended_without_success(future)
    assert running_statements(admin, proxy) == 0


def test_a_second_signal_stops_the_process_at_once(
    start_proxy: StartProxy, admin: psycopg.Connection, background: Background
) -> None:
    """The exit status is 1, and no statement keeps running."""
    proxy = start_proxy("--stop-timeout", "30", *PATIENT)
    future = background(proxy, "SELECT pg_sleep(60)")
    eventually(lambda: running_statements(admin, proxy, "%pg_sleep%"), "the statement runs")
    proxy.process.send_signal(signal.SIGINT)
    eventually(lambda: proxy.events("stopping"), "the first signal")
    proxy.process.send_signal(signal.SIGINT)
    assert proxy.process.wait(5) == 1
    assert ended_without_success(future)
    eventually(lambda: connections(admin, proxy) == 0, "Postgres has ended the statement")


def test_the_statements_of_a_killed_proxy_end(
    start_proxy: StartProxy, admin: psycopg.Connection, background: Background
) -> None:
    """Postgres checks every second whether the client is still connected."""
    proxy = start_proxy(*PATIENT)
    future = background(proxy, "SELECT pg_sleep(60)")
    eventually(lambda: running_statements(admin, proxy, "%pg_sleep%"), "the statement runs")
    proxy.process.kill()
    assert ended_without_success(future)
    eventually(lambda: connections(admin, proxy) == 0, "Postgres has ended the statement")


def accepts(port: int) -> bool:
    """Return whether a process listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def ended_without_success(future: Future[httpx.Response]) -> bool:
    """Return whether the request failed with status 500 or above, or lost its connection."""
    try:
        return future.result(10).status_code >= 500
    except httpx.TransportError:
        return True


def test_the_process_exits_while_a_thread_is_running() -> None:
    """A host name lookup runs in a thread that cannot be interrupted, and Python would wait for it."""
    script = """
import threading, time
from sqlproxy.server import _exit_within
_exit_within(0.1, 3)
threading.Thread(target=time.sleep, args=[30]).start()
"""
    began = time.monotonic()
    assert subprocess.run([sys.executable, "-c", script], check=False, timeout=25).returncode == 3
    assert time.monotonic() - began < 20
