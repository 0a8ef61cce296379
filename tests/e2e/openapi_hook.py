"""Validate each response to the client of an end-to-end stack against the OpenAPI document of that stack.

The status, the headers and the body must match the document.
"""

import threading
from collections.abc import Callable

import httpx

from tests.described import Described

# Cloudflare serves static pages without the Worker, and wrangler responds with text while the Worker is not running.
# These media types are validated only where the document describes them.
FOREIGN_MEDIA_TYPES = ("text/html", "text/plain")


class NotDescribedError(AssertionError):
    """A response does not match the document; the message lists the differences."""


def validate(response: httpx.Response, described: Described) -> None:
    """Validate a response against a document.

    Raises:
        NotDescribedError: the response does not match its description.
    """
    request = response.request
    response_key = (request.method, request.url.path, response.status_code)
    media_type = response.headers.get("content-type", "").partition(";")[0]
    if media_type in FOREIGN_MEDIA_TYPES and not described.describes(*response_key, media_type):
        return
    differences = described.find_differences(*response_key, dict(response.headers), response.read())
    if differences:
        raise NotDescribedError(f"{' '.join(map(str, response_key))}: {'; '.join(differences)}")


def validate_responses(base_url: str) -> Callable[[httpx.Response], None]:
    """Return a response hook that validates each response against the stack's own document.

    The hook requests the document at the first response. A deliberately misconfigured stack has no document; the hook
    then tries again at the next response.
    """
    lock = threading.Lock()
    documents: list[Described] = []

    def validate_response(response: httpx.Response) -> None:
        with lock:
            if not documents:
                document = httpx.get(f"{base_url}/openapi.json", timeout=60)
                if document.status_code != httpx.codes.OK:
                    assert document.json()["code"] == "misconfigured"
                    return
                documents.append(Described(document.json()))
        validate(response, documents[0])

    return validate_response
