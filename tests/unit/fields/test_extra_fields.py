"""The fields of `EXTRA_FIELDS`, and the field `terms`: the schema, JSON bodies, forms, and the whole sign-up."""

import json
import re
from typing import Any
from urllib.parse import urlencode

import pytest

from devstack.setup.bootstrap import ROOT
from signup.fields.extra_fields import parse_extra_fields
from signup.json_codec import parse_object
from signup.problems import Misconfigured, TooBusy
from signup.registration.user_store import SIGN_UP, SIGN_UP_WITH_DETAILS
from signup.settings import Settings
from tests.fakes import (
    ADA,
    ADA_WITH_FIELDS,
    EXTRA_FIELDS,
    SETTINGS,
    WITH_FIELDS,
    Client,
    change,
    user_json,
    user_row,
)

pytestmark = pytest.mark.anyio
FIELDS = parse_extra_fields(json.dumps(EXTRA_FIELDS))
FORM = {"content-type": "application/x-www-form-urlencoded"}
PAGE = {**FORM, "accept": "text/html"}
COMPANY = {"type": "string", "title": "canary"}
INVALID_ENUMS: tuple[object, ...] = ([f"v{number}" for number in range(10_000)], [], {}, "canary", ["a", "a"])


def client(*outcomes: Any, settings: Settings = WITH_FIELDS) -> Client:
    """Return a client of a Worker, which has terms and extra fields by default."""
    worker = Client(*outcomes)
    worker.settings = settings
    return worker


def take_extra(extra: str) -> tuple[dict[str, Any], list[tuple[str, str, int | None]]]:
    """Return the values and the errors of an `extra` object in JSON."""
    body = parse_object(f'{{"extra": {extra}}}'.encode())
    values, errors = FIELDS.take(body)
    assert body == {}
    return values, [(each.pointer, each.code, each.limit) for each in errors]


def properties(**changes: object) -> dict[str, object]:
    """Return a schema with one property."""
    return {"properties": {"company": {**COMPANY, **changes}}}


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        *((text, "must be a JSON object") for text in ("canary", "[]", '"canary"', "null", '{"a":NaN}', "[" * 5000)),
        ('{"properties": {"canary": {}, "canary": {}}}', "must be a JSON object without duplicate names"),
        ('{"properties": ' + '{"a":' * 40 + "1" + "}" * 41, "must be a JSON object"),
        ({}, "must have 1 to 10 properties"),
        ({"properties": {}}, "must have 1 to 10 properties"),
        ({"properties": [COMPANY]}, "must have 1 to 10 properties"),
        ({"properties": {f"canary{number}": COMPANY for number in range(11)}}, "must have 1 to 10 properties"),
        ({**properties(), "type": "array"}, "must have only the members"),
        ({**properties(), "canary": 1}, "must have only the members"),
        ({**properties(), "required": ["canary"]}, "must list names"),
        ({**properties(), "required": ["company", "company"]}, "must list names"),
        ({**properties(), "required": True}, "must list names"),
        *(
            ({"properties": {"a": COMPANY, name: COMPANY}}, "property 2: its name must be")
            for name in ("__proto__", "constructor", "toString", "", "1a", "a.b", "a/b", "ä", "a" * 41, "a b", "a\n")
        ),
        ({"properties": {"company": "canary"}}, "property 1: it must be an object"),
        (properties(type="canary"), "its type must be string, integer or boolean"),
        (properties(type=["string"]), "its type must be"),
        (properties(type="number"), "its type must be"),
        (properties(canary=1), "a keyword is not supported here"),
        (properties(minimum=1), "minimum is not supported here"),
        (properties(enum=["a"], maxLength=3), "maxLength is not supported here"),
        (properties(enumTitles={"en": []}), "enumTitles is not supported here"),
        (properties(type="boolean", enum=[True]), "enum is not supported here"),
        *((properties(title=value), "its title must") for value in ("", None, 5, "x" * 101, " a", "e\u0301")),
        (properties(titles={"xx": "canary"}), "its titles must be an object with a title for some of en, de"),
        (properties(titles={"de": ""}), "its titles must be"),
        (properties(titles="canary"), "its titles must be"),
        *((properties(enum=value), "its enum must be 1 to 100") for value in INVALID_ENUMS),
        *((properties(enum=value), "its enum must be texts") for value in ([1], [""], [None], ["a\0"], ["x" * 101])),
        *(
            (properties(type="integer", enum=value), "its enum must be 1 to 100")
            for value in ([1.5], ["1"], [True], [2**53], [1, 1.0])
        ),
        (properties(enum=["a", "b"], enumTitles={"en": ["A"]}), "its enumTitles must be"),
        (properties(enum=["a"], enumTitles={"xx": ["A"]}), "its enumTitles must be"),
        *((properties(maxLength=value), "maxLength must be a whole") for value in (0, 1001, 1.5, "9", True, None)),
        (properties(minLength=0), "minLength must be a whole number from 1 to 1000"),
        (properties(minLength=5, maxLength=4), "its lower bound"),
        *((properties(type="integer", maximum=value), "maximum must be") for value in (2**53, -(10**400), 0.5)),
        (properties(type="integer", minimum=2, maximum=1), "its lower bound"),
        (properties(type="boolean", const=True), "const must be true, and the property required"),
        ({**properties(type="boolean", const=False), "required": ["company"]}, "const must be true"),
    ],
)  # fmt: skip
def test_a_wrong_schema_raises_misconfigured(schema: object, reason: str) -> None:
    """The message has the setting's name, the reason and the position of a wrong property, and quotes no value."""
    text = schema if isinstance(schema, str) else json.dumps(schema)
    bindings = {"DATABASE_URL": "sql+http://token@127.0.0.1:1/", "EXTRA_FIELDS": text}
    with pytest.raises(Misconfigured) as caught:
        Settings.from_bindings(bindings.get)
    assert str(caught.value).startswith("EXTRA_FIELDS ")
    assert reason in str(caught.value)
    assert "canary" not in str(caught.value)


def test_the_example_of_the_documentation_is_valid() -> None:
    """Both the schema and the request are valid."""
    page = (ROOT / "docs" / "fields.md").read_text(encoding="utf-8")
    (schema,) = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (extra,) = re.findall(r'"extra": (\{.*?\})\}', page)
    values, errors = parse_extra_fields(schema).take(parse_object(f'{{"extra": {extra}}}'.encode()))
    assert (values, errors) == ({"seats": 3, "plan": "team", "adult": True}, [])


def test_ten_fields_with_a_hundred_options_are_allowed() -> None:
    """Ten fields and a hundred options are the upper limits."""
    options = [f"option {number}" for number in range(100)]
    schema = {"properties": {f"f{number}": properties(enum=options)["properties"]["company"] for number in range(10)}}  # type: ignore[index]
    assert len(parse_extra_fields(json.dumps(schema)).fields) == 10


def test_wrong_settings_of_the_terms_are_misconfigured() -> None:
    """A version needs a URL, and has 1 to 64 of A-Z a-z 0-9 . _ -. The URL is https, or http on loopback."""
    required = {"DATABASE_URL": "sql+http://token@127.0.0.1:1/"}
    for bindings, reason in (
        ({"TERMS_VERSION": "1"}, "TERMS_URL must be set with TERMS_VERSION"),
        ({"TERMS_VERSION": "canary 1"}, "TERMS_VERSION must look like 2026-11"),
        ({"TERMS_VERSION": "x" * 65}, "TERMS_VERSION must look like"),
        *(
            ({"TERMS_VERSION": "1", "TERMS_URL": value}, "TERMS_URL ")
            for value in ("javascript:canary", "http://canary.example/", "https://u:canary@a.example", "canary")
        ),
    ):
        with pytest.raises(Misconfigured, match=f"^{reason}") as caught:
            Settings.from_bindings({**required, **bindings}.get)
        assert "canary" not in str(caught.value)


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ('"company": " Na\u0308vy\\u200e "', ("company", "N\u00e4vy")),
        ('"seats": 1', ("seats", 1)),
        ('"seats": 5e2', ("seats", 500)),
        ('"seats": 3.0', ("seats", 3)),
        ('"plan": "<team>"', ("plan", "<team>")),
        ('"size": 20.0', ("size", 20)),
        ('"newsletter": false', ("newsletter", False)),
    ],
)
def test_values_are_stored_in_canonical_form(extra: str, expected: tuple[str, object]) -> None:
    """Strings are normalised like names. As in JSON Schema, a number without a fraction is an integer."""
    required_plan = "" if expected[0] == "plan" else '"plan": "free", '
    values, errors = take_extra(f'{{{required_plan}"adult": true, {extra}}}')
    assert errors == []
    assert (values[expected[0]], type(values[expected[0]])) == (expected[1], type(expected[1]))


@pytest.mark.parametrize(
    ("name", "value", "code", "limit"),
    [
        *(("company", value, "not_a_string", None) for value in ("null", "1", "true", "[]", "{}")),
        ("company", '"x"', "too_short", 2),
        ("company", '"  "', "too_short", 2),
        ("company", json.dumps("x" * 21), "too_long", 20),
        ("company", json.dumps("x" * 16_000), "too_long", 20),
        ("company", r'"a\u0000b"', "control_character", None),
        ("company", r'"a\u202eb"', "invisible_character", None),
        *(("seats", value, "not_an_integer", None) for value in ('"1"', "true", "1.5", "null", "[1]", '""')),
        ("seats", "0", "too_small", 1),
        ("seats", "-0.0", "too_small", 1),
        ("seats", "501", "too_large", 500),
        ("seats", "9007199254740993", "too_large", 500),
        ("seats", "1" + "0" * 400, "too_large", 500),
        ("seats", "-1e400", "too_small", 1),
        *(("plan", value, "not_an_option", None) for value in ('"Free"', '" free"', '"canary"')),
        ("plan", "[]", "not_a_string", None),
        ("size", "15", "not_an_option", None),
        *(("newsletter", value, "not_a_boolean", None) for value in ('"true"', "1", "0", "null")),
        ("adult", "false", "required", None),
        ("adult", '"on"', "not_a_boolean", None),
        *((name, "1", "unknown_field", None) for name in ("__proto__", "constructor", "role", "")),
    ],
)
def test_wrong_values_are_errors_of_their_field(name: str, value: str, code: str, limit: int | None) -> None:
    """The pointer names the field within `extra`. No value is converted from another type."""
    members = {"plan": '"free"', "adult": "true", name: value}
    extra = ", ".join(f"{json.dumps(key)}: {each}" for key, each in members.items())
    _, errors = take_extra(f"{{{extra}}}")
    assert errors == [(f"/extra/{name}", code, limit)]


@pytest.mark.parametrize("extra", ["null", "[]", '"canary"', "5", "true"])
def test_extra_must_be_an_object(extra: str) -> None:
    """Any other type gives one error, which points to `extra`."""
    assert take_extra(extra) == ({}, [("/extra", "not_an_object", None)])


def test_the_default_bounds_exclude_inexact_integers() -> None:
    """Other JSON parsers could round larger numbers."""
    fields = parse_extra_fields('{"properties": {"n": {"type": "integer", "title": "N"}}}')
    for number, code in ((2**53 - 1, None), (-(2**53) + 1, None), (2**53, "too_large"), (-(2**53) - 1, "too_small")):
        values, errors = fields.take(parse_object(json.dumps({"extra": {"n": number}}).encode()))
        assert ([each.code for each in errors], values) == (([], {"n": number}) if code is None else ([code], {}))


@pytest.mark.parametrize(
    ("form", "expected"),
    [
        ({}, {"newsletter": False}),
        ({"company": " \u200e", "seats": " ", "plan": "", "size": ""}, {"newsletter": False}),
        ({"company": " a ", "seats": " 12 ", "newsletter": "true", "adult": "true"},
         {"company": " a ", "seats": 12.0, "newsletter": True, "adult": True}),
        ({"seats": "-0", "newsletter": "false", "adult": "false"}, {"seats": 0.0, "newsletter": False, "adult": False}),
        *(({"seats": text}, {"newsletter": False, "seats": text})
          for text in ("1.0", "1e3", "0x1", "\u0661", "+1", "1_0", "9" * 17, "NaN")),
        ({"newsletter": "on", "role": "x"}, {"newsletter": "on", "role": "x"}),
    ],
)  # fmt: skip
def test_texts_of_a_form_are_converted(form: dict[str, str], expected: dict[str, object]) -> None:
    """A blank text counts as absent, and an unticked checkbox as false. Invalid texts are kept for the validation."""
    fields = {"name": "Ada", **{f"extra.{name}": text for name, text in form.items()}}
    assert FIELDS.from_form(fields) == {"extra": expected, "name": "Ada"}


async def test_a_sign_up_stores_and_returns_extra_fields() -> None:
    """One statement stores the fields with the version of the terms; the response has the stored fields."""
    extra = {"company": "Navy", "seats": 3, "plan": "free", "newsletter": False, "adult": True}
    request_body = {**ADA, "terms": "2026-11", "extra": dict(reversed(extra.items()))}
    worker = client()
    response, body = await worker.request(body=request_body)
    assert (response.status, body["user"]) == (201, {**user_json(), "extra": extra})
    ((statement, parameters),) = worker.proxy.executed
    assert statement == SIGN_UP_WITH_DETAILS
    assert json.loads(parameters[-1] or "") == {"language": "", "terms": "2026-11", "extra": extra}
    only_terms = client(settings=change(WITH_FIELDS, extra_fields=""))
    response, body = await only_terms.request(body={**ADA, "terms": "2026-11"})
    assert (response.status, body["user"]) == (201, user_json())


async def test_errors_of_all_fields_are_listed_together() -> None:
    """Each error has a pointer, and a text in the client's language."""
    worker = client()
    request_body = {
        "name": "",
        "email": "a",
        "password": "x",
        "role": 1,
        "terms": "2025",
        "extra": {"seats": 0, "name": "x"},
    }
    response, body = await worker.request(
        body=request_body, headers={"content-type": "application/json", "accept-language": "de"}
    )
    assert response.status == 422
    assert [(each["pointer"], each["code"]) for each in body["errors"]] == [
        ("/extra/seats", "too_small"),
        ("/extra/plan", "required"),
        ("/extra/adult", "required"),
        ("/extra/name", "unknown_field"),
        ("/terms", "terms_outdated"),
        ("/name", "too_short"),
        ("/email", "not_an_email_address"),
        ("/password", "too_short"),
        ("/role", "unknown_field"),
    ]
    assert body["errors"][0]["detail"] == "Geben Sie mindestens 1 ein."
    assert worker.proxy.executed == []


async def test_an_extra_field_named_like_a_standard_field_has_the_general_text() -> None:
    """The text for the API's own field of that name is not used."""
    schema = '{"properties": {"name": {"type": "string", "title": "Name of the pet"}}, "required": ["name"]}'
    worker = client(settings=change(SETTINGS, extra_fields=schema))
    _, body = await worker.request(body=ADA)
    assert body["errors"] == [{"pointer": "/extra/name", "code": "required", "detail": "This field is required."}]


@pytest.mark.parametrize(
    ("terms", "code"),
    [
        ({}, "required"),
        ({"terms": ""}, "required"),
        ({"terms": "2026-10"}, "terms_outdated"),
        ({"terms": "2026-11 "}, "terms_outdated"),
        *(({"terms": value}, "not_a_string") for value in (True, None, 2026, ["2026-11"])),
    ],
)
async def test_terms_must_be_the_current_version(terms: dict[str, object], code: str) -> None:
    """The value must equal `TERMS_VERSION` exactly."""
    response, body = await client().request(body={**ADA, "extra": ADA_WITH_FIELDS["extra"], **terms})
    assert (response.status, [(each["pointer"], each["code"]) for each in body["errors"]]) == (422, [("/terms", code)])


async def test_without_the_settings_the_fields_are_unknown() -> None:
    """Terms and extra fields are refused, and a sign-up runs the statement without options."""
    worker = Client()
    response, body = await worker.request(body=ADA_WITH_FIELDS)
    assert [(each["pointer"], each["code"]) for each in body["errors"]] == [
        ("/terms", "unknown_field"),
        ("/extra", "unknown_field"),
    ]
    response, body = await worker.request()
    assert (response.status, body["user"]) == (201, user_json())
    assert [statement for statement, _ in worker.proxy.executed] == [SIGN_UP]


@pytest.mark.parametrize(
    ("stored", "status"),
    [('{"plan": "free", "adult": true}', 201), ('{"adult": true, "plan": "<team>"}', 422), ("{}", 422), (None, 422)],
)
async def test_a_repeated_request_must_have_the_same_fields(stored: str | None, status: int) -> None:
    """If the stored extra fields differ, the response is 422 `idempotency_mismatch`."""
    # Sign up once to get the hash.
    first = client()
    await first.request(body=ADA_WITH_FIELDS)
    row = [*user_row(first.proxy.executed[0][1][-3]), "false", stored, None]
    headers = {"content-type": "application/json", "idempotency-key": "k"}
    response, body = await client([row]).request(body=ADA_WITH_FIELDS, headers=headers)
    assert response.status == status
    if status == 201:
        assert response.headers["idempotency-replayed"] == "true"
        assert body["user"]["extra"] == {"plan": "free", "adult": True}
    else:
        assert body["code"] == "idempotency_mismatch"


async def test_a_concealed_response_has_no_extra_fields() -> None:
    """The fields are still stored."""
    concealed = client()
    concealed.conceal = True
    response, body = await concealed.request(body=ADA_WITH_FIELDS)
    assert (response.status, body) == (202, {"msg": "Sign-up accepted"})
    assert '"extra"' in str(concealed.proxy.executed[0][1][-1])


def form(**fields: str) -> bytes:
    """Return the body of a posted form with Ada's data."""
    return urlencode({**ADA, "idempotency-key": "k", **fields}).encode()


async def test_a_form_may_have_extra_fields() -> None:
    """The names of the inputs begin with `extra.`; the response is a page or JSON."""
    inputs = {"terms": "2026-11", "extra.plan": "<team>", "extra.adult": "true", "extra.seats": "7"}
    expected = {"seats": 7, "plan": "<team>", "newsletter": False, "adult": True}
    response, body = await client().request(body=form(**inputs), headers=FORM)
    assert (response.status, body["user"]["extra"]) == (201, expected)
    worker = client()
    response, _ = await worker.request(body=form(**inputs), headers=PAGE)
    assert (response.status, json.loads(worker.proxy.executed[0][1][-1] or "")["extra"]) == (201, expected)
    response, body = await client().request(body=form(**{**inputs, "extra": "x"}), headers=FORM)
    assert [(each["pointer"], each["code"]) for each in body["errors"]] == [("/extra", "not_an_object")]


async def test_a_form_with_errors_keeps_the_entered_values() -> None:
    """The values are also kept after an error of the service. If the terms have changed, their checkbox is unticked."""
    hostile = '"><script>'
    inputs = {"extra.company": hostile, "extra.seats": "many", "extra.plan": "<team>", "extra.newsletter": "true"}
    response, html = await client().request(body=form(**inputs, terms="2026-11"), headers=PAGE)
    assert response.status == 422
    assert hostile not in html
    assert 'value="&#34;&gt;&lt;script&gt;"' in html
    assert '<option value="&lt;team&gt;" selected>' in html
    assert ' value="many"' in html
    ticks = ('name="extra.newsletter"', 'name="extra.adult"', 'name="terms"')
    assert [" checked" in html.partition(name)[2].partition(">")[0] for name in ticks] == [True, False, True]
    assert '<a href="#extra/seats">&lt;b&gt;Seats &amp; more&lt;/b&gt;: Enter a whole number.</a>' in html
    response, html = await client().request(body=form(**inputs, terms="2025-01"), headers=PAGE)
    assert " checked" not in html.partition(ticks[2])[2].partition(">")[0]
    assert '<a href="#terms">The terms have changed.' in html
    valid_inputs = {"extra.plan": "free", "extra.adult": "true", "terms": "2026-11"}
    response, html = await client(TooBusy()).request(body=form(**valid_inputs), headers=PAGE)
    assert response.status == 503
    assert [" checked" in html.partition(name)[2].partition(">")[0] for name in ticks] == [False, True, True]
