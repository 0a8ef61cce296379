"""Sample the number of client connections in pg_stat_activity."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import psycopg

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["Activity", "Moment", "count"]

_PERIOD_SECONDS = 0.025
# Without the superuser's, which are the benchmark's own. Connections that are still logging in, whose role is not yet
# known, are counted.
_COUNT = """\
SELECT count(*), array_agg(pid) FILTER (WHERE usename IS NOT NULL AND state <> 'starting') FROM pg_stat_activity
WHERE backend_type = 'client backend' AND usename IS DISTINCT FROM current_user
"""


class Moment(NamedTuple):
    """One sample.

    Attributes:
        at: seconds since the first sample.
        connections: number of client connections, without the superuser's.
    """

    at: float
    connections: int


def count(admin: psycopg.Connection) -> tuple[int, list[int]]:
    """Return the number of client connections, and the server's process ids of those that have logged in."""
    row = admin.execute(_COUNT).fetchone()
    assert row is not None  # noqa: S101 - an aggregate has one row
    return row[0], row[1] or []


class Activity:
    """Samples pg_stat_activity while the block runs, on a connection that is reserved for superusers.

    Args:
        url: URL of Postgres for its superuser.

    Attributes:
        moments: the samples.
        processes: the server's process ids of all connections in the samples.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll)
        self._failure: psycopg.Error | None = None
        self.moments: list[Moment] = []
        self.processes: set[int] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()
        if self._failure is not None and exc is None:
            raise self._failure

    def _poll(self) -> None:
        try:
            with psycopg.connect(self._url, autocommit=True) as admin:
                started_at = time.perf_counter()
                while not self._stop.wait(_PERIOD_SECONDS):
                    connections, processes = count(admin)
                    self.moments.append(Moment(time.perf_counter() - started_at, connections))
                    self.processes.update(processes)
        except psycopg.Error as error:
            self._failure = error
