"""What happens to the stack's own services while it works: crashes, restarts, and what operators do."""

import contextlib
import os
import time
from collections.abc import Iterator
from signal import SIGINT, SIGKILL, SIGQUIT, Signals

import psycopg

from devstack.stack.services import Service
from tests.e2e.conftest import Running


def kill(service: Service, number: Signals) -> None:
    """Send the service a signal that ends it, and start it again; from now on it ends with this thread."""
    pid = service.pid
    assert pid is not None
    os.kill(pid, number)
    while service.pid:
        time.sleep(0.01)
    service.stop()  # what is left of it
    service.start()


def restart_postgres(worker: Running) -> None:
    """Restart it as an upgrade does: connections are ended, and nothing is lost."""
    kill(worker.stack.service("postgres"), SIGINT)


def crash_postgres(worker: Running) -> None:
    """Kill every process of it, so that it has to recover from its log."""
    kill(worker.stack.service("postgres"), SIGQUIT)


def kill_proxy(worker: Running) -> None:
    """Kill sqlproxy in the middle of what it does."""
    kill(worker.stack.service("sqlproxy"), SIGKILL)


def end_connections(worker: Running) -> None:
    """End every connection of the proxy's, whatever it is doing."""
    with psycopg.connect(worker.stack.database_url, autocommit=True) as db:
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sqlproxy'")


@contextlib.contextmanager
def read_only(db: psycopg.Connection) -> Iterator[None]:
    """Make every new transaction read-only, as on a standby or after a failover."""
    db.execute("ALTER SYSTEM SET default_transaction_read_only = on")
    db.execute("SELECT pg_reload_conf()")
    try:
        yield
    finally:
        db.execute("SET default_transaction_read_only = off")
        db.execute("ALTER SYSTEM RESET default_transaction_read_only")
        db.execute("SELECT pg_reload_conf()")
