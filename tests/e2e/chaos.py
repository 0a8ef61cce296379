"""Faults in the stack's own processes: crashes, restarts and administrative changes."""

import contextlib
import os
import time
from collections.abc import Iterator
from signal import SIGINT, SIGKILL, SIGQUIT, Signals

import psycopg

from devstack.stack.services import Service
from tests.e2e.conftest import Running


def kill(service: Service, signal_number: Signals) -> None:
    """End a service with a signal and start it again; the new process is stopped when the calling thread ends."""
    pid = service.pid
    assert pid is not None
    os.kill(pid, signal_number)
    while service.pid:
        time.sleep(0.01)
    service.stop()  # stops remaining children
    service.start()


def restart_postgres(worker: Running) -> None:
    """Restart Postgres as an upgrade does: connections are closed, and no data is lost."""
    kill(worker.stack.service("postgres"), SIGINT)


def crash_postgres(worker: Running) -> None:
    """Abort every Postgres process and start Postgres again, which recovers from the write-ahead log."""
    kill(worker.stack.service("postgres"), SIGQUIT)


def kill_proxy(worker: Running) -> None:
    """Kill sqlproxy with SIGKILL and start it again."""
    kill(worker.stack.service("sqlproxy"), SIGKILL)


def terminate_connections(worker: Running) -> None:
    """Terminate every database connection of the proxy."""
    with psycopg.connect(worker.stack.database_url, autocommit=True) as db:
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sqlproxy'")


@contextlib.contextmanager
def read_only(db: psycopg.Connection) -> Iterator[None]:
    """Make new transactions read-only until the block ends, as on a standby or after a failover."""
    db.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    db.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        db.execute("SET default_transaction_read_only = off")
        db.execute("ALTER SYSTEM RESET default_transaction_read_only")
        db.execute("SELECT pg_reload_conf()")
