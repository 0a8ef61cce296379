"""Fixtures: a real Postgres, and sqlproxy processes in front of it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import TYPE_CHECKING

import psycopg
import pytest

from devstack.postgres import server
from devstack.postgres.cluster import FAST
from tests.contract.sqlproxy.harness import Background, Proxy, StartProxy, run_proxy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def measured(coverage_of_processes: str) -> Iterator[None]:
    """Measure the coverage of the proxy processes if the tests run with coverage."""
    with pytest.MonkeyPatch.context() as patch:
        if coverage_of_processes:
            patch.setenv("COVERAGE_PROCESS_CONFIG", coverage_of_processes)
        yield


@pytest.fixture(scope="session")
def pg(tmp_path_factory: pytest.TempPathFactory) -> Iterator[server.Postgres]:
    """A Postgres that all tests share. Committed data survives a kill of its processes, but not a power cut."""
    settings = {**FAST, "synchronous_commit": "on"}
    with server.running(tmp_path_factory.mktemp("sqlproxy") / "pg", settings=settings) as running:
        yield running


@pytest.fixture
def admin(pg: server.Postgres) -> Iterator[psycopg.Connection]:
    """A direct connection as a superuser."""
    with psycopg.connect(pg.url(), autocommit=True) as connection:
        yield connection


@pytest.fixture
def start_proxy(pg: server.Postgres) -> Iterator[StartProxy]:
    """A function that starts a proxy with the given flags and environment variables."""
    with ExitStack() as stack:
        yield lambda *flags, **environ: stack.enter_context(run_proxy(pg, *flags, **environ))


@pytest.fixture(scope="session")
def proxy(pg: server.Postgres) -> Iterator[Proxy]:
    """A proxy with few connections and small limits, shared by tests that only send requests."""
    flags = ("--pool-size", "4", "--statement-timeout", "1", "--answer-limit", "100000", "--prepare-threshold", "2")
    with run_proxy(pg, *flags) as running:
        yield running


@pytest.fixture
def people(admin: psycopg.Connection) -> Iterator[None]:
    """An empty table `people` with a unique address, dropped after the test."""
    admin.execute("CREATE TABLE people (id serial PRIMARY KEY, email text CONSTRAINT people_email UNIQUE, n int)")
    yield
    admin.execute("DROP TABLE people")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    """A thread pool for blocking clients."""
    with ThreadPoolExecutor(16) as pool:
        yield pool


@pytest.fixture
def background(threads: ThreadPoolExecutor) -> Background:
    """A function that posts a statement in a thread."""
    return lambda proxy, query: threads.submit(proxy.sql, query)
