"""The API's own description: OpenAPI 3.1 (https://spec.openapis.org/oas/v3.1.1.html).

Made of the models, of the table of problems and of the settings, which decide on fields and answers. Imported when
somebody asks for it, by nothing that signs users up.
"""

import json

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from signup.fields.models import BOT_CHECK_FIELD, LONGEST_BOT_TOKEN, Accepted, Created, SignUpRequest
from signup.openapi.html_responses import METHODS, READING, form, form_schema, read_page, with_pages
from signup.openapi.responses import (
    CORS,
    HEADERS,
    LANGUAGE,
    REQUEST_ID,
    SCHEMAS,
    Json,
    answer,
    depends,
    problems,
    redirect,
    used,
)
from signup.problems import TABLE, TYPE_PREFIX
from signup.settings import Settings
from signup.web.cors import MAX_AGE, SENT
from signup.web.messages import KEY, LARGEST_BODY

# That of pyproject.toml, which is not deployed.
VERSION = "0.1.0"
SPECIFICATION = "3.1.1"

_ABOUT = """\
Signs users up: `POST /`.

Every answer that is no success is `application/problem+json` (RFC 9457) with a stable `code`, and its `type` leads to
what that means. A path that is not listed here is answered with 404 `not_found`, and another method of one that is with
405 `method_not_allowed`. Over plain HTTP, where this is deployed, GET and HEAD are answered with 308 and the same URL
over HTTPS, and any other method with 403 `https_required`. What a problem says to people, `title` and every `detail`,
is in English or German, as `Accept-Language` asks.

This describes a deployment as it is set up: another one may have other fields and answers.
"""
_SIGN_UP = """\
Checks the fields, hashes the password, and creates the user.

A body of at most {kib} KiB in UTF-8, not compressed: one JSON object, with no name twice; or the form of the page at
`GET /`, which is answered with a page where `Accept` prefers `text/html`. A page of another origin must be listed in
the setting `CORS_ORIGINS`."""
_KEY = """\
Makes it safe to ask again: for 24 hours the same request with the same key gets the same answer, and makes no second
user. 1 to 255 visible ASCII characters, best a UUID."""
_TAGS = (("sign-up", "What this is for."), ("operations", "For whoever runs it."), ("documentation", "What it says."))
_GRACE: Json = {"name": "Grace", "email": "grace@example.org", "password": "seven lighthouses by noon"}
_USER: Json = {"id": 1, "name": "Grace", "email": "grace@example.org", "created_at": "2026-11-22T20:51:52.963Z"}


class _Untitled(GenerateJsonSchema):
    """Without titles that only repeat the names of fields."""

    def field_title_should_be_set(self, schema: object) -> bool:  # noqa: ARG002 - the base class's
        return False


def document(settings: Settings) -> Json:
    """Return the OpenAPI document of a Worker with these settings, of which it has no secret."""
    request = _request_schema(settings)
    schemas: Json = {"SignUpRequest": request, "SignUpForm": form_schema(request), **SCHEMAS}
    success = Accepted if settings.conceal else Created
    schemas |= _schemas(success, "serialization")
    paths: Json = {
        "/": _get_and_head(*read_page(settings))
        | {"post": _sign_up(settings)}
        | ({"options": _preflight()} if settings.origins else {}),
        "/health": _read("health", "Is the Worker up?", "Asks neither settings nor database.", {"status": "ok"}),
        "/ready": _read(
            "ready",
            "Can users sign up?",
            "Makes one round trip to the database.",
            {"status": "ready"},
            *("rate_limited", "misconfigured", "internal", "proxy_busy", "proxy_unavailable", "proxy_timeout"),
        ),
        "/openapi.json": _openapi(),
        TYPE_PREFIX + "{code}": _meaning(),
    }
    found: Json = {
        "openapi": SPECIFICATION,
        "info": {
            "title": "signup",
            "version": VERSION,
            "summary": "A sign-up endpoint.",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "Where this document comes from."}],
        "security": [],
        "tags": [{"name": name, "description": text} for name, text in _TAGS],
        "paths": paths,
    }
    headers = used(HEADERS, json.dumps(paths))
    return found | {"components": {"schemas": dict(sorted(schemas.items())), "headers": headers}}


def _schemas(model: type[BaseModel], mode: JsonSchemaMode) -> Json:
    """Return the JSON Schema of a model and of those that it is made of."""
    reference = "#/components/schemas/{model}"
    schema = model.model_json_schema(mode=mode, ref_template=reference, schema_generator=_Untitled)
    return {**schema.pop("$defs", {}), model.__name__: schema}


def _request_schema(settings: Settings) -> Json:
    """Return the schema of the body; what depends on the settings is not in the model."""
    schema: Json = _schemas(SignUpRequest, "validation")["SignUpRequest"]
    properties = schema["properties"]
    properties["password"]["minLength"] = settings.password_min_length
    if not settings.subaddressing:
        properties["email"]["not"] = {"pattern": r"\+.*@"}
        properties["email"]["description"] += " Without a + before the @."
    token = properties.pop(BOT_CHECK_FIELD)
    if settings.turnstile:
        described = {"description": token["description"], "examples": token["examples"]}
        properties[BOT_CHECK_FIELD] = {"type": "string", "minLength": 1, "maxLength": LONGEST_BOT_TOKEN, **described}
    else:
        schema["required"].remove(BOT_CHECK_FIELD)
    return schema


def _sign_up(settings: Settings) -> Json:
    headers, vary = (CORS, (*LANGUAGE, "origin")) if settings.origins else ((), LANGUAGE)
    without = {"not_found", "not_acceptable"}
    example = dict(_GRACE)
    if settings.conceal:
        schema = {"$ref": "#/components/schemas/Accepted"}
        text = "Nothing was wrong with it. Whether there was a user with that address is not told."
        responses = {"202": answer(text, schema, {"accepted": Accepted().model_dump()}, *headers)}
        without |= {"email_taken", "idempotency_mismatch"}
    else:
        schema = {"$ref": "#/components/schemas/Created"}
        created = {"msg": "User created", "user": _USER}
        responses = {
            "201": answer("The user was created.", schema, {"created": created}, "idempotency-replayed", *headers)
        }
    if settings.turnstile:
        example[BOT_CHECK_FIELD] = "0.Wa7Kq"
    else:
        without.add("bot_check_unavailable")
    if settings.breach_check != "strict":
        without.add("breach_check_unavailable")
    refusals = problems((code for code in TABLE if code not in without), METHODS, *headers, vary=vary)
    key = "Checked, and otherwise not used: each request stands for itself." if settings.conceal else _KEY
    return {
        "operationId": "signUp",
        "tags": ["sign-up"],
        "summary": "Sign a user up",
        "description": _SIGN_UP.format(kib=LARGEST_BODY // 1024),
        "parameters": [
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": key,
                "schema": {"type": "string", "pattern": f"^{KEY.pattern}$"},
                "example": REQUEST_ID,
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {"$ref": "#/components/schemas/SignUpRequest"},
                    "examples": {"grace": {"value": example}},
                },
                **form(example),
            },
        },
        "responses": with_pages(responses | refusals, settings),
    }


def _preflight() -> Json:
    found = answer("A page of this origin may sign users up.", None, {}, *CORS)
    found["headers"] |= depends("origin")
    own = {"allow-methods": "POST", "allow-headers": SENT, "max-age": str(MAX_AGE)}
    found["headers"] |= {
        f"access-control-{name}": {"required": True, "schema": {"const": value}} for name, value in own.items()
    }
    asked = (
        ("Origin", "The page's.", "https://www.example.com"),
        ("Access-Control-Request-Method", "What it is about to do.", "POST"),
    )
    return {
        "operationId": "signUpPreflight",
        "tags": ["sign-up"],
        "summary": "Ask as a browser does",
        "description": "A CORS preflight, which browsers send by themselves. Without its two headers it is none: 405.",
        "parameters": [
            {"name": name, "in": "header", "description": text, "schema": {"type": "string"}, "example": value}
            for name, text, value in asked
        ],
        "responses": {
            "204": found,
            **problems(
                ("cross_origin_refused", "https_required", "method_not_allowed", "misconfigured", "internal"),
                METHODS,
                *CORS,
                vary=(*LANGUAGE, "origin"),
            ),
        },
    }


def _read(name: str, summary: str, description: str, content: Json, *codes: str) -> Json:
    """Return the operations of a path that is read and always answers the same, or with a problem."""
    values = {member: {"const": value} for member, value in content.items()}
    schema = {"type": "object", "properties": values, "required": list(content)}
    found = answer("Yes.", schema, {"yes": content})
    responses = {"200": found, **redirect(), **problems((*codes, "method_not_allowed"), READING)}
    return _get_and_head(name, "operations", summary, description, responses)


def _openapi() -> Json:
    schema: Json = {"type": "object", "properties": {"openapi": {"const": SPECIFICATION}}, "required": ["openapi"]}
    codes = ("misconfigured", "internal", "method_not_allowed")
    found = answer("The document.", schema, {"beginning": {"openapi": SPECIFICATION}})
    responses = {"200": found, **redirect(), **problems(codes, READING)}
    return _get_and_head("describe", "documentation", "This document", "As the settings are.", responses)


def _meaning() -> Json:
    schema = {"$ref": "#/components/schemas/ProblemMeaning"}
    example = problems(["email_taken"], ())["409"]["content"]["application/problem+json"]["examples"]["email_taken"]
    value = {name: each for name, each in example["value"].items() if name != "instance"}
    found = answer("What it means.", schema, {"email_taken": value}, "content-language")
    found["headers"] |= depends(*LANGUAGE)
    responses = {"200": found, **redirect(), **problems(("not_found", "method_not_allowed"), READING)}
    code = {"name": "code", "in": "path", "required": True, "description": "The code.", "example": "email_taken"}
    path = _get_and_head("explain", "documentation", "What a code means", "The `type` of a problem.", responses)
    return path | {"parameters": [code | {"schema": {"enum": sorted(TABLE)}}]}


def _get_and_head(name: str, tag: str, summary: str, description: str, responses: Json) -> Json:
    get = {"operationId": name, "tags": [tag], "summary": summary, "description": description, "responses": responses}
    bodiless = {
        status: {key: value for key, value in each.items() if key != "content"} for status, each in responses.items()
    }
    head = {"operationId": f"{name}Head", "summary": f"{summary} (without a body)", "responses": bodiless}
    return {"get": get, "head": {**get, **head}}
