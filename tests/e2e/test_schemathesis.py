"""Schemathesis generates requests from the OpenAPI document and validates the Worker's responses against it.

Schemathesis also sends methods, media types, parameters and bodies that the document does not allow. It checks status,
headers, media type and schema, and that invalid data is rejected.
"""

from pathlib import Path

from devstack.setup.bootstrap import ROOT
from tests.counts import count
from tests.e2e.conftest import Running
from tests.e2e.schemathesis_run import run_schemathesis

# The maximum number of examples per operation and phase. EXAMPLES is low because each sign-up hashes a password; FEW is
# enough to detect a wrong document.
EXAMPLES, FEW = count(8, 30), count(2, 10)


def test_the_worker_matches_its_openapi_document(worker: Running, tmp_path: Path) -> None:
    """Schemathesis finds no difference, and receives responses with each of seven statuses."""
    # The sign-up in the document's example succeeds only once.
    worker.rows("DELETE FROM \"User\" WHERE email = 'grace@example.org' RETURNING id")
    status, printed, statuses = run_schemathesis(f"{worker.stack.base_url}/openapi.json", tmp_path, EXAMPLES)
    assert status == 0, printed
    assert {200, 201, 400, 404, 405, 415, 422} <= statuses.keys()


def test_schemathesis_detects_a_wrong_document(worker: Running, tmp_path: Path) -> None:
    """A wrong type in a schema and a missing status are both reported."""
    text = (ROOT / "docs/openapi.json").read_text()
    for old, new in (('"type": "integer"', '"type": "boolean"'), ('"422": {', '"421": {')):
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / "openapi.json"
    file.write_text(text)
    url = ("--url", worker.stack.base_url, "--include-method", "POST")
    status, printed, _ = run_schemathesis(str(file), tmp_path, FEW, *url)
    assert status == 1
    for wrong in ("Response violates schema", "Undocumented status code"):
        assert wrong in printed
