"""The search for secrets in the output and responses of the end-to-end stacks."""

import json
import time
from typing import get_type_hints

import httpx
import pytest

from signup.log import Fields
from tests.e2e.canaries import LeakError, search_responses, search_stack
from tests.e2e.conftest import PASSWORD, Running, new_email

# The prefix of a request's log line in the stack's output.
REQUEST = 'wrangler | {"event":"request"'


def leaks(worker: Running) -> list[str]:
    """Return lines that must never be printed: each contains personal data or a secret."""
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


def test_a_secret_in_the_output_or_a_log_file_is_found(worker: Running) -> None:
    """The stack's own output contains no secret; each added line is found."""
    assert worker.sign_up().status_code == 201
    search_stack(worker.stack, worker.lines)
    log = worker.stack.options.state / "config" / "canary.log"
    for line in leaks(worker):
        with pytest.raises(LeakError):
            search_stack(worker.stack, [*worker.lines, line])
        log.write_text(line)
        with pytest.raises(LeakError):
            search_stack(worker.stack, worker.lines)
        log.unlink()


def test_a_secret_in_a_response_is_found(worker: Running) -> None:
    """Bodies and headers are searched; the user's own data may appear only in a 201 and in form fields."""
    search = search_responses(worker.stack)
    for line in leaks(worker):
        for response in (httpx.Response(409, text=line), httpx.Response(409, headers={"x-a": line})):
            with pytest.raises(LeakError):
                search(response)
    search(httpx.Response(201, json={"user": {"name": "Ada", "email": new_email()}}))
    field = f'<input id="email" value="{new_email()}">'
    search(httpx.Response(422, html=field))
    for response in (
        httpx.Response(422, text=field),
        httpx.Response(422, html=f"<p>{new_email()}</p>"),
        httpx.Response(422, html=f'<input value="{PASSWORD}">'),
    ):
        with pytest.raises(LeakError):
            search(response)


def test_the_log_line_of_a_request_has_only_known_fields(worker: Running) -> None:
    """The known fields are those of `signup.log`, except the fields of e-mails, which only `MAIL_URL=log:` logs."""
    known_fields = {"event", "level", *get_type_hints(Fields)} - {"to", "subject", "text"}
    worker.sign_up(email="no-address")
    worker.client.get("/health")
    deadline = time.monotonic() + 10
    entries: list[dict[str, object]] = []
    # A log line may arrive after the response.
    while not {"GET /health", "POST /"} <= {entry.get("route") for entry in entries}:
        assert time.monotonic() < deadline
        entries = [json.loads(line.partition("| ")[2]) for line in worker.lines if line.startswith(REQUEST)]
        time.sleep(0.02)
    for entry in entries:
        assert set(entry) <= known_fields
        assert {"request_id", "status", "duration_ms"} <= set(entry)
