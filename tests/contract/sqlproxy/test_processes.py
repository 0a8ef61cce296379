"""Several worker processes share a port, a connection limit and metrics, and stop together."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.contract.sqlproxy.harness import connections, eventually, running_statements
from tests.contract.sqlproxy.test_process import ended_without_success, run

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    import psycopg

    from tests.contract.sqlproxy.harness import Background, Proxy, StartProxy

OK = 'sqlproxy_requests_total{status="200"}'


def workers(proxy: Proxy) -> list[int]:
    """Return the process ids of the running workers."""
    return [pid for entry in proxy.events("worker_started") if is_alive(pid := entry["pid"])]


def wait_for_two_workers(proxy: Proxy) -> list[int]:
    """Wait for two workers, and return their process ids."""
    eventually(lambda: len(workers(proxy)) == 2, "both workers run")
    return workers(proxy)


def is_alive(pid: int) -> bool:
    """Return whether the process exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--processes", "3", "--pool-size", "2"], "processes is larger than pool-size"),
        (["--processes", "0"], "--processes must be"),
    ],
)
def test_a_wrong_number_of_processes_is_refused(flags: list[str], expected: str) -> None:
    """There must be at least one process, and each needs a connection to serve a request."""
    done = run(*flags)
    assert done.returncode == 2
    assert expected in done.stderr


def test_a_wrong_certificate_is_an_error_before_workers_start() -> None:
    """The message names the setting; the exit status is 2."""
    done = run("--processes", "2", "--port", "0", "--tls-cert", __file__, "--tls-key", __file__)
    assert done.returncode == 2
    assert "tls-cert" in done.stderr
    assert "worker_started" not in done.stderr


def test_a_port_of_another_proxy_is_an_error(start_proxy: StartProxy) -> None:
    """The workers share their port with each other, but not with another proxy."""
    proxy = start_proxy("--processes", "2")
    done = run("--processes", "2", "--port", str(proxy.port))
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {proxy.port}" in done.stderr


def test_the_connection_limit_is_divided_among_the_workers(
    start_proxy: StartProxy, admin: psycopg.Connection, threads: ThreadPoolExecutor
) -> None:
    """Postgres never has more than four connections, each request succeeds, and /metrics covers all workers."""
    proxy = start_proxy("--processes", "3", "--pool-size", "4")
    eventually(lambda: len(workers(proxy)) == 3, "all workers run")
    # Each request opens a connection, so that the kernel distributes the requests among the workers.
    futures = [threads.submit(proxy.rows, "SELECT pg_sleep(0.2)::text") for _ in range(48)]
    peak_connections = 0
    while not all(future.done() for future in futures):
        peak_connections = max(peak_connections, connections(admin, proxy))
        time.sleep(0.01)
    assert all(future.result() == [[""]] for future in futures)
    assert 2 <= peak_connections <= 4
    eventually(lambda: proxy.metric(OK) == 48, "all requests are counted")
    assert proxy.metric("sqlproxy_pool_size") == 4
    assert proxy.metric("sqlproxy_statement_seconds_count") == 48


def test_a_dead_worker_is_replaced(start_proxy: StartProxy, admin: psycopg.Connection) -> None:
    """Requests after the worker's exit succeed, and the counters of /metrics continue."""
    proxy = start_proxy("--processes", "2", "--pool-size", "2")
    for _ in range(20):
        assert proxy.rows("SELECT 1") == [["1"]]
    eventually(lambda: proxy.metric(OK) == 20, "the requests are counted")
    before = wait_for_two_workers(proxy)
    time.sleep(0.6)  # until the last sample is published
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: proxy.events("worker_exited"), "the exit is noticed")
    for _ in range(20):
        assert proxy.rows("SELECT 1") == [["1"]]
    assert proxy.events("worker_exited")[0]["status"] == -signal.SIGKILL
    assert len(set(workers(proxy)) - set(before)) == 1
    eventually(lambda: proxy.metric(OK) == 40, "all requests are counted")
    assert connections(admin, proxy) <= 2


def test_the_connection_limit_holds_while_a_worker_is_replaced(
    start_proxy: StartProxy, admin: psycopg.Connection, background: Background
) -> None:
    """The new worker opens no connection before Postgres has ended the statement of the killed worker."""
    proxy = start_proxy("--processes", "2", "--pool-size", "2", "--statement-timeout", "60")
    killed = wait_for_two_workers(proxy)[0]
    sleeping = [background(proxy, "SELECT pg_sleep(3)") for _ in range(12)]
    eventually(lambda: running_statements(admin, proxy, "%pg_sleep%") == 2, "both workers are busy")
    os.kill(killed, signal.SIGKILL)
    peak_connections = 0
    while not (len(proxy.events("worker_started")) == 3 and all(future.done() for future in sleeping)):
        peak_connections = max(peak_connections, connections(admin, proxy))
        time.sleep(0.01)
    assert peak_connections <= 2


def test_sigterm_stops_all_workers_gracefully(
    start_proxy: StartProxy, admin: psycopg.Connection, background: Background
) -> None:
    """Running requests complete even if the workers get SIGTERM as well, and the exit status is 0."""
    proxy = start_proxy("--processes", "2")
    future = background(proxy, "SELECT pg_sleep(0.7)::text, 'whole'")
    eventually(lambda: running_statements(admin, proxy, "%pg_sleep%"), "the statement runs")
    pids = workers(proxy)
    for pid in (*pids, proxy.process.pid):
        os.kill(pid, signal.SIGTERM)
    assert future.result().json()["rows"] == [["", "whole"]]
    assert proxy.process.wait(10) == 0
    assert not any(map(is_alive, pids))
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{proxy.url}/health")
    eventually(lambda: connections(admin, proxy) == 0, "the connections to Postgres are closed")


def test_a_second_signal_stops_all_workers_at_once(
    start_proxy: StartProxy, admin: psycopg.Connection, background: Background
) -> None:
    """The exit status is 1, as with one process."""
    proxy = start_proxy("--processes", "2", "--statement-timeout", "60", "--total-timeout", "90")
    future = background(proxy, "SELECT pg_sleep(60)")
    eventually(lambda: running_statements(admin, proxy, "%pg_sleep%"), "the statement runs")
    proxy.process.send_signal(signal.SIGTERM)
    eventually(lambda: proxy.events("stopping"), "the proxy is stopping")
    proxy.process.send_signal(signal.SIGINT)
    assert proxy.process.wait(10) == 1
    assert ended_without_success(future)
    eventually(lambda: not running_statements(admin, proxy), "the statement has ended")


def test_workers_end_when_their_parent_is_killed(start_proxy: StartProxy) -> None:
    """Otherwise the workers would keep the port in use."""
    proxy = start_proxy("--processes", "2")
    pids = wait_for_two_workers(proxy)
    eventually(lambda: httpx.get(f"{proxy.url}/health").status_code == 200, "the workers respond")
    proxy.process.kill()
    eventually(lambda: not any(map(is_alive, pids)), "the workers have exited")


def test_a_frozen_worker_is_killed_after_the_stop_timeout(start_proxy: StartProxy) -> None:
    """The supervisor kills the worker, and exits with status 1."""
    proxy = start_proxy("--processes", "2", "--stop-timeout", "1")
    frozen = wait_for_two_workers(proxy)[0]
    os.kill(frozen, signal.SIGSTOP)
    assert proxy.stop() == 1
    assert len(proxy.events("worker_killed")) == 1
    assert not is_alive(frozen)
