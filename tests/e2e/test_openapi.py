"""The API's own description, as the Worker serves it, and as every answer of these tests is held against it."""

import json

import httpx
import pytest

from signup.openapi.document import document
from tests.described import Described
from tests.e2e.conftest import Running
from tests.e2e.openapi_hook import NotDescribedError, hold
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


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"422": {', '"421": {', "is not described with 422"),
        ('"errors": {"type": "array"', '"errors": {"type": "string"', "errors"),
        ('"const": "validation_failed"', '"const": "invalid"', "code"),
        ('"application/problem+json"', '"application/problem"', r"application/problem\+json is not described"),
        ('"const": "no-store"', '"const": "public"', '"public" was expected'),
    ],
)
def test_a_wrong_description_of_an_answer_is_noticed(worker: Running, old: str, new: str, said: str) -> None:
    """Another status, type, code, media type or header than the Worker's; the right one is taken."""
    answer = worker.sign_up(name="")
    right = json.dumps(document(SETTINGS))
    assert old in right
    hold(answer, Described(json.loads(right)))
    with pytest.raises(NotDescribedError, match=said):
        hold(answer, Described(json.loads(right.replace(old, new))))


def test_the_tests_own_clients_notice(worker: Running) -> None:
    """What the document does not tell of, such as a file of the page, is an error where they get it; a page is not."""
    with pytest.raises(NotDescribedError, match=r"^GET /docs/init\.js 200: .*text/javascript.* is not described"):
        worker.client.get("/docs/init.js")
    assert worker.client.get("/docs/").status_code == 200
