"""Cross-origin requests with the headers that browsers send; test_optional_settings.py tests CORS_ORIGINS."""

from tests.e2e.conftest import Running

FOREIGN = "https://www.example.com"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}


def test_cross_origin_requests_are_refused_by_default(worker: Running) -> None:
    """Requests from another origin get 403, a preflight gets 405, and a same-origin request is processed."""
    body = {"name": "Ada", "email": "no-address", "password": "x"}
    own_origin = worker.stack.base_url
    statuses = {
        "foreign": worker.client.post("/", json=body, headers={"origin": FOREIGN}).status_code,
        "cross-site": worker.client.post("/", json=body, headers={"sec-fetch-site": "cross-site"}).status_code,
        "form": worker.client.post("/", data=body, headers={"origin": FOREIGN}).status_code,
        "own": worker.client.post(
            "/", json=body, headers={"origin": own_origin, "sec-fetch-site": "same-origin"}
        ).status_code,
        "preflight": worker.client.options("/", headers={**PREFLIGHT, "origin": FOREIGN}).status_code,
    }
    assert statuses == {"foreign": 403, "cross-site": 403, "form": 403, "own": 422, "preflight": 405}
