"""Pages and the Worker, with what browsers send."""

from pathlib import Path

from tests.e2e.conftest import Running, behind_a_relay

LISTED = "https://www.example.com"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}


def test_by_default_only_our_own_pages_may_post(worker: Running) -> None:
    """A foreign page is refused with what each browser sends, a preflight gets nothing; our own page is let in."""
    body = {"name": "Ada", "email": "nobody", "password": "x"}
    own = worker.stack.base_url
    statuses = {
        "foreign": worker.client.post("/", json=body, headers={"origin": LISTED}).status_code,
        "cross-site": worker.client.post("/", json=body, headers={"sec-fetch-site": "cross-site"}).status_code,
        "form": worker.client.post("/", data=body, headers={"origin": LISTED}).status_code,
        "ours": worker.client.post(
            "/", json=body, headers={"origin": own, "sec-fetch-site": "same-origin"}
        ).status_code,
        "preflight": worker.client.options("/", headers={**PREFLIGHT, "origin": LISTED}).status_code,
    }
    assert statuses == {"foreign": 403, "cross-site": 403, "form": 403, "ours": 422, "preflight": 405}


def test_a_listed_page_may(worker: Running, state: Path) -> None:
    """Preflight, sign-up and refusal as a browser needs them."""
    with behind_a_relay(worker, state / "origins", CORS_ORIGINS=LISTED) as (listing, _):
        preflight = listing.client.options("/", headers={**PREFLIGHT, "origin": LISTED})
        good = listing.client.post(
            "/",
            json={"name": "Ada", "email": "page@example.com", "password": "correct horse battery staple"},
            headers={"origin": LISTED, "sec-fetch-site": "cross-site"},
        )
        foreign = listing.client.post("/", json={}, headers={"origin": "https://evil.example"})
    assert (preflight.status_code, preflight.content) == (204, b"")
    assert preflight.headers["access-control-allow-headers"] == "content-type, idempotency-key"
    for answer in (preflight, good):
        assert answer.headers["access-control-allow-origin"] == LISTED
    assert (good.status_code, foreign.status_code) == (201, 403)
    assert "access-control-allow-origin" not in foreign.headers
