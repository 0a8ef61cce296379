"""The OpenAPI description of e-mail verification."""

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode

from signup.fields.verification import Removed, Requested, ResendRequest, TokenRequest, Verified
from signup.openapi.html_responses import HTML, METHODS, OF_PAGES, with_html
from signup.openapi.responses import (
    CORS,
    LANGUAGE,
    Json,
    get_and_head,
    preflight,
    problems,
    redirect,
    response,
    vary_on,
)
from signup.openapi.schemas import example
from signup.problems import BadVerificationToken, VerificationExpired
from signup.settings import Settings
from signup.web.messages import JSON, REMOVE, RESEND, VERIFY
from signup.web.negotiation import FORM

# The codes that only the verification paths return.
CODES = (BadVerificationToken.code, VerificationExpired.code)
# The models whose schemas the operations refer to.
MODELS: dict[type[BaseModel], JsonSchemaMode] = {
    TokenRequest: "validation",
    ResendRequest: "validation",
    Verified: "serialization",
    Removed: "serialization",
    Requested: "serialization",
}
_READING = """\
Shows a page with a button that verifies the address and one that removes the account. Opening the page has no effect,
so link previews and mail scanners cannot verify an address. Without a token the page has a form that requests another
e-mail."""
_VERIFYING = """\
Verify an address
Verifies the address of a token. The request is safe to repeat. The body is JSON, or the form of the page. The
response to the form is a page if `Accept` prefers `text/html`."""
_REMOVING = """\
Remove an account
Lets the owner of an address remove an unverified account that another person created with it. If another table refers
to the account, its row is kept without name, address and password. The body is JSON, or the form of the page."""
_RESENDING = """\
Request another e-mail
Sends another e-mail if there is an unverified account with this address and the last e-mail is not too recent. The
response and its timing are the same for every address. The body is JSON, or the form of the page."""
# The codes that every POST request to a verification path may get.
_POSTING = (
    *("malformed_json", "malformed_form", "cross_origin_refused", "https_required", "method_not_allowed"),
    *("body_timeout", "body_too_large", "unsupported_media_type", "validation_failed", "rate_limited"),
    *("misconfigured", "internal", "proxy_busy", "proxy_unavailable", "proxy_timeout"),
)


def verification_paths(settings: Settings) -> Json:
    """Return the paths of a deployment with verification."""
    cors = bool(settings.origins)
    return {
        VERIFY: _read(cors) | _post("verify", _VERIFYING, TokenRequest, Verified, cors),
        REMOVE: _post("remove", _REMOVING, TokenRequest, Removed, cors),
        RESEND: _post("resend", _RESENDING, ResendRequest, Requested, cors),
    }


def _read(cors: bool) -> Json:
    origin = ("origin",) if cors else ()
    vary = ("accept", *LANGUAGE, *origin)
    result = response("The page.", None, {}, "content-language", *OF_PAGES)
    pages = {"200": {**result, "headers": {**result["headers"], **vary_on(*vary)}, "content": HTML}}
    for status, each in problems(CODES, METHODS, *OF_PAGES, vary=vary).items():
        pages[status] = {**each, "content": HTML}
    refused = problems(("not_acceptable", "misconfigured", "internal"), METHODS, vary=(*LANGUAGE, *origin))
    operations = get_and_head(
        "verifyPage", "verification", "Read the verification page", _READING, pages | redirect(vary=origin) | refused
    )
    token: Json = {
        "name": "token",
        "in": "query",
        "description": "The token of the link in the e-mail.",
        "schema": {"type": "string"},
        "example": example(TokenRequest)["token"],
    }
    return {method: {**operation, "parameters": [token]} for method, operation in operations.items()}


def _post(name: str, text: str, request: type[BaseModel], success: type[BaseModel], cors: bool) -> Json:
    """Return the operation POST, and the preflight if pages of other origins may send the request."""
    headers, origin = (CORS, ("origin",)) if cors else ((), ())
    status, codes = ("202", ()) if success is Requested else ("200", CODES)
    summary, _, description = text.partition("\n")
    methods = METHODS if success is Verified else ("POST",)
    schema = {"$ref": f"#/components/schemas/{success.__name__}"}
    responses = {status: response("The request succeeded.", schema, {"done": example(success)}, *headers)}
    responses |= problems((*codes, *_POSTING), methods, *headers, vary=(*LANGUAGE, *origin))
    content = {
        "schema": {"$ref": f"#/components/schemas/{request.__name__}"},
        "examples": {"grace": {"value": example(request)}},
    }
    operation = {
        "operationId": name,
        "tags": ["verification"],
        "summary": summary,
        "description": description,
        "requestBody": {"required": True, "content": {JSON: content, FORM: content}},
        "responses": dict(sorted(with_html(responses, origin).items())),
    }
    return {"post": operation} | ({"options": preflight(name, "verification", methods)} if cors else {})
