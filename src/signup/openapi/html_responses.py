"""The parts of the OpenAPI document for the page: the page itself, its form, and the responses to the form."""

from signup.fields.extra_fields import ExtraFields
from signup.fields.models import EXTRA_FIELD, INVITATION_FIELD
from signup.invitations.tokens import LONGEST_TOKEN
from signup.openapi.responses import (
    CORS,
    HEADERS,
    LANGUAGE,
    REQUEST_ID,
    Json,
    get_and_head,
    problems,
    redirect,
    response,
    vary_on,
)
from signup.problems import BadInvitation
from signup.settings import Settings
from signup.web.form_body import KEY_FIELD
from signup.web.messages import KEY
from signup.web.negotiation import FORM

READING = ("GET", "HEAD")
# The Allow header of `/`.
METHODS = ("POST", *READING)
# Headers that only HTML pages have.
OF_PAGES = ("content-security-policy", "referrer-policy", "cross-origin-opener-policy")
HTML: Json = {
    "text/html": {
        "schema": {"type": "string", "description": "The page."},
        "examples": {"page": {"value": '<!doctype html>\n<html lang="en">\u2026</html>\n'}},
    }
}
# The schema of the field `invitation`.
INVITATION: Json = {
    "type": "string",
    "minLength": 1,
    "maxLength": LONGEST_TOKEN,
    "description": "The token of an invitation, from its link.",
    "examples": ["WzEsImEiXQ.c2lnbmF0dXJl"],
}


def read_page(settings: Settings) -> Json:
    """Return the operations that read the page."""
    cors, origin = (CORS, ("origin",)) if settings.origins else ((), ())
    vary = ("accept", *LANGUAGE, *origin)
    result = response("The page.", None, {}, "content-language", *OF_PAGES, *cors)
    result["headers"] |= vary_on(*vary)
    result["content"] = HTML
    content = "A notice that sign-ups are closed" if settings.closed else "The sign-up page"
    if settings.invites:
        content += ", or without an invitation a notice that one is needed"
    description = f"{content}; 406 if `Accept` does not allow `text/html`."
    refused = problems(("not_acceptable",), METHODS, *cors, vary=vary)
    responses = {"200": result, **redirect(*cors, vary=origin), **refused}
    if settings.invites:
        ((status, page),) = problems((BadInvitation.code,), METHODS, *OF_PAGES, *cors, vary=vary).items()
        responses[status] = {**page, "content": HTML}
    operations = get_and_head("signUpPage", "sign-up", "Read the sign-up page", description, responses)
    if settings.invites:
        schema = {"type": "string"}
        link: Json = {"name": INVITATION_FIELD, "in": "query", "schema": schema, "example": INVITATION["examples"][0]}
        link["description"] = INVITATION["description"]
        operations = {method: {**operation, "parameters": [link]} for method, operation in operations.items()}
    return operations


def form_schema(request: Json, extra: ExtraFields | None) -> Json:
    """Return the schema of the form.

    Args:
        request: the schema of the same request in JSON.
        extra: the fields of `EXTRA_FIELDS`, which the form has in addition; None if the setting is empty.
    """
    description = "An idempotency key, instead of the header Idempotency-Key."
    key = {"type": "string", "description": description, "pattern": f"^{KEY.pattern}$", "examples": [REQUEST_ID]}
    properties = {**request["properties"], KEY_FIELD: key}
    required = request["required"]
    if extra is not None:
        del properties[EXTRA_FIELD]
        properties |= extra.form_schemas()
        required = [name for name in required if name != EXTRA_FIELD] + extra.required_in_form()
    return {**request, "properties": properties, "required": required, "description": "The form of the page."}


def form(example: Json) -> Json:
    """Return the media type of the form, with an example."""
    schema = {"$ref": "#/components/schemas/SignUpForm"}
    return {FORM: {"schema": schema, "examples": {"grace": {"value": {**example, KEY_FIELD: REQUEST_ID}}}}}


def with_pages(responses: Json, settings: Settings) -> Json:
    """Return the responses to a sign-up, including the pages in response to the form.

    Args:
        responses: the responses in JSON, by status.
        settings: the settings of the deployment.
    """
    origin = ("origin",) if settings.origins else ()
    result = with_html(responses, origin)
    if settings.next_url:
        location = {
            "description": "The URL of `NEXT_URL`.",
            "required": True,
            "schema": {"type": "string", "format": "uri"},
        }
        names = ("content-language", "idempotency-replayed", *OF_PAGES, *(CORS if origin else ()))
        result["303"] = response("The form was accepted. The browser continues at `NEXT_URL`.", None, {}, *names)
        result["303"]["headers"] |= {"location": location, **vary_on(*LANGUAGE, *origin)}
    return dict(sorted(result.items()))


def with_html(responses: Json, origin: tuple[str, ...] = ()) -> Json:
    """Return the responses with HTML pages as the alternative to JSON.

    Args:
        responses: the responses in JSON, by status.
        origin: `("origin",)` if responses depend on this header, else empty.
    """
    result: Json = {}
    for status, json_response in responses.items():
        headers: Json = {name: {"$ref": f"#/components/headers/{name}"} for name in OF_PAGES}
        if status < "3":
            # The JSON response does not depend on the language.
            variants = [vary_on(*fields) for fields in (origin, (*LANGUAGE, *origin)) if fields]
            vary = {**variants[0]["vary"], "required": bool(origin)}
            vary["schema"] = {"enum": [each["vary"]["schema"]["const"] for each in variants]}
            headers |= {"content-language": {**HEADERS["content-language"], "required": False}, "vary": vary}
        result[status] = {
            **json_response,
            "headers": {**json_response["headers"], **headers},
            "content": {**json_response["content"], **HTML},
        }
    return result
