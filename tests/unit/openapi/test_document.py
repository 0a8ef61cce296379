"""The OpenAPI document; `tests.fakes.Client` also validates every response against it."""

import json
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from signup.guards.rate_limits import Limits
from signup.i18n.catalog import texts
from signup.openapi.document import VERSION, document
from signup.problems import (
    TABLE,
    BotCheckUnavailable,
    BreachCheckUnavailable,
    DatabaseError,
    Misconfigured,
    Problem,
    ProxyBusy,
    ProxyTimeout,
    ProxyUnavailable,
    TooBusy,
)
from signup.settings import Settings
from signup.verification.tokens import Claims, TokenSigner
from tests.described import Described
from tests.fakes import (
    ADA,
    ADA_WITH_FIELDS,
    INVITING,
    LATE,
    SETTINGS,
    VERIFYING,
    WITH_FIELDS,
    Client,
    Warnings,
    change,
    described,
    user_json,
    user_row,
)

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
FORM = {"content-type": "application/x-www-form-urlencoded"}
ALL_FEATURES = change(
    VERIFYING,
    turnstile_secret="canary-secret",
    turnstile_hostnames="www.example.com",
    breach_check="strict",
    cors_origins="https://www.example.com",
)
VERIFICATION = ("get /verify", "head /verify", "post /verify", "post /verify/remove", "post /verify/resend")


def operations(settings: Settings) -> dict[str, Any]:
    """Return the document's operations, by method and path."""
    paths = document(settings)["paths"]
    methods = ("get", "head", "post", "options")
    return {f"{m} {path}": item[m] for path, item in paths.items() for m in methods if m in item}


def codes(operation: dict[str, Any]) -> set[str]:
    """Return the codes for which an operation has an example."""
    contents = [response.get("content", {}) for response in operation["responses"].values()]
    return {code for content in contents for code in content.get("application/problem+json", {}).get("examples", ())}


def test_each_operation_has_the_codes_that_it_can_return() -> None:
    """The codes of a sign-up depend on the settings."""
    default = operations(SETTINGS)
    other_operations = {"not_found", "not_acceptable", "bad_verification_token", "verification_expired"}
    invitation = {"invitation_required", "bad_invitation"}
    optional = {"bot_check_unavailable", "breach_check_unavailable", "sign_ups_closed", *invitation}
    assert codes(default["post /"]) == TABLE.keys() - optional - other_operations
    assert (
        codes(operations(ALL_FEATURES)["post /"]) == TABLE.keys() - {"sign_ups_closed", *invitation} - other_operations
    )
    inviting = operations(INVITING)
    assert codes(inviting["post /"]) - codes(default["post /"]) == invitation
    assert [*inviting["get /"]["responses"]["403"]["content"]] == ["text/html"]
    assert codes(operations(change(SETTINGS, sign_up="closed"))["post /"]) - codes(default["post /"]) == {
        "sign_ups_closed"
    }
    assert codes(default["get /"]) == {"not_acceptable"}
    concealing = codes(operations(change(SETTINGS, duplicate_response="conceal"))["post /"])
    assert codes(default["post /"]) - concealing == {"email_taken", "idempotency_mismatch"}
    assert codes(default["get /health"]) == {"method_not_allowed"}
    assert codes(default["get /problems/{code}"]) == {"not_found", "method_not_allowed"}
    assert {"proxy_busy", "proxy_unavailable", "proxy_timeout", "rate_limited"} < codes(default["get /ready"])
    verifying = operations(ALL_FEATURES)
    preflights = {f"options {path}" for path in ("/", "/verify", "/verify/remove", "/verify/resend")}
    assert {*verifying} - {*default} == preflights | {*VERIFICATION}
    assert {"bad_verification_token", "verification_expired"} < codes(verifying["post /verify"])
    assert codes(verifying["post /verify"]) - codes(verifying["post /verify/resend"]) == {
        *("bad_verification_token", "verification_expired")
    }


def test_the_document_depends_on_the_settings() -> None:
    """The settings for passwords, addresses, the bot check, concealment, CORS and invitations change the document."""
    changed = change(ALL_FEATURES, password_min_length=8, email_subaddressing="refuse", duplicate_response="conceal")
    schemas = [document(each)["components"]["schemas"]["SignUpRequest"] for each in (SETTINGS, changed)]
    assert [schema["properties"]["password"]["minLength"] for schema in schemas] == [15, 8]
    assert ["cf-turnstile-response" in schema["properties"] for schema in schemas] == [False, True]
    assert ["cf-turnstile-response" in schema["required"] for schema in schemas] == [False, True]
    assert [schema["additionalProperties"] for schema in schemas] == [False, False]
    for settings, error_count in ((SETTINGS, 0), (changed, 1)):
        fields = {**ADA, "email": "ada+shop@example.com"}
        fields |= {"cf-turnstile-response": "x"} if settings.turnstile else {}
        reference = {"$ref": "#/components/schemas/SignUpRequest"}
        assert len(Described(document(settings)).find_schema_errors(reference, fields)) == error_count
    descriptions = [
        document(each)["components"]["schemas"]["SignUpRequest"]["properties"]["email"]["description"]
        for each in (SETTINGS, change(SETTINGS, email_domains_blocked="canary.example"))
    ]
    assert descriptions[1] == f"{descriptions[0]} Addresses of some domains are refused."
    success = [[s for s in operations(each)["post /"]["responses"] if s < "3"] for each in (SETTINGS, changed)]
    assert success == [["201"], ["202"]]
    assert ["options /" in operations(each) for each in (SETTINGS, changed)] == [False, True]
    inviting = document(INVITING)
    for name in ("SignUpRequest", "SignUpForm"):
        schema = inviting["components"]["schemas"][name]
        assert ("invitation" in schema["properties"], "invitation" in schema["required"]) == (True, True)
        assert "invitation" not in document(SETTINGS)["components"]["schemas"][name]["properties"]
    assert [each["name"] for each in inviting["paths"]["/"]["get"]["parameters"]] == ["invitation"]


def test_the_document_contains_no_secret() -> None:
    """DATABASE_URL, keys and the allowed origins do not appear in the document."""
    pepper = "canary" + "A" * 37 + "="
    settings = change(
        ALL_FEATURES,
        database_url="postgres://canary:canary@ep-canary.region.neon.tech/db",
        password_pepper=f"b:{pepper}",
        cors_origins="https://canary.example",
    )
    assert "canary" not in json.dumps(document(settings))


@pytest.mark.parametrize(
    "settings", [SETTINGS, ALL_FEATURES, INVITING, WITH_FIELDS, change(SETTINGS, duplicate_response="conceal")]
)
def test_examples_match_their_schemas(settings: Settings) -> None:
    """Each body and each parameter has an example, and all examples are valid, including those of headers."""
    description = described(settings)
    example_count = 0
    for operation in operations(settings).values():
        bodies = [operation["requestBody"]] if "requestBody" in operation else []
        for body in [*bodies, *operation["responses"].values()]:
            for content in body.get("content", {}).values():
                assert content["examples"]
                for example in content["examples"].values():
                    assert description.find_schema_errors(content["schema"], example["value"]) == []
                    example_count += 1
        for parameter in operation.get("parameters", ()):
            assert description.find_schema_errors(parameter["schema"], parameter["example"]) == []
    assert example_count > len(TABLE)
    for schema in [header["schema"] for header in description.document["components"]["headers"].values()]:
        assert all(description.find_schema_errors(schema, example) == [] for example in schema.get("examples", ()))


@pytest.mark.parametrize("settings", [SETTINGS, WITH_FIELDS])
async def test_the_example_request_creates_a_user(settings: Settings) -> None:
    """The example request is accepted, as JSON and as a form."""
    content = operations(settings)["post /"]["requestBody"]["content"]
    for media_type, each in content.items():
        for example in each["examples"].values():
            client = Client()
            client.settings = settings
            body = urlencode(example["value"]).encode() if media_type in FORM.values() else example["value"]
            response, _ = await client.request(body=body, headers={"content-type": media_type})
            assert response.status == 201


def test_extra_fields_and_terms_are_described() -> None:
    """JSON and form requests have extra fields and terms; users in responses have extra fields if configured."""
    description = described(WITH_FIELDS)
    for name, value, valid in (
        ("SignUpRequest", ADA_WITH_FIELDS, True),
        ("SignUpRequest", {**ADA_WITH_FIELDS, "terms": "1"}, False),
        ("SignUpRequest", {**ADA, "terms": "2026-11"}, False),
        ("SignUpRequest", {**ADA_WITH_FIELDS, "extra": {"plan": "free", "adult": False}}, False),
        ("SignUpRequest", {**ADA_WITH_FIELDS, "extra": {"plan": "free", "adult": True, "seats": 501}}, False),
        ("SignUpRequest", {**ADA_WITH_FIELDS, "extra": {"plan": "free", "adult": True, "role": 1}}, False),
        ("SignUpForm", {**ADA, "terms": "2026-11", "extra.plan": "free", "extra.adult": "true"}, True),
        ("SignUpForm", {**ADA, "terms": "2026-11", "extra.plan": "", "extra.adult": "true"}, False),
        ("SignUpForm", {**ADA, "terms": "2026-11", "extra.plan": "free"}, False),
        ("SignUpForm", ADA_WITH_FIELDS, False),
    ):
        assert (description.find_schema_errors({"$ref": f"#/components/schemas/{name}"}, value) == []) == valid
    user = description.document["components"]["schemas"]["User"]
    assert ("extra" in user["properties"], "extra" in user["required"]) == (True, True)
    verifying = document(change(VERIFYING, extra_fields=WITH_FIELDS.extra_fields))["components"]["schemas"]
    assert "extra" in verifying["VerifiableUser"]["properties"]
    assert "extra" not in json.dumps(document(SETTINGS)["components"]["schemas"]["User"])


def test_the_document_has_the_projects_version() -> None:
    """The version is stated twice, because pyproject.toml is not deployed."""
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert document(SETTINGS)["info"]["version"] == VERSION == project["version"]


async def test_the_worker_serves_the_document() -> None:
    """GET and HEAD succeed; with wrong settings the response is 500, because the document depends on them."""
    response, body = await Client().request("GET", "/openapi.json")
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert body == document(SETTINGS)
    response, body = await Client().request("HEAD", "/openapi.json")
    assert (response.status, body) == (200, None)
    response, body = await Client(misconfigured=Misconfigured("", "")).request("GET", "/openapi.json")
    assert (response.status, body["code"]) == (500, "misconfigured")


@pytest.mark.parametrize("code", sorted(TABLE))
async def test_the_type_of_a_problem_is_a_path_that_describes_it(code: str) -> None:
    """The response has the code's title, status and detail."""
    response, body = await Client().request("GET", f"/problems/{code}")
    problem = TABLE[code]
    title, detail = texts("en").titles[code], texts("en").details[code]
    meaning = {"title": title, "status": problem.status, "detail": detail, "code": code}
    assert (response.status, body) == (200, {"type": f"/problems/{code}", **meaning})


async def test_methods_that_are_not_described_get_405() -> None:
    """`Allow` lists the described methods."""
    described_methods: dict[str, set[str]] = {}
    for operation in operations(SETTINGS):
        method, path = operation.split()
        described_methods.setdefault(path.replace("{code}", "internal"), set()).add(method.upper())
    for path, methods in described_methods.items():
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
            response, _ = await Client().request(method, path, headers={"accept": "text/html"})
            assert (response.status == 405) == (method not in methods)
            assert response.status != 405 or set(response.headers["allow"].split(", ")) == methods


def expired_token() -> str:
    """Return a token that has just expired."""
    signer = TokenSigner([each.key for each in VERIFYING.verification_keys])
    return signer.sign(Claims("1", "ada@example.com", int(time.time()), "Ada", 0))


def cases() -> Iterator[tuple[str, Client, dict[str, Any]]]:
    """Yield each code with a client and a request whose response has this code."""
    for outcome in (
        *(
            Problem(),
            DatabaseError("XX000"),
            Misconfigured("X", "is wrong"),
            TooBusy(retry_after=3),
            ProxyBusy(retry_after=7),
        ),
        *(
            BotCheckUnavailable(),
            BreachCheckUnavailable(),
            ProxyUnavailable(),
            ProxyTimeout(),
        ),
    ):
        yield outcome.code, Client(outcome), {}

    async def deny(_: str) -> bool:
        return False

    limited = Client()
    limited.limits = Limits(lambda _: deny, Warnings())
    stored = [user_row("$scrypt$ln=1,r=1,p=1$AAAA$AAAA", name="Bob")]
    yield "rate_limited", limited, {}
    yield "email_taken", Client([]), {}
    yield "idempotency_mismatch", Client(stored), {"headers": {**JSON, "idempotency-key": "k"}}
    yield "bad_idempotency_key", Client(), {"headers": {**JSON, "idempotency-key": ""}}
    yield "cross_origin_refused", Client(), {"headers": {**JSON, "origin": "https://evil.example"}}
    yield "unsupported_media_type", Client(), {"headers": {}}
    yield "malformed_json", Client(), {"body": b"{"}
    yield "body_timeout", Client(), {"body": LATE}
    insecure = Client()
    insecure.own_origin = "http://signup.example"
    yield "https_required", insecure, {}
    closed = Client()
    closed.settings = change(SETTINGS, sign_up="closed")
    yield "sign_ups_closed", closed, {"body": LATE}
    for code, fields in (("invitation_required", {}), ("bad_invitation", {"invitation": "x"})):
        inviting = Client()
        inviting.settings = INVITING
        yield code, inviting, {"body": {**ADA, **fields}}
    for code, token in (("bad_verification_token", "x"), ("verification_expired", expired_token())):
        verifying = Client()
        verifying.settings = VERIFYING
        yield code, verifying, {"path": "/verify", "body": {"token": token}}
    yield "malformed_form", Client(), {"body": b"a&a", "headers": FORM}
    yield "body_too_large", Client(), {"body": b" " * 20_000}
    yield "validation_failed", Client(), {"body": {"more": 1}}
    yield "method_not_allowed", Client(), {"method": "PUT"}
    yield "not_found", Client(), {"path": "/nowhere"}
    yield "not_acceptable", Client(), {"method": "GET", "headers": {"accept": "application/json"}}


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case[0])
async def test_every_problem_matches_the_document(case: tuple[str, Client, dict[str, Any]]) -> None:
    """The client validates each response against the document."""
    code, client, request = case
    uses_checks = code.endswith("check_unavailable")
    client.described = described(change(ALL_FEATURES, cors_origins="") if uses_checks else client.settings)
    response, body = await client.request(**request)
    assert (response.status, body["code"]) == (TABLE[code].status, code)


def test_there_is_a_case_for_every_problem() -> None:
    """A new code needs a new case."""
    assert {code for code, _, _ in cases()} == TABLE.keys()


CREATED: dict[str, Any] = {"msg": "User created", "user": user_json()}
HEADERS = {
    "x-request-id": "3f2c8d3e-6c5e-4f0a-9a57-0d2f1c7b9e41",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "content-type": "application/json",
}


@pytest.mark.parametrize(
    ("status", "headers", "body", "message"),
    [
        (201, HEADERS, CREATED, ""),
        (202, HEADERS, CREATED, "not described with 202"),
        (201, {**HEADERS, "x-request-id": "1"}, CREATED, "uuid"),
        (201, {**HEADERS, "x-more": "1"}, CREATED, "x-more is not described"),
        (201, {k: v for k, v in HEADERS.items() if k != "cache-control"}, CREATED, "cache-control is missing"),
        (201, {**HEADERS, "content-type": "text/html"}, CREATED, "text/html is not described"),
        (201, HEADERS, {"msg": "User created"}, "user"),
        (201, HEADERS, {**CREATED, "user": {**CREATED["user"], "created_at": "now"}}, "date-time"),
    ],
)
def test_a_response_that_does_not_match_is_detected(
    status: int, headers: dict[str, str], body: object, message: str
) -> None:
    """Status, headers, media type, members and formats are compared."""
    differences = described(SETTINGS).find_differences("POST", "/", status, headers, json.dumps(body).encode())
    assert message in " ".join(differences)
    assert bool(differences) == bool(message)
