"""The search that every end-to-end test's stack goes through finds what it looks for."""

import json

import httpx
import pytest

from tests.e2e.canaries import LeakError, search_answers, search_stack
from tests.e2e.conftest import PASSWORD, Running, new_email

# How the stack shows a line of the Worker's log.
REQUEST = 'wrangler | {"event":"request"'


def leaks(worker: Running) -> list[str]:
    """Return lines that must never be printed, one for each kind of secret."""
    ((stored,),) = worker.rows('SELECT password FROM "User" LIMIT 1')
    return [
        f"Key (email)=({new_email()}) already exists.",
        '{"event": "request", "name": "Ada"}',
        f"parameters: $3 = '{stored}'",
        f"unexpected: {PASSWORD}",
        f"authorization: Bearer {worker.proxy.username}",
        f"could not connect to {worker.stack.database_url}",
        f"could not connect to {worker.stack.login_url}",
    ]


def test_a_leak_is_found(worker: Running) -> None:
    """Of each kind, among what the parts print and in wrangler's own logs; and what was printed so far has none."""
    assert worker.sign_up().status_code == 201
    search_stack(worker.stack, worker.lines)
    kept = worker.stack.options.state / "config" / "canary.log"
    for line in leaks(worker):
        with pytest.raises(LeakError):
            search_stack(worker.stack, [*worker.lines, line])
        kept.write_text(line)
        with pytest.raises(LeakError):
            search_stack(worker.stack, worker.lines)
        kept.unlink()


def test_a_leak_in_an_answer_is_found(worker: Running) -> None:
    """In its body and in its headers; the user's own data only where there is a new user."""
    search = search_answers(worker.stack)
    for line in leaks(worker):
        for answer in (httpx.Response(409, text=line), httpx.Response(409, headers={"x-a": line})):
            with pytest.raises(LeakError):
                search(answer)
    search(httpx.Response(201, json={"user": {"name": "Ada", "email": new_email()}}))
    field = f'<input id="email" value="{new_email()}">'
    search(httpx.Response(422, html=field))
    for answer in (
        httpx.Response(422, text=field),
        httpx.Response(422, html=f"<p>{new_email()}</p>"),
        httpx.Response(422, html=f'<input value="{PASSWORD}">'),
    ):
        with pytest.raises(LeakError):
            search(answer)


def test_a_log_line_has_only_known_members(worker: Running) -> None:
    """A new one is a decision of its own: what it may hold has to be thought of."""
    known = {"event", "request_id", "route", "status", "duration_ms", "country", "colo", "code", "reason"}
    worker.sign_up(email="nobody")
    worker.client.get("/health")
    entries = [json.loads(line.partition("| ")[2]) for line in worker.lines if line.startswith(REQUEST)]
    assert {"GET /health", "POST /"} <= {entry.get("route") for entry in entries}
    for entry in entries:
        assert set(entry) <= known | {"sqlstate", "constraint", "exception", "traceback"}
        assert {"request_id", "status", "duration_ms"} <= set(entry)
