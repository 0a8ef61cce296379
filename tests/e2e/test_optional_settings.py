"""Settings that are off by default: concealed duplicates, CORS, refused domains, terms and extra fields."""

import uuid
from pathlib import Path

from tests.counts import count
from tests.e2e.conftest import AGREED, LISTED, PASSWORD, Running, new_email
from tests.e2e.schemathesis_run import run_schemathesis

PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
# The maximum number of Schemathesis' examples per operation and phase.
EXAMPLES = count(2, 20)


def test_concealment_gives_new_and_known_addresses_the_same_response(worker: Running, configured: Running) -> None:
    """Status, body and headers are equal, except request id and date. Two sign-ups with one address create one user."""
    email = new_email()
    responses = [configured.sign_up(email=address, **AGREED) for address in (email, email, new_email())]
    assert {(response.status_code, response.text) for response in responses} == {(202, '{"msg":"Sign-up accepted"}')}
    varying = {"x-request-id", "date"}
    assert (
        len(
            {
                tuple(item for item in sorted(response.headers.items()) if item[0] not in varying)
                for response in responses
            }
        )
        == 1
    )
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]


def test_a_listed_origin_may_sign_up(worker: Running, configured: Running) -> None:
    """The preflight, the sign-up and the request for an e-mail get CORS headers.

    A request from another origin is refused, without these headers.
    """
    email = new_email()
    preflight = configured.client.options("/", headers={**PREFLIGHT, "origin": LISTED})
    accepted = configured.client.post(
        "/",
        json={"name": "Ada", "email": email, "password": "correct horse battery staple", **AGREED},
        headers={"origin": LISTED, "sec-fetch-site": "cross-site"},
    )
    resent = configured.client.post("/verify/resend", json={"email": email}, headers={"origin": LISTED})
    foreign = configured.client.post("/", json={}, headers={"origin": "https://evil.example"})
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-headers"] == "content-type, idempotency-key"
    for response in (preflight, accepted, resent):
        assert response.headers["access-control-allow-origin"] == LISTED
    assert (accepted.status_code, foreign.status_code) == (202, 403)
    assert worker.rows('SELECT count(*) FROM "User" WHERE email = %s', email) == [(1,)]
    assert "access-control-allow-origin" not in foreign.headers


def test_addresses_of_refused_domains_are_rejected(configured: Running) -> None:
    """Blocked domains, subdomains of a blocked wildcard, and disposable domains get the same error; others get 202."""
    for domain in ("B\u00dcCHER.example", "mail.example.org", "mailinator.com", "anything.mailinator.com"):
        response = configured.sign_up(email=f"ada@{domain}", **AGREED)
        errors = [(error["pointer"], error["code"]) for error in response.json()["errors"]]
        assert (response.status_code, errors) == (422, [("/email", "email_domain_refused")])
    for domain in ("example.org", "duck.com", "b\u00fccher2.example"):
        assert configured.sign_up(email=f"{uuid.uuid4().hex}@{domain}", **AGREED).status_code == 202


def test_terms_and_extra_fields_are_stored(worker: Running, configured: Running) -> None:
    """A missing or invalid value is an error at its field, even if duplicates are concealed."""
    email = new_email()
    extra = {"plan": "team", "seats": 2**8, "company": "canaryname a\u0308"}
    assert configured.sign_up(email=email, terms="2026-11", extra=extra).status_code == 202
    query = 'SELECT terms_version, terms_accepted_at = created_at, extra FROM "User" WHERE email = %s'
    assert worker.rows(query, email) == [("2026-11", True, {**extra, "company": "canaryname \u00e4"})]
    response = configured.sign_up(terms="2026-10", extra={"seats": True, "company": "x" * 15_000})
    errors = [(error["pointer"], error["code"]) for error in response.json()["errors"]]
    assert errors == [
        ("/extra/company", "too_long"),
        ("/extra/seats", "not_an_integer"),
        ("/extra/plan", "required"),
        ("/terms", "terms_outdated"),
    ]


def test_a_repeated_request_must_have_the_same_extra_fields(worker: Running, strict: Running) -> None:
    """The replay returns the stored fields. Other values, fewer fields or no fields are an idempotency mismatch."""
    body = {"name": "Ada", "email": new_email(), "password": PASSWORD[::-1]}
    extra = {"seats": 3, "newsletter": False, "company": "Navy"}
    headers = {"idempotency-key": body["email"]}
    responses = [
        strict.post_patiently(body | {"extra": each}, headers)
        for each in (extra, dict(reversed(extra.items())), extra | {"seats": 4}, {"seats": 3}, {})
    ]
    responses.append(strict.post_patiently(body, headers))
    assert [response.status_code for response in responses] == [201, 201, 422, 422, 422, 422]
    assert [response.json()["user"]["extra"] for response in responses[:2]] == [extra, extra]
    assert {response.json()["code"] for response in responses[2:]} == {"idempotency_mismatch"}
    query = 'SELECT extra, terms_version FROM "User" WHERE email = %s'
    assert worker.rows(query, body["email"]) == [(extra, None)]


def test_the_worker_matches_the_openapi_document_of_its_settings(configured: Running, tmp_path: Path) -> None:
    """Schemathesis finds no difference; a sign-up gets 202, and a taken address is not revealed."""
    # Other paths do not depend on these settings, except /verify/remove, which has the parameters of /verify.
    paths = ("--include-path-regex", "^/(verify|verify/resend)?$")
    status, printed, statuses = run_schemathesis(
        f"{configured.stack.base_url}/openapi.json", tmp_path, EXAMPLES, *paths
    )
    assert status == 0, printed
    # A 403 requires a generated Origin header, which not every run has; tests/unit/web/test_cors.py covers this status.
    assert {200, 202, 204, 400, 405, 415, 422} <= statuses.keys()
    assert {201, 409}.isdisjoint(statuses)
