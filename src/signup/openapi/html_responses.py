"""The OpenAPI document's part for people: the page, the form that it posts, and the pages that answer it."""

from signup.openapi.responses import CORS, HEADERS, LANGUAGE, REQUEST_ID, Json, answer, depends, problems, redirect
from signup.settings import Settings
from signup.web.form_body import KEY_FIELD
from signup.web.messages import KEY
from signup.web.negotiation import FORM

READING = ("GET", "HEAD")
# What Allow says at `/`.
METHODS = ("POST", *READING)
# Header fields that only pages have.
OF_PAGES = ("content-security-policy", "referrer-policy", "cross-origin-opener-policy")
_HTML: Json = {
    "text/html": {
        "schema": {"type": "string", "description": "The page."},
        "examples": {"page": {"value": '<!doctype html>\n<html lang="en">\u2026</html>\n'}},
    }
}


def read_page(settings: Settings) -> tuple[str, str, str, str, Json]:
    """Return of reading the page its id, tag, summary, description and answers."""
    cors, origin = (CORS, ("origin",)) if settings.origins else ((), ())
    vary = ("accept", *LANGUAGE, *origin)
    found = answer("The page.", None, {}, "content-language", *OF_PAGES, *cors)
    found["headers"] |= depends(*vary)
    found["content"] = _HTML
    description = "The page that signs users up, in English or German; 406 where `Accept` does not allow `text/html`."
    refused = problems(("not_acceptable",), METHODS, *cors, vary=vary)
    return "signUpPage", "sign-up", "The page", description, {"200": found, **redirect(*cors, vary=origin), **refused}


def form_schema(request: Json) -> Json:
    """Return the schema of the form.

    Args:
        request: of the same in JSON.
    """
    described = "An idempotency key, as in the header Idempotency-Key, and instead of it."
    key = {"type": "string", "description": described, "pattern": f"^{KEY.pattern}$", "examples": [REQUEST_ID]}
    return {**request, "properties": {**request["properties"], KEY_FIELD: key}, "description": "What the page posts."}


def form(example: Json) -> Json:
    """Return the media type of the form, with an example."""
    schema = {"$ref": "#/components/schemas/SignUpForm"}
    return {FORM: {"schema": schema, "examples": {"grace": {"value": {**example, KEY_FIELD: REQUEST_ID}}}}}


def with_pages(responses: Json, settings: Settings) -> Json:
    """Return the answers to a sign-up together with those pages that answer the form.

    Args:
        responses: those in JSON, by status.
        settings: the deployment's.
    """
    origin = ("origin",) if settings.origins else ()
    found: Json = {}
    for status, response in responses.items():
        headers: Json = {name: {"$ref": f"#/components/headers/{name}"} for name in OF_PAGES}
        if status < "3":
            # The answer in JSON is the same in all languages.
            either = [depends(*fields) for fields in (origin, (*LANGUAGE, *origin)) if fields]
            vary = {**either[0]["vary"], "required": bool(origin)}
            vary["schema"] = {"enum": [each["vary"]["schema"]["const"] for each in either]}
            headers |= {"content-language": {**HEADERS["content-language"], "required": False}, "vary": vary}
        found[status] = {
            **response,
            "headers": {**response["headers"], **headers},
            "content": {**response["content"], **_HTML},
        }
    if settings.next_url:
        to = {"description": "Where to go.", "required": True, "schema": {"type": "string", "format": "uri"}}
        names = ("content-language", "idempotency-replayed", *OF_PAGES, *(CORS if origin else ()))
        found["303"] = answer("To a form: it is done, and the browser goes on to `NEXT_URL`.", None, {}, *names)
        found["303"]["headers"] |= {"location": to, **depends(*LANGUAGE, *origin)}
    return dict(sorted(found.items()))
