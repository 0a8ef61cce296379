"""The OpenAPI document that the Worker serves, and the validation of responses against it."""

import json

import httpx
import pytest

from signup.openapi.document import document
from tests.described import Described
from tests.e2e.conftest import Running
from tests.e2e.openapi_hook import NotDescribedError, validate
from tests.fakes import SETTINGS


def test_the_worker_serves_its_openapi_document(worker: Running) -> None:
    """The served document equals the one that CPython generates for the same settings."""
    response = worker.client.get("/openapi.json")
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == document(SETTINGS)
    head = worker.client.head("/openapi.json")
    assert (head.status_code, head.content) == (200, b"")


def test_the_type_of_a_problem_is_a_working_url(worker: Running) -> None:
    """The relative URL is resolved against the request's URL, as RFC 9457 requires."""
    response = worker.sign_up(name="")
    description = worker.client.get(httpx.URL(str(response.url)).join(response.json()["type"]))
    assert (description.status_code, description.json()["code"]) == (200, "validation_failed")
    assert description.json().items() <= response.json().items()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"422": {', '"421": {', "is not described with 422"),
        ('"errors": {"type": "array"', '"errors": {"type": "string"', "errors"),
        ('"const": "validation_failed"', '"const": "invalid"', "code"),
        ('"application/problem+json"', '"application/problem"', r"application/problem\+json is not described"),
        ('"const": "no-store"', '"const": "public"', '"public" was expected'),
    ],
)
def test_a_wrong_description_of_a_response_is_detected(worker: Running, old: str, new: str, message: str) -> None:
    """A wrong status, type, code, media type or header is detected; the correct document passes."""
    response = worker.sign_up(name="")
    correct = json.dumps(document(SETTINGS))
    assert old in correct
    validate(response, Described(json.loads(correct)))
    with pytest.raises(NotDescribedError, match=message):
        validate(response, Described(json.loads(correct.replace(old, new))))


def test_the_test_client_validates_responses(worker: Running) -> None:
    """A response that the document does not describe, such as a script, is an error, except HTML and plain text."""
    with pytest.raises(NotDescribedError, match=r"^GET /docs/init\.js 200: .*text/javascript.* is not described"):
        worker.client.get("/docs/init.js")
    assert worker.client.get("/docs/").status_code == 200
