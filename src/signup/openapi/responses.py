"""The responses of the OpenAPI document: body and headers of each status, with an example of each code.

Status and headers of a problem are taken from a sample object, so that the document matches the code.
"""

from collections.abc import Iterable, Mapping
from typing import Any, get_args

from signup.fields.models import BOT_CHECK_FIELD
from signup.i18n.catalog import DEFAULT, texts
from signup.problems import (
    TABLE,
    TYPE_PREFIX,
    FieldCode,
    FieldError,
    MethodNotAllowed,
    Misconfigured,
    Problem,
    RateLimited,
    ValidationFailed,
)
from signup.web.cors import EXPOSED, MAX_AGE, SENT
from signup.web.https import STRICT_TRANSPORT_SECURITY
from signup.web.messages import ALWAYS
from signup.web.problem_details import problem_result

Json = dict[str, Any]

REQUEST_ID = "3f2c8d3e-6c5e-4f0a-9a57-0d2f1c7b9e41"

# The document exists only in the default language.
_TEXTS = texts(DEFAULT)
_ERRORS = [
    FieldError("email", "required"),
    FieldError("password", "too_short", 15),
    FieldError("role", "unknown_field"),
]
# A sample of each problem.
SAMPLES: dict[str, Problem] = {
    each.code: each
    for each in (MethodNotAllowed(("POST",)), ValidationFailed(_ERRORS), RateLimited(""), Misconfigured("", ""))
}
SAMPLES |= {code: problem() for code, problem in TABLE.items() if code not in SAMPLES}

_PROBLEM: Json = {
    "description": "Problem details (RFC 9457).",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "A path that describes the code."},
        "title": {"type": "string", "description": "A text for users, the same for each code."},
        "status": {"type": "integer", "description": "The status of the response."},
        "detail": {"type": "string", "description": "A text for users, without values of the request."},
        "instance": {
            "type": "string",
            "format": "uuid",
            "description": "The id of the request, which is also in the log.",
        },
        "code": {"enum": sorted(TABLE), "description": "A stable code for programs."},
    },
    "required": ["type", "title", "status", "detail", "instance", "code"],
}
_FIELD_ERROR: Json = {
    "description": "A field that is not valid.",
    "type": "object",
    "properties": {
        "pointer": {
            "type": "string",
            "format": "json-pointer",
            "description": "A JSON Pointer (RFC 6901) to the field.",
            "examples": ["/email", f"/{BOT_CHECK_FIELD}"],
        },
        "code": {"enum": sorted(get_args(FieldCode)), "description": "A stable code for programs."},
        "detail": {"type": "string", "description": "A text for users, without the value of the field."},
    },
    "required": ["pointer", "code", "detail"],
}
_VALIDATION_PROBLEM: Json = {
    "description": "Some fields are missing, invalid or unknown.",
    "allOf": [{"$ref": "#/components/schemas/Problem"}],
    "properties": {
        "code": {"const": ValidationFailed.code},
        "errors": {
            "type": "array",
            "minItems": 1,
            "maxItems": ValidationFailed.MOST_ERRORS,
            "items": {"$ref": "#/components/schemas/FieldError"},
        },
    },
    "required": ["errors"],
}
_EXPLANATION: Json = {
    "description": "The description of a code of problem details.",
    "type": "object",
    "properties": {name: schema for name, schema in _PROBLEM["properties"].items() if name != "instance"},
    "required": [name for name in _PROBLEM["required"] if name != "instance"],
}
SCHEMAS: Json = {
    "Problem": _PROBLEM,
    "ValidationProblem": _VALIDATION_PROBLEM,
    "FieldError": _FIELD_ERROR,
    "ProblemMeaning": _EXPLANATION,
}


def _header(description: str, schema: Json, *, required: bool = True) -> Json:
    return {"description": description, "required": required, "schema": schema}


_ALWAYS_TEXTS = {
    "cache-control": "The response must not be stored.",
    "x-content-type-options": "The media type must not be guessed.",
}
HEADERS: Json = {
    "x-request-id": _header(
        "The id of the request, which is also in the log.",
        {"type": "string", "format": "uuid", "examples": [REQUEST_ID]},
    ),
    **{name: _header(_ALWAYS_TEXTS[name], {"const": value}) for name, value in ALWAYS.items()},
    "strict-transport-security": _header(
        "Over HTTPS, from a deployed Worker: browsers use only HTTPS for this host.",
        {"const": STRICT_TRANSPORT_SECURITY},
        required=False,
    ),
    "retry-after": _header(
        "Seconds after which the client may try again.", {"type": "integer", "minimum": 0, "examples": [2]}
    ),
    "idempotency-replayed": _header(
        "Present if an earlier request with this Idempotency-Key created the user.", {"const": "true"}, required=False
    ),
    "content-language": _header(
        "The language of the page, or of `title` and `detail`.",
        {"type": "string", "pattern": "^[a-z]+$", "examples": [DEFAULT]},
    ),
    **{
        name: _header(text, {"type": "string"}, required=False)
        for name, text in (
            ("content-security-policy", "The Content Security Policy of the page."),
            ("referrer-policy", "The referrer policy of the page."),
            ("cross-origin-opener-policy", "The opener policy of the page."),
        )
    },
    "access-control-allow-origin": _header(
        "The origin of the page, if it is allowed to read the response.", {"type": "string"}, required=False
    ),
    "access-control-expose-headers": _header("The headers that the page may read.", {"const": EXPOSED}, required=False),
}
_EVERYWHERE = ("x-request-id", *ALWAYS, "strict-transport-security")
# The request headers on which the texts of a problem depend.
LANGUAGE = ("accept-language",)
CORS = ("access-control-allow-origin", "access-control-expose-headers")


def allow(methods: Iterable[str]) -> Json:
    """Return the Allow header of a path with these methods."""
    return {"allow": _header("The methods that this path supports.", {"const": ", ".join(methods)})}


def vary_on(*fields: str) -> Json:
    """Return the Vary header of a response that depends on these request headers, if there are any."""
    return (
        {"vary": _header("The request headers on which the response depends.", {"const": ", ".join(fields)})}
        if fields
        else {}
    )


def response(description: str, schema: Json | None, examples: Json, *headers: str) -> Json:
    """Return a Response Object of OpenAPI.

    Args:
        description: the description of the response.
        schema: the schema of the body; None for no body.
        examples: examples of the body, by name.
        headers: the names of the additional headers.
    """
    result: Json = {"description": description, "headers": _references(*_EVERYWHERE, *headers)}
    if schema is not None:
        named_examples = {name: {"value": value} for name, value in examples.items()}
        result["content"] = {"application/json": {"schema": schema, "examples": named_examples}}
    return result


def redirect(*headers: str, vary: Iterable[str] = ()) -> Json:
    """Return the response to a GET or HEAD over plain HTTP, by status.

    Args:
        headers: the names of the additional headers.
        vary: the request headers on which the response depends.
    """
    result = response("Over plain HTTP, to a deployed Worker: the same URL over HTTPS.", None, {}, *headers)
    location = _header("The URL over HTTPS.", {"type": "string", "format": "uri"})
    result["headers"] |= {"location": location, **vary_on(*vary)}
    return {"308": result}


def problems(codes: Iterable[str], methods: Iterable[str], *headers: str, vary: Iterable[str] = LANGUAGE) -> Json:
    """Return the responses with these codes, by status.

    Args:
        codes: the codes of the problems.
        methods: the methods that Allow lists in a 405.
        headers: the names of the additional headers.
        vary: the request headers on which the responses depend.
    """
    statuses: dict[int, list[Problem]] = {}
    for code in codes:
        statuses.setdefault(SAMPLES[code].status, []).append(SAMPLES[code])
    result = {str(status): _refusal(statuses[status], methods, headers) for status in sorted(statuses)}
    for each in result.values():
        each["headers"] |= vary_on(*vary)
    return result


def _refusal(samples: list[Problem], methods: Iterable[str], headers: Iterable[str]) -> Json:
    own_headers = {name for sample in samples for name in sample.headers()}
    result: Json = {
        "description": "\n".join(f"- `{sample.code}`: {_TEXTS.details[sample.code]}" for sample in samples),
        "headers": _references(*_EVERYWHERE, "content-language", *headers, *sorted(own_headers - {"allow"})),
        "content": {
            "application/problem+json": {
                "schema": _schema(samples),
                "examples": {
                    each.code: {
                        "summary": _TEXTS.titles[each.code],
                        "value": problem_result(each, REQUEST_ID, _TEXTS).content,
                    }
                    for each in samples
                },
            }
        },
    }
    if "allow" in own_headers:
        result["headers"] |= allow(methods)
    return result


def _schema(samples: list[Problem]) -> Json:
    plain_codes = [sample.code for sample in samples if not isinstance(sample, ValidationFailed)]
    schemas: list[Json] = (
        [{"$ref": "#/components/schemas/ValidationProblem"}] if len(plain_codes) < len(samples) else []
    )
    if plain_codes:
        constraints = {
            "status": {"const": samples[0].status},
            "code": {"enum": plain_codes},
            "type": {"enum": [TYPE_PREFIX + code for code in plain_codes]},
        }
        schemas.append({"allOf": [{"$ref": "#/components/schemas/Problem"}], "properties": constraints})
    return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}


def _references(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def referenced_headers(headers: Mapping[str, Json], text: str) -> Json:
    """Return the headers that the text references."""
    return {name: value for name, value in headers.items() if f'"#/components/headers/{name}"' in text}


def get_and_head(name: str, tag: str, summary: str, description: str, responses: Json) -> Json:
    """Return the operations GET and HEAD of a path."""
    get = {"operationId": name, "tags": [tag], "summary": summary, "description": description, "responses": responses}
    bodiless = {
        status: {key: value for key, value in each.items() if key != "content"} for status, each in responses.items()
    }
    head = {"operationId": f"{name}Head", "summary": f"{summary} (without a body)", "responses": bodiless}
    return {"get": get, "head": {**get, **head}}


def preflight(name: str, tag: str, methods: Iterable[str]) -> Json:
    """Return the operation OPTIONS of a path.

    Args:
        name: the id of the operation that the preflight is for.
        tag: the tag of that operation.
        methods: the methods of the path.
    """
    result = response("Pages of this origin may send the request.", None, {}, *CORS)
    result["headers"] |= vary_on("origin")
    permissions = {"allow-methods": "POST", "allow-headers": SENT, "max-age": str(MAX_AGE)}
    result["headers"] |= {
        f"access-control-{each}": {"required": True, "schema": {"const": value}} for each, value in permissions.items()
    }
    request_headers = (
        ("Origin", "The origin of the page.", "https://www.example.com"),
        ("Access-Control-Request-Method", "The method of the actual request.", "POST"),
    )
    return {
        "operationId": f"{name}Preflight",
        "tags": [tag],
        "summary": "CORS preflight",
        "description": "Browsers send it before the request itself. Without the two headers the response is 405.",
        "parameters": [
            {"name": header, "in": "header", "description": text, "schema": {"type": "string"}, "example": value}
            for header, text, value in request_headers
        ],
        "responses": {
            "204": result,
            **problems(
                ("cross_origin_refused", "https_required", "method_not_allowed", "misconfigured", "internal"),
                methods,
                *CORS,
                vary=(*LANGUAGE, "origin"),
            ),
        },
    }
