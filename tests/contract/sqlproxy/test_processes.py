"""Several processes: one port, one total of connections, one set of metrics, one end."""

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
    """The process ids of the workers that were started and are alive."""
    return [pid for entry in proxy.events("worker_started") if is_alive(pid := entry["pid"])]


def both(proxy: Proxy) -> list[int]:
    """The process ids of two workers, once both were started."""
    eventually(lambda: len(workers(proxy)) == 2, "both run")
    return workers(proxy)


def is_alive(pid: int) -> bool:
    """Whether the process is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--processes", "3", "--pool-size", "2"], "processes is larger than pool-size"),
        (["--processes", "0"], "--processes must be"),
    ],
)
def test_a_process_without_a_connection_is_refused(flags: list[str], said: str) -> None:
    """Rather than starting one that could answer nothing."""
    done = run(*flags)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_setting_that_keeps_workers_from_starting_ends_it() -> None:
    """They are not started again and again."""
    done = run("--processes", "2", "--port", "0", "--tls-cert", __file__, "--tls-key", __file__)
    assert done.returncode == 2
    assert "tls-cert" in done.stderr


def test_an_older_proxy_on_the_port_is_a_clear_error(start_proxy: StartProxy) -> None:
    """Though the port is shared among the processes, it is not shared with others."""
    proxy = start_proxy("--processes", "2")
    done = run("--processes", "2", "--port", str(proxy.port))
    assert done.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {proxy.port}" in done.stderr


def test_the_total_is_shared_out(
    start_proxy: StartProxy, admin: psycopg.Connection, threads: ThreadPoolExecutor
) -> None:
    """Whatever comes, Postgres sees no more than the total; each request is answered; /metrics is of all together."""
    proxy = start_proxy("--processes", "3", "--pool-size", "4")
    eventually(lambda: len(workers(proxy)) == 3, "all run")
    # A client each, so that the kernel spreads them.
    waiting = [threads.submit(proxy.rows, "SELECT pg_sleep(0.2)::text") for _ in range(48)]
    most = 0
    while not all(future.done() for future in waiting):
        most = max(most, connections(admin, proxy))
        time.sleep(0.01)
    assert all(future.result() == [[""]] for future in waiting)
    assert 2 <= most <= 4
    eventually(lambda: proxy.metric(OK) == 48, "all requests are counted")
    assert proxy.metric("sqlproxy_pool_size") == 4
    assert proxy.metric("sqlproxy_statement_seconds_count") == 48


def test_a_dead_worker_is_replaced(start_proxy: StartProxy, admin: psycopg.Connection) -> None:
    """New connections wait for its successor, which goes on counting where it stopped."""
    proxy = start_proxy("--processes", "2", "--pool-size", "2")
    for _ in range(20):
        assert proxy.rows("SELECT 1") == [["1"]]
    eventually(lambda: proxy.metric(OK) == 20, "they are counted")
    before = both(proxy)
    time.sleep(0.6)  # until the last of them is published
    os.kill(before[0], signal.SIGKILL)
    eventually(lambda: proxy.events("worker_exited"), "it is noticed")
    for _ in range(20):
        assert proxy.rows("SELECT 1") == [["1"]]
    assert proxy.events("worker_exited")[0]["status"] == -signal.SIGKILL
    assert len(set(workers(proxy)) - set(before)) == 1
    eventually(lambda: proxy.metric(OK) == 40, "none is forgotten")
    assert connections(admin, proxy) <= 2


def test_the_total_holds_while_a_worker_is_replaced(
    start_proxy: StartProxy, admin: psycopg.Connection, background: Background
) -> None:
    """Its successor opens no connection before Postgres has ended what it was running."""
    proxy = start_proxy("--processes", "2", "--pool-size", "2", "--statement-timeout", "60")
    killed = both(proxy)[0]
    sleeping = [background(proxy, "SELECT pg_sleep(3)") for _ in range(12)]
    eventually(lambda: running_statements(admin, proxy, "%pg_sleep%") == 2, "both are busy")
    os.kill(killed, signal.SIGKILL)
    most = 0
    while not (len(proxy.events("worker_started")) == 3 and all(future.done() for future in sleeping)):
        most = max(most, connections(admin, proxy))
        time.sleep(0.01)
    assert most <= 2


def test_sigterm_ends_all_of_them_in_order(
    start_proxy: StartProxy, admin: psycopg.Connection, background: Background
) -> None:
    """What is in flight arrives whole; twice the signal for a process group does no harm; the status is 0."""
    proxy = start_proxy("--processes", "2")
    waiting = background(proxy, "SELECT pg_sleep(0.7)::text, 'whole'")
    eventually(lambda: running_statements(admin, proxy, "%pg_sleep%"), "it runs")
    pids = workers(proxy)
    for pid in (*pids, proxy.process.pid):
        os.kill(pid, signal.SIGTERM)
    assert waiting.result().json()["rows"] == [["", "whole"]]
    assert proxy.process.wait(10) == 0
    assert not any(map(is_alive, pids))
    with pytest.raises(httpx.TransportError):
        httpx.get(f"{proxy.url}/health")
    eventually(lambda: connections(admin, proxy) == 0, "its connections are closed")


def test_a_second_signal_ends_all_of_them_at_once(
    start_proxy: StartProxy, admin: psycopg.Connection, background: Background
) -> None:
    """With status 1, as with one process."""
    proxy = start_proxy("--processes", "2", "--statement-timeout", "60", "--total-timeout", "90")
    waiting = background(proxy, "SELECT pg_sleep(60)")
    eventually(lambda: running_statements(admin, proxy, "%pg_sleep%"), "it runs")
    proxy.process.send_signal(signal.SIGTERM)
    eventually(lambda: proxy.events("stopping"), "it is stopping")
    proxy.process.send_signal(signal.SIGINT)
    assert proxy.process.wait(10) == 1
    assert ended_without_success(waiting)
    eventually(lambda: not running_statements(admin, proxy), "the statement is over")


def test_workers_end_when_their_parent_is_killed(start_proxy: StartProxy) -> None:
    """No process is left that holds the port."""
    proxy = start_proxy("--processes", "2")
    pids = both(proxy)
    eventually(lambda: httpx.get(f"{proxy.url}/health").status_code == 200, "they answer")
    proxy.process.kill()
    eventually(lambda: not any(map(is_alive, pids)), "they end")


def test_a_frozen_worker_is_killed_when_its_time_to_stop_is_over(start_proxy: StartProxy) -> None:
    """The parent does not wait for it for ever."""
    proxy = start_proxy("--processes", "2", "--stop-timeout", "1")
    frozen = both(proxy)[0]
    os.kill(frozen, signal.SIGSTOP)
    assert proxy.stop() == 1
    assert len(proxy.events("worker_killed")) == 1
    assert not is_alive(frozen)
