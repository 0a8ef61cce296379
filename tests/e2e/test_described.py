"""The API's own description, as the Worker serves it."""

import httpx

from signup.openapi import document
from tests.e2e.conftest import Running
from tests.fakes import SETTINGS


def test_the_worker_describes_itself(worker: Running) -> None:
    """The document that CPython makes of the same settings, as JSON."""
    answer = worker.client.get("/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == document(SETTINGS)
    head = worker.client.head("/openapi.json")
    assert (head.status_code, head.content) == (200, b"")


def test_the_type_of_a_problem_leads_somewhere(worker: Running) -> None:
    """Resolved against the request's URL, as RFC 9457 has it."""
    answer = worker.sign_up(name="")
    found = worker.client.get(httpx.URL(str(answer.url)).join(answer.json()["type"]))
    assert (found.status_code, found.json()["code"]) == (200, "validation_failed")
    assert found.json().items() <= answer.json().items()
