"""The OpenAPI 3.1 document of the API (https://spec.openapis.org/oas/v3.1.1.html).

It is built from the models, the table of problems and the settings. This module is imported when a client first
requests the document.
"""

import json

from pydantic import BaseModel

from signup.fields.models import (
    BOT_CHECK_FIELD,
    EXTRA_FIELD,
    INVITATION_FIELD,
    LONGEST_BOT_TOKEN,
    TERMS_FIELD,
    Accepted,
    Created,
    SignUpRequest,
    User,
)
from signup.fields.verification import CreatedVerifiable, VerifiableUser
from signup.openapi.html_responses import INVITATION, METHODS, READING, form, form_schema, read_page, with_pages
from signup.openapi.responses import (
    CORS,
    HEADERS,
    LANGUAGE,
    REQUEST_ID,
    SCHEMAS,
    Json,
    get_and_head,
    preflight,
    problems,
    redirect,
    referenced_headers,
    response,
    vary_on,
)
from signup.openapi.schemas import example, schemas
from signup.openapi.verification import CODES, MODELS, verification_paths
from signup.problems import TABLE, TYPE_PREFIX, BadInvitation, InvitationRequired, SignUpsClosed
from signup.settings import Settings
from signup.web.messages import KEY, LARGEST_BODY

# The version from pyproject.toml. It is repeated here, because that file is not deployed.
VERSION = "0.1.0"
SPECIFICATION = "3.1.1"

_ABOUT = """\
Signs users up: `POST /`.

Error responses are `application/problem+json` (RFC 9457) with a stable `code`. The `type` is a path that describes the
code. Paths that are not listed here return 404 `not_found`, and other methods of a listed path return 405
`method_not_allowed`. Over plain HTTP a deployed Worker redirects GET and HEAD to HTTPS (308), and refuses other methods
with 403 `https_required`. `title` and `detail` are in the language that `Accept-Language` prefers, or else in English.

This document describes one deployment. Some fields and responses depend on its settings.
"""
_SIGN_UP = """\
Validates the fields, hashes the password and creates the user.

The body has at most {kib} KiB, in UTF-8 and uncompressed. It is one JSON object without duplicate names, or the form of
the page at `GET /`. The response to the form is a page if `Accept` prefers `text/html`. The setting
`CORS_ORIGINS` lists the other origins whose pages may send requests."""
_KEY = """\
Makes the request safe to repeat: for 24 hours the same request with the same key returns the same response and creates
no second user. 1 to 255 visible ASCII characters, preferably a UUID."""
_CLOSED = """

Sign-ups are closed at present: 403 `sign_ups_closed`, before the body is read."""
_TAGS = (
    ("sign-up", "Creating users."),
    ("operations", "Health checks."),
    ("documentation", "This document and the descriptions of problem codes."),
)


def document(settings: Settings) -> Json:
    """Return the OpenAPI document of a Worker with these settings. It contains no secret."""
    request = _request_schema(settings)
    sign_up_form = form_schema(request, settings.parsed_extra_fields)
    components: Json = {"SignUpRequest": request, "SignUpForm": sign_up_form, **SCHEMAS}
    components |= schemas(_success(settings), "serialization")
    if settings.extra_fields and not settings.conceal:
        user = components[_user(settings).__name__]
        user["properties"][EXTRA_FIELD] = {"type": "object", "description": "The stored fields of this deployment."}
        user["required"].append(EXTRA_FIELD)
    paths: Json = {
        "/": read_page(settings)
        | {"post": _sign_up(settings)}
        | ({"options": preflight("signUp", "sign-up", METHODS)} if settings.origins else {}),
        "/health": _constant("health", "Check the Worker", "Uses no settings and no database.", {"status": "ok"}),
        "/ready": _constant(
            "ready",
            "Check the settings and the database",
            "Makes one round trip to the database.",
            {"status": "ready"},
            *("rate_limited", "misconfigured", "internal", "proxy_busy", "proxy_unavailable", "proxy_timeout"),
        ),
        "/openapi.json": _openapi(),
        TYPE_PREFIX + "{code}": _explanation(),
    }
    tags = [*_TAGS]
    if settings.verifies:
        paths |= verification_paths(settings)
        tags.insert(1, ("verification", "Verifying e-mail addresses."))
        for model, mode in MODELS.items():
            components |= schemas(model, mode)
    result: Json = {
        "openapi": SPECIFICATION,
        "info": {
            "title": "signup",
            "version": VERSION,
            "summary": "A sign-up endpoint.",
            "description": _ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The origin of this document."}],
        "security": [],
        "tags": [{"name": name, "description": text} for name, text in tags],
        "paths": paths,
    }
    headers = referenced_headers(HEADERS, json.dumps(paths))
    return result | {"components": {"schemas": dict(sorted(components.items())), "headers": headers}}


def _success(settings: Settings) -> type[BaseModel]:
    """Return the model of the response to a successful sign-up."""
    if settings.conceal:
        return Accepted
    return CreatedVerifiable if settings.verifies else Created


def _user(settings: Settings) -> type[User]:
    """Return the model of a user in a response."""
    return VerifiableUser if settings.verifies else User


def _request_schema(settings: Settings) -> Json:
    """Return the schema of the body: the schema of the model, adapted to the settings."""
    schema: Json = schemas(SignUpRequest, "validation")["SignUpRequest"]
    properties = schema["properties"]
    properties["password"]["minLength"] = settings.password_min_length
    if not settings.subaddressing:
        properties["email"]["not"] = {"pattern": r"\+.*@"}
        properties["email"]["description"] += " Without a + before the @."
    if settings.restricts_domains:
        properties["email"]["description"] += " Addresses of some domains are refused."
    token = properties.pop(BOT_CHECK_FIELD)
    if settings.turnstile:
        documentation = {"description": token["description"], "examples": token["examples"]}
        properties[BOT_CHECK_FIELD] = {
            "type": "string",
            "minLength": 1,
            "maxLength": LONGEST_BOT_TOKEN,
            **documentation,
        }
    else:
        schema["required"].remove(BOT_CHECK_FIELD)
    if settings.invites:
        properties[INVITATION_FIELD] = INVITATION
        schema["required"].append(INVITATION_FIELD)
    if settings.terms_version:
        documentation = {"description": f"The version of the terms at {settings.terms_url}, which the user accepts."}
        properties[TERMS_FIELD] = {"const": settings.terms_version, "type": "string", **documentation}
        schema["required"].append(TERMS_FIELD)
    if (extra := settings.parsed_extra_fields) is not None:
        properties[EXTRA_FIELD] = extra.schema()
        if "required" in properties[EXTRA_FIELD]:
            schema["required"].append(EXTRA_FIELD)
    return schema


def _sign_up(settings: Settings) -> Json:
    headers, vary = (CORS, (*LANGUAGE, "origin")) if settings.origins else ((), LANGUAGE)
    omitted = {"not_found", "not_acceptable", *CODES}
    body, extra = example(SignUpRequest), settings.parsed_extra_fields
    schema = {"$ref": f"#/components/schemas/{_success(settings).__name__}"}
    if settings.conceal:
        text = "The request was valid. The response does not reveal whether the address was taken."
        responses = {"202": response(text, schema, {"accepted": Accepted().model_dump()}, *headers)}
        omitted |= {"email_taken", "idempotency_mismatch"}
    else:
        created = {**example(Created), "user": example(_user(settings))}
        if extra is not None:
            created["user"][EXTRA_FIELD] = extra.example()
        responses = {
            "201": response("The user was created.", schema, {"created": created}, "idempotency-replayed", *headers)
        }
    if not settings.turnstile:
        del body[BOT_CHECK_FIELD]
        omitted.add("bot_check_unavailable")
    if settings.breach_check != "strict":
        omitted.add("breach_check_unavailable")
    if not settings.closed:
        omitted.add(SignUpsClosed.code)
    if settings.invites:
        body[INVITATION_FIELD] = INVITATION["examples"][0]
    else:
        omitted |= {InvitationRequired.code, BadInvitation.code}
    if settings.terms_version:
        body[TERMS_FIELD] = settings.terms_version
    form_body = body
    if extra is not None:
        form_body, body = body | extra.form_example(), body | {EXTRA_FIELD: extra.example()}
    refusals = problems((code for code in TABLE if code not in omitted), METHODS, *headers, vary=vary)
    key = "Validated, but without effect: each request is independent." if settings.conceal else _KEY
    return {
        "operationId": "signUp",
        "tags": ["sign-up"],
        "summary": "Create a user",
        "description": _SIGN_UP.format(kib=LARGEST_BODY // 1024) + (_CLOSED if settings.closed else ""),
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
                    "examples": {"grace": {"value": body}},
                },
                **form(form_body),
            },
        },
        "responses": with_pages(responses | refusals, settings),
    }


def _constant(name: str, summary: str, description: str, content: Json, *codes: str) -> Json:
    """Return the operations of a path whose response is a constant or a problem."""
    values = {member: {"const": value} for member, value in content.items()}
    schema = {"type": "object", "properties": values, "required": list(content)}
    result = response("The check passed.", schema, {"ok": content})
    responses = {"200": result, **redirect(), **problems((*codes, "method_not_allowed"), READING)}
    return get_and_head(name, "operations", summary, description, responses)


def _openapi() -> Json:
    schema: Json = {"type": "object", "properties": {"openapi": {"const": SPECIFICATION}}, "required": ["openapi"]}
    codes = ("misconfigured", "internal", "method_not_allowed")
    result = response("The OpenAPI document.", schema, {"beginning": {"openapi": SPECIFICATION}})
    responses = {"200": result, **redirect(), **problems(codes, READING)}
    return get_and_head("describe", "documentation", "Read this document", "Depends on the settings.", responses)


def _explanation() -> Json:
    schema = {"$ref": "#/components/schemas/ProblemMeaning"}
    sample = problems(["email_taken"], ())["409"]["content"]["application/problem+json"]["examples"]["email_taken"]
    value = {name: each for name, each in sample["value"].items() if name != "instance"}
    result = response("The description of the code.", schema, {"email_taken": value}, "content-language")
    result["headers"] |= vary_on(*LANGUAGE)
    responses = {"200": result, **redirect(), **problems(("not_found", "method_not_allowed"), READING)}
    code = {"name": "code", "in": "path", "required": True, "description": "The code.", "example": "email_taken"}
    path = get_and_head("explain", "documentation", "Describe a code", "The `type` of a problem.", responses)
    return path | {"parameters": [code | {"schema": {"enum": sorted(TABLE)}}]}
