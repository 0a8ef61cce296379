"""The HTTP contract in the README's tables, tested on workerd."""

import http.client
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from signup.fields.models import STORED
from signup.i18n.catalog import LANGUAGES
from tests.e2e.conftest import PASSWORD, Running, new_email

JSON = {"content-type": "application/json"}


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Check that a response is a problem with this status and code in the format of RFC 9457; return its members."""
    members: dict[str, Any] = response.json()
    assert (response.status_code, members["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "detail", "instance", "code"} <= members.keys()
    assert members["status"] == status
    assert members["instance"] == response.headers["x-request-id"]
    return members


def test_a_sign_up_creates_one_row_in_postgres(worker: Running) -> None:
    """The 201 contains the user, and the row contains a password hash; test_passwords.py checks the hash."""
    email = new_email()
    before = datetime.now(UTC)
    response = worker.sign_up(name="  Ada ", email=email.upper())
    assert response.status_code == 201
    body = response.json()
    assert body.keys() == {"msg", "user"}
    assert body["msg"] == "User created"
    assert body["user"].keys() == {"id", *STORED, "created_at"}
    assert response.headers["content-type"] == "application/json"
    ((user_id, name, stored, created_at),) = worker.rows(
        'SELECT id, name, password, created_at FROM "User" WHERE email = %s', email
    )
    assert (body["user"]["id"], body["user"]["name"], body["user"]["email"]) == (user_id, "Ada", email)
    assert body["user"]["created_at"].endswith("Z")
    assert datetime.fromisoformat(body["user"]["created_at"]) == created_at.replace(
        microsecond=created_at.microsecond // 1000 * 1000
    )
    assert abs((created_at - before).total_seconds()) < 60
    assert name == "Ada"
    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("{}@example.com", "{}@EXAMPLE.com"),
        ("ada{}@example.com", "ADA{}@example.com"),
        ("jos\u00e9{}@example.com", "JOSE\u0301{}@example.com"),
        ("{}@b\u00fccher.example.com", "{}@xn--bcher-kva.example.com"),
        ("{}@\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com", "{}@xn--mgba3gch31f060k.com"),
        ("{}.\u0393\u0391\u03a3.\u0394\u0391@example.com", "{}.\u03b3\u03b1\u03c2.\u03b4\u03b1@example.com"),
    ],
)
def test_an_equivalent_address_gets_409(worker: Running, first: str, second: str) -> None:
    """The same address in another letter case, Unicode form or IDNA form creates no second row."""
    unique = new_email().split("@")[0]
    assert worker.sign_up(email=first.format(unique)).status_code == 201
    problem(worker.sign_up(email=second.format(unique)), 409, "email_taken")
    assert worker.rows('SELECT count(*) FROM "User" WHERE email LIKE %s', f"%{unique}%") == [(1,)]


def test_invisible_characters_that_a_name_needs_are_kept(worker: Running) -> None:
    """Joiners, zero-width spaces and variation selectors are kept where a script or an emoji needs them.

    Invisible characters around name and address are removed.
    """
    for name in (
        "\u09b0\u200d\u09cd\u09af\u09be",
        "\u0645\u062d\u0645\u0651\u200c\u0631\u0636\u0627 \u0639\u0644\u06cc\u200c \u0631",
        "\u179f\u17bb\u1781\u200b\u1785\u17b6\u1793\u17cb \u1834\u1820\u1836\u180e\u1820 \u182a\u1820\u180b\u1822",
        "\u845b\U000e0100\u57ce \U0001f469\u200d\u2764\ufe0f\u200d\U0001f468",
    ):
        email = new_email()
        assert worker.sign_up(name=f"\ufeff\u200f {name}\u200e", email=f"\u200b{email}\ufeff").status_code == 201
        assert worker.rows('SELECT name FROM "User" WHERE email = %s', email) == [(name,)]


@pytest.mark.parametrize(
    ("email", "code"),
    [
        ("{}\ufe0f@example.com", "invisible_character"),
        ("{}\u3164@example.com", "invisible_character"),
        ("\uff41{}@example.com", "compatibility_character"),
        ("{}@example.test", "reserved_domain"),
        ("{}@home.arpa", "reserved_domain"),
        ("{}" + "x" * 33 + "@example.com", "not_an_email_address"),
        ("\u00e9" * 17 + "{}@example.com", "not_an_email_address"),
        ("{}@example.com\x1f", "not_an_email_address"),
        ("{}@example.com\n", "not_an_email_address"),
        ("{}@example.com\u2028", "not_an_email_address"),
    ],
)
def test_an_unusable_address_gets_422(worker: Running, email: str, code: str) -> None:
    """The cases are invisible, compatibility and control characters, reserved domains, and long local parts."""
    response = worker.sign_up(email=email.format(new_email().split("@")[0]))
    members = problem(response, 422, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in members["errors"]] == [("/email", code)]


def test_validation_lists_every_failing_field(worker: Running) -> None:
    """Each invalid or unknown field has an error with a pointer; the response does not repeat the values."""
    response = worker.sign_up(name="\u0007canary", email="canary", password="canary")
    members = problem(response, 422, "validation_failed")
    assert [error["pointer"] for error in members["errors"]] == ["/name", "/email", "/password"]
    assert "canary" not in response.text
    members = problem(worker.sign_up(role="admin"), 422, "validation_failed")
    assert [(error["pointer"], error["code"]) for error in members["errors"]] == [("/role", "unknown_field")]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b'"x"', b'{"name":"a","name":"b"}', b'{"name":NaN}', b'{"name":"\xff"}'),
        *('{"name":"\u00fc"}'.encode("utf-16"), b"[" * 16000, b'{"a":' * 3000, rb'{"name":"\ud800"}'),
    ],
)
def test_malformed_json_gets_400(worker: Running, body: bytes) -> None:
    """The cases include nesting that would overflow the stack of WebAssembly."""
    problem(worker.client.post("/", content=body, headers=JSON), 400, "malformed_json")


def test_a_body_larger_than_16_kib_gets_413(worker: Running) -> None:
    """The limit applies with and without content-length; a body of exactly 16 KiB is accepted."""
    fields = json.dumps({"name": "Ada", "email": new_email(), "password": PASSWORD}).encode()
    full = fields + b" " * (16 * 1024 - len(fields))

    def pieces(body: bytes) -> Iterator[bytes]:
        yield from (body[start : start + 1000] for start in range(0, len(body), 1000))

    problem(worker.client.post("/", content=full + b" ", headers=JSON), 413, "body_too_large")
    problem(worker.client.post("/", content=pieces(full + b" "), headers=JSON), 413, "body_too_large")
    assert worker.client.post("/", content=pieces(full), headers=JSON).status_code == 201


def test_a_huge_body_is_rejected_before_it_is_complete(worker: Running) -> None:
    """The response arrives although most of the body has not been sent."""
    connection = http.client.HTTPConnection("127.0.0.1", worker.stack.options.port, timeout=30)
    connection.putrequest("POST", "/")
    connection.putheader("content-type", "application/json")
    connection.putheader("content-length", str(10**9))
    connection.endheaders()
    connection.send(b" " * 20_000)
    response = connection.getresponse()
    assert response.status == 413
    connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "multipart/form-data; boundary=x"},
        {"content-type": "application/json; v=1; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
    ],
)
def test_unsupported_media_types_charsets_and_encodings_get_415(worker: Running, headers: dict[str, str]) -> None:
    """Only JSON and forms are accepted, in UTF-8 and without a content encoding."""
    response = worker.client.post("/", content=b"{}", headers=headers)
    problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        *((method, "/", "POST, GET, HEAD") for method in ("PUT", "PATCH", "DELETE", "OPTIONS")),
        ("POST", "/health", "GET, HEAD"),
        ("PUT", "/ready", "GET, HEAD"),
    ],
)
def test_unsupported_methods_get_405(worker: Running, method: str, path: str, allow: str) -> None:
    """The Allow header lists the supported methods."""
    response = worker.client.request(method, path)
    problem(response, 405, "method_not_allowed")
    assert response.headers["allow"] == allow


def test_media_type_parameters_other_than_charset_are_ignored(worker: Running) -> None:
    """The Worker reads only `charset`, and ignores that word inside the quoted value of another parameter."""
    for parameter in ("v=1", 'profile="https://example.com/;charset=latin-1"', "odata=verbose; charset=UTF-8", "utf-8"):
        response = worker.client.post("/", content=b"{}", headers={"content-type": f"application/json; {parameter}"})
        problem(response, 422, "validation_failed")


def test_a_token_is_an_unknown_field_without_turnstile(worker: Running) -> None:
    """The field `cf-turnstile-response` is rejected even if its value is null or empty."""
    for token in (None, "", "x"):
        members = problem(worker.sign_up(**{"cf-turnstile-response": token}), 422, "validation_failed")
        assert [(error["pointer"], error["code"]) for error in members["errors"]] == [
            ("/cf-turnstile-response", "unknown_field")
        ]


def test_many_unknown_fields_get_a_short_response(worker: Running) -> None:
    """At most 50 errors are listed, so the response is shorter than the body."""
    body = b"{" + b",".join(b'"%d":0' % number for number in range(1900)) + b"}"
    assert 15_000 < len(body) < 16 * 1024
    response = worker.client.post("/", content=body, headers=JSON)
    assert len(problem(response, 422, "validation_failed")["errors"]) == 50
    assert len(response.content) < 5000


def test_accept_language_weights_are_honoured(worker: Running) -> None:
    """`*` stands for every language that the header does not name."""
    for accepted, language in (("*;q=0.9, en;q=0.1", LANGUAGES[1]), ("*;q=0.1, en;q=0.9", "en")):
        response = worker.client.post("/", content=b"{}", headers=JSON | {"accept-language": accepted})
        assert response.headers["content-language"] == language


def test_unknown_paths_get_404(worker: Running) -> None:
    """A query string does not change the route."""
    problem(worker.client.post("/users", json={}), 404, "not_found")
    assert worker.client.get("/health?x=1").status_code == 200


def test_health_and_ready_respond_200(worker: Running) -> None:
    """The response to HEAD has no body."""
    for path in ("/health", "/ready"):
        assert worker.client.get(path).status_code == 200
        head = worker.client.head(path)
        assert (head.status_code, head.content) == (200, b"")


def test_responses_have_the_common_headers(worker: Running) -> None:
    """Each response has a unique request id, and disables caching and media type sniffing."""
    responses = [worker.sign_up(), worker.sign_up(name=""), worker.client.get("/"), worker.client.get("/health")]
    for response in responses:
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
    assert len({response.headers["x-request-id"] for response in responses}) == len(responses)


def test_each_request_has_one_log_line(worker: Running) -> None:
    """The line has the request id, status and code of the response."""
    response = worker.sign_up(name="")
    request_id = response.headers["x-request-id"]
    deadline = time.monotonic() + 10
    log_lines: list[str] = []
    while not log_lines and time.monotonic() < deadline:
        log_lines = [line.partition("| ")[2] for line in worker.lines if request_id in line]
        time.sleep(0.05)
    (line,) = log_lines
    assert json.loads(line).items() >= {"status": 422, "code": "validation_failed"}.items()
