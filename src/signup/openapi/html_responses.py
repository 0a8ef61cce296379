"""The parts of the OpenAPI document for the page: the page itself, its form, and the responses to the form."""

from signup.openapi.responses import CORS, HEADERS, LANGUAGE, REQUEST_ID, Json, problems, redirect, response, vary_on
from signup.settings import Settings
from signup.web.form_body import KEY_FIELD
from signup.web.messages import KEY
from signup.web.negotiation import FORM

READING = ("GET", "HEAD")
# The Allow header of `/`.
METHODS = ("POST", *READING)
# Headers that only pages have.
OF_PAGES = ("content-security-policy", "referrer-policy", "cross-origin-opener-policy")
HTML: Json = {
    "text/html": {
        "schema": {"type": "string", "description": "The page."},
        "examples": {"page": {"value": '<!doctype html>\n<html lang="en">\u2026</html>\n'}},
    }
}


def read_page(settings: Settings) -> tuple[str, str, str, str, Json]:
    """Return the id, tag, summary, description and responses of the operation that reads the page."""
    cors, origin = (CORS, ("origin",)) if settings.origins else ((), ())
    vary = ("accept", *LANGUAGE, *origin)
    found = response("The page.", None, {}, "content-language", *OF_PAGES, *cors)
    found["headers"] |= vary_on(*vary)
    found["content"] = HTML
    content = "A notice that sign-ups are closed" if settings.closed else "The sign-up page"
    description = f"{content}; 406 if `Accept` does not allow `text/html`."
    refused = problems(("not_acceptable",), METHODS, *cors, vary=vary)
    responses = {"200": found, **redirect(*cors, vary=origin), **refused}
    return "signUpPage", "sign-up", "Read the sign-up page", description, responses


def form_schema(request: Json) -> Json:
    """Return the schema of the form.

    Args:
        request: the schema of the same request in JSON.
    """
    described = "An idempotency key, instead of the header Idempotency-Key."
    key = {"type": "string", "description": described, "pattern": f"^{KEY.pattern}$", "examples": [REQUEST_ID]}
    return {**request, "properties": {**request["properties"], KEY_FIELD: key}, "description": "The form of the page."}


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
    found = with_html(responses, origin)
    if settings.next_url:
        to = {"description": "The URL of `NEXT_URL`.", "required": True, "schema": {"type": "string", "format": "uri"}}
        names = ("content-language", "idempotency-replayed", *OF_PAGES, *(CORS if origin else ()))
        found["303"] = response("The form was accepted. The browser continues at `NEXT_URL`.", None, {}, *names)
        found["303"]["headers"] |= {"location": to, **vary_on(*LANGUAGE, *origin)}
    return dict(sorted(found.items()))


def with_html(responses: Json, origin: tuple[str, ...] = ()) -> Json:
    """Return the responses to JSON, with the pages that answer the form instead.

    Args:
        responses: the responses in JSON, by status.
        origin: the header `origin`, if responses depend on it.
    """
    found: Json = {}
    for status, given in responses.items():
        headers: Json = {name: {"$ref": f"#/components/headers/{name}"} for name in OF_PAGES}
        if status < "3":
            # The JSON response does not depend on the language.
            either = [vary_on(*fields) for fields in (origin, (*LANGUAGE, *origin)) if fields]
            vary = {**either[0]["vary"], "required": bool(origin)}
            vary["schema"] = {"enum": [each["vary"]["schema"]["const"] for each in either]}
            headers |= {"content-language": {**HEADERS["content-language"], "required": False}, "vary": vary}
        found[status] = {
            **given,
            "headers": {**given["headers"], **headers},
            "content": {**given["content"], **HTML},
        }
    return found
