"""Every sign-up that was confirmed with 201 is in the database, even if Postgres or sqlproxy crashes."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import NamedTuple

import httpx

from tests.e2e.chaos import crash_postgres, kill_proxy, restart_postgres
from tests.e2e.conftest import Running, new_email

CLIENTS = 6


class Outcome(NamedTuple):
    """The result of one sign-up; status 0 means that there was no response."""

    email: str
    status: int
    start: float
    end: float


def sign_up_until(stop: Event, worker: Running) -> list[Outcome]:
    """Sign up new users one after the other until `stop` is set."""
    outcomes = []
    while not stop.is_set():
        email, start = new_email(), time.monotonic()
        try:
            status = worker.sign_up(email=email).status_code
        except httpx.HTTPError:
            status = 0
        outcomes.append(Outcome(email, status, start, time.monotonic()))
        if status != 201:
            time.sleep(0.1)
    return outcomes


def test_every_201_has_exactly_one_row(worker: Running) -> None:
    """Under load, Postgres is restarted, sqlproxy is killed, and Postgres crashes."""
    sign_up_under_chaos(worker, restart_postgres, kill_proxy, crash_postgres)


def sign_up_under_chaos(worker: Running, *faults: Callable[[Running], None]) -> None:
    """Sign users up under load while faults occur; check that every 201 has exactly one row.

    A user without a 201 may have one row, because a statement may be executed although its response is lost.
    """
    stop = Event()
    fault_times: list[float] = []
    with ThreadPoolExecutor(CLIENTS) as threads:
        clients = [threads.submit(sign_up_until, stop, worker) for _ in range(CLIENTS)]
        try:
            for inject in faults:
                time.sleep(0.75)
                fault_times.append(time.monotonic())
                inject(worker)
            deadline = time.monotonic() + 30
            while worker.client.get("/ready").status_code != 200:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            time.sleep(0.75)
        finally:
            stop.set()
    outcomes = [outcome for client in clients for outcome in client.result()]
    rows = dict(worker.rows('SELECT email, count(*) FROM "User" GROUP BY email'))
    assert {outcome.status for outcome in outcomes} <= {0, 201, 503, 504}
    assert not [outcome for outcome in outcomes if outcome.status == 201 and rows.get(outcome.email) != 1]
    assert not [outcome for outcome in outcomes if rows.get(outcome.email, 0) > 1]
    # Sign-ups were in progress at each fault, and most sign-ups succeeded.
    for fault_time in fault_times:
        assert [outcome for outcome in outcomes if outcome.start < fault_time < outcome.end]
    assert [outcome.status for outcome in outcomes].count(201) > len(outcomes) / 2
