"""Validate every response in the end-to-end tests against the OpenAPI document of the stack that sent it.

The status, the headers and the body must match the document.
"""

import threading
from collections.abc import Callable

import httpx

from tests.described import Described

# Cloudflare serves static pages without the Worker, and wrangler responds with text while the Worker is not running.
# These media types are validated only where the document describes them.
NOT_OURS = ("text/html", "text/plain")


class NotDescribedError(AssertionError):
    """A response does not match the document; the message names the differences without the user's data."""


def validate(answer: httpx.Response, described: Described) -> None:
    """Validate a response against a document.

    Raises:
        NotDescribedError: the response does not match its description.
    """
    request = answer.request
    place = (request.method, request.url.path, answer.status_code)
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    if media_type in NOT_OURS and not described.describes(*place, media_type):
        return
    found = described.find_differences(*place, dict(answer.headers), answer.read())
    if found:
        raise NotDescribedError(f"{' '.join(map(str, place))}: {'; '.join(found)}")


def validate_answers(base_url: str) -> Callable[[httpx.Response], None]:
    """Return a response hook that validates each response against the stack's own document.

    The hook requests the document at the first response. A deliberately misconfigured stack has no document; the hook
    then tries again at the next response.
    """
    lock = threading.Lock()
    known: list[Described] = []

    def validate_answer(answer: httpx.Response) -> None:
        with lock:
            if not known:
                document = httpx.get(f"{base_url}/openapi.json", timeout=60)
                if document.status_code != httpx.codes.OK:
                    assert document.json()["code"] == "misconfigured"
                    return
                known.append(Described(document.json()))
        validate(answer, known[0])

    return validate_answer
