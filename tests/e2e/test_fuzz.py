"""A short run of `make fuzz`, and tests of its checks."""

import random

import pytest

from fuzz.requests import FORM, Request
from fuzz.worker import find_violation, fuzz
from tests.counts import LONG, count
from tests.e2e.conftest import Running


def test_generated_requests_get_responses_within_the_contract(worker: Running) -> None:
    """No response violates the contract, and no line of the output reports an error.

    `make test` always sends the same requests, which get all of these statuses. `make test-long` prints its seed.
    """
    seed = random.SystemRandom().randrange(10**6) if LONG else 1
    print("seed", seed)  # noqa: T201 - needed to repeat the run
    statuses, violations = fuzz(worker, count(250, 10_000), seed)
    assert not violations, "\n".join(violations)
    assert {"400", "405", "404", "415", "422", "413"} <= statuses.keys()
    assert statuses["none"] < 50


PROBLEM = b'{"type":"x","title":"x","status":422,"detail":"x","instance":"x","code":"validation_failed"}'
HEADERS = {
    "x-request-id": "x",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-type": "application/problem+json",
}


@pytest.mark.parametrize(
    ("status", "headers", "content", "wrong"),
    [
        (422, HEADERS, PROBLEM, False),
        (500, HEADERS, PROBLEM, True),
        (422, HEADERS, b"{}", True),
        (422, {**HEADERS, "content-type": "text/html"}, PROBLEM, True),
        (422, {**HEADERS, "cache-control": "public"}, PROBLEM, True),
        (500, HEADERS, PROBLEM.replace(b"validation_failed", b"internal").replace(b"422", b"500"), True),
        (200, {"content-type": "application/json"}, PROBLEM, True),
        (422, {**HEADERS, "content-type": "text/html"}, b"</html>\n", True),
    ],
)
def test_a_response_outside_the_contract_is_detected(
    status: int, headers: dict[str, str], content: bytes, wrong: bool
) -> None:
    """A wrong status, media type or header, a missing member, or an internal error is detected."""
    sent = Request("POST", "/", b"", {"content-type": "application/json"})
    assert bool(find_violation(sent, status, headers, content)) is wrong


@pytest.mark.parametrize(
    ("status", "content", "wrong"),
    [
        (422, b"</html>\n", False),
        (500, b"</html>\n", True),
        (418, b"</html>\n", True),
        (422, b"<script></html>\n", True),
    ],
)
def test_a_page_outside_the_contract_is_detected(status: int, content: bytes, wrong: bool) -> None:
    """A wrong status, an internal error, or unescaped markup is detected."""
    sent = Request("POST", "/", b"", {"content-type": FORM})
    assert bool(find_violation(sent, status, {**HEADERS, "content-type": "text/html; charset=utf-8"}, content)) is wrong
