"""The OpenAPI document's answers: for each status what it says, in which headers, with an example for each code.

A problem's title, detail, status and headers are those of a sample of it, so that the document says what the code does.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from signup.fields.models import BOT_CHECK_FIELD
from signup.problems import (
    TABLE,
    TYPE_PREFIX,
    BadIdempotencyKey,
    BodyTimeout,
    BodyTooLarge,
    BotCheckUnavailable,
    BreachCheckUnavailable,
    CrossOriginRefused,
    EmailTaken,
    FieldError,
    HttpsRequired,
    IdempotencyMismatch,
    MalformedForm,
    MalformedJson,
    MethodNotAllowed,
    Misconfigured,
    NotAcceptable,
    NotFound,
    Problem,
    ProxyBusy,
    ProxyTimeout,
    ProxyUnavailable,
    RateLimited,
    TooBusy,
    UnsupportedMediaType,
    ValidationFailed,
)
from signup.web.cors import EXPOSED
from signup.web.https import STRICT_TRANSPORT_SECURITY
from signup.web.messages import ALWAYS, problem_result
from signup.web.negotiation import LANGUAGES

Json = dict[str, Any]

REQUEST_ID = "3f2c8d3e-6c5e-4f0a-9a57-0d2f1c7b9e41"

_ERRORS = [
    FieldError("/email", "required", "is required"),
    FieldError("/password", "too_short", "must be at least 15 characters long"),
    FieldError("/role", "unknown_field", "is not a known field"),
]
# One of each code. Their reasons go nowhere.
SAMPLES: dict[str, Problem] = {
    sample.code: sample
    for sample in (
        *(MalformedJson(), MalformedForm(), BadIdempotencyKey(), CrossOriginRefused(), HttpsRequired()),
        NotFound(),
        MethodNotAllowed(("POST",)),
        *(
            NotAcceptable(),
            BodyTimeout(),
            EmailTaken(),
            BodyTooLarge(),
            UnsupportedMediaType(),
            ValidationFailed(_ERRORS),
            IdempotencyMismatch(),
        ),
        *(RateLimited(""), Misconfigured("", ""), Problem(), BotCheckUnavailable(), BreachCheckUnavailable("")),
        *(TooBusy("", 1), ProxyBusy(""), ProxyUnavailable(""), ProxyTimeout("")),
    )
}

_PROBLEM: Json = {
    "description": "Problem details (RFC 9457).",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "description": "Leads to what the code means."},
        "title": {"type": "string", "description": "For people; the same for each code."},
        "status": {"type": "integer", "description": "The status of the answer."},
        "detail": {"type": "string", "description": "For people; never repeats what was sent."},
        "instance": {"type": "string", "format": "uuid", "description": "The request's id, which the log has too."},
        "code": {"enum": sorted(TABLE), "description": "Stable: what a program decides by."},
    },
    "required": ["type", "title", "status", "detail", "instance", "code"],
}
_FIELD_ERROR: Json = {
    "description": "One failing field.",
    "type": "object",
    "properties": {
        "pointer": {
            "type": "string",
            "format": "json-pointer",
            "description": "Where it is (RFC 6901).",
            "examples": ["/email", f"/{BOT_CHECK_FIELD}"],
        },
        "code": {"type": "string", "description": "Stable.", "examples": ["required", "too_short", "too_common"]},
        "detail": {"type": "string", "description": "For people, without the value.", "examples": ["is required"]},
    },
    "required": ["pointer", "code", "detail"],
}
_VALIDATION_PROBLEM: Json = {
    "description": "The problem of fields that are missing, wrong or unknown.",
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
_MEANING: Json = {
    "description": "What a code of problem details means.",
    "type": "object",
    "properties": {name: schema for name, schema in _PROBLEM["properties"].items() if name != "instance"},
    "required": [name for name in _PROBLEM["required"] if name != "instance"],
}
SCHEMAS: Json = {
    "Problem": _PROBLEM,
    "ValidationProblem": _VALIDATION_PROBLEM,
    "FieldError": _FIELD_ERROR,
    "ProblemMeaning": _MEANING,
}


def _header(description: str, schema: Json, *, required: bool = True) -> Json:
    return {"description": description, "required": required, "schema": schema}


_TEXTS = {
    "cache-control": "Nothing is to be kept.",
    "x-content-type-options": "The media type is what it says.",
}
HEADERS: Json = {
    "x-request-id": _header(
        "The request's id, which the log has too.", {"type": "string", "format": "uuid", "examples": [REQUEST_ID]}
    ),
    **{name: _header(_TEXTS[name], {"const": value}) for name, value in ALWAYS.items()},
    "strict-transport-security": _header(
        "Over HTTPS, where this is deployed: it is not to be asked for in the clear.",
        {"const": STRICT_TRANSPORT_SECURITY},
        required=False,
    ),
    "retry-after": _header("Seconds after which to come back.", {"type": "integer", "minimum": 0, "examples": [2]}),
    "idempotency-replayed": _header(
        "There when an earlier request with this Idempotency-Key made the user.", {"const": "true"}, required=False
    ),
    "content-language": _header("The language of what is for people.", {"enum": [*LANGUAGES]}),
    **{
        name: _header(text, {"type": "string"}, required=False)
        for name, text in (
            ("content-security-policy", "Of a page: what it may load, and where its form leads."),
            ("referrer-policy", "Of a page."),
            ("cross-origin-opener-policy", "Of a page."),
        )
    },
    "access-control-allow-origin": _header(
        "The page's origin, when it is one of those that may read the answer.", {"type": "string"}, required=False
    ),
    "access-control-expose-headers": _header("Which headers the page may read.", {"const": EXPOSED}, required=False),
}
_EVERYWHERE = ("x-request-id", *ALWAYS, "strict-transport-security")
# What a problem's texts depend on.
LANGUAGE = ("accept-language",)
CORS = ("access-control-allow-origin", "access-control-expose-headers")


def allow(methods: Iterable[str]) -> Json:
    """Return the Allow header of a path with these methods."""
    return {"allow": _header("The methods that this path has.", {"const": ", ".join(methods)})}


def depends(*fields: str) -> Json:
    """Return the Vary header of an answer that depends on these header fields of the request, if there are any."""
    return {"vary": _header("What the answer depends on.", {"const": ", ".join(fields)})} if fields else {}


def answer(description: str, schema: Json | None, examples: Json, *headers: str) -> Json:
    """Return an answer's description.

    Args:
        description: of it.
        schema: of its body; None when it has none.
        examples: by name.
        headers: beyond those that every answer has, and those that belong to its codes.
    """
    found: Json = {"description": description, "headers": _references(*_EVERYWHERE, *headers)}
    if schema is not None:
        named = {name: {"value": value} for name, value in examples.items()}
        found["content"] = {"application/json": {"schema": schema, "examples": named}}
    return found


def redirect(*headers: str, vary: Iterable[str] = ()) -> Json:
    """Return the answer to what is read over plain HTTP, by status.

    Args:
        headers: beyond those that every answer has.
        vary: the header fields of the request that it depends on.
    """
    found = answer("Over plain HTTP, where this is deployed: the same URL over HTTPS.", None, {}, *headers)
    found["headers"] |= {"location": _header("Where to.", {"type": "string", "format": "uri"}), **depends(*vary)}
    return {"308": found}


def problems(codes: Iterable[str], methods: Iterable[str], *headers: str, vary: Iterable[str] = LANGUAGE) -> Json:
    """Return the answers of these codes, by status.

    Args:
        codes: at least one.
        methods: what Allow says in a 405.
        headers: beyond those that every answer has.
        vary: the header fields of the request that they depend on.
    """
    statuses: dict[int, list[Problem]] = {}
    for code in codes:
        statuses.setdefault(SAMPLES[code].status, []).append(SAMPLES[code])
    found = {str(status): _refusal(statuses[status], methods, headers) for status in sorted(statuses)}
    for each in found.values():
        each["headers"] |= depends(*vary)
    return found


def _refusal(samples: list[Problem], methods: Iterable[str], headers: Iterable[str]) -> Json:
    own = {name for sample in samples for name in sample.headers()}
    found: Json = {
        "description": "\n".join(f"- `{sample.code}`: {sample.detail}" for sample in samples),
        "headers": _references(*_EVERYWHERE, "content-language", *headers, *sorted(own - {"allow"})),
        "content": {
            "application/problem+json": {
                "schema": _schema(samples),
                "examples": {
                    each.code: {"summary": each.title, "value": problem_result(each, REQUEST_ID).content}
                    for each in samples
                },
            }
        },
    }
    if "allow" in own:
        found["headers"] |= allow(methods)
    return found


def _schema(samples: list[Problem]) -> Json:
    plain = [sample.code for sample in samples if not sample.members()]
    schemas: list[Json] = [{"$ref": "#/components/schemas/ValidationProblem"}] if len(plain) < len(samples) else []
    if plain:
        narrowed = {
            "status": {"const": samples[0].status},
            "code": {"enum": plain},
            "type": {"enum": [TYPE_PREFIX + code for code in plain]},
        }
        schemas.append({"allOf": [{"$ref": "#/components/schemas/Problem"}], "properties": narrowed})
    return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}


def _references(*names: str) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def used(headers: Mapping[str, Json], text: str) -> Json:
    """Return those of the headers that a text refers to."""
    return {name: value for name, value in headers.items() if f'"#/components/headers/{name}"' in text}
