"""Every answer that the end-to-end tests get is held against the OpenAPI document of the stack that gave it.

Whatever a test is about, and whichever fault it injects: status, headers and body are as the document of those settings
says.
"""

import threading
from collections.abc import Callable

import httpx

from tests.described import Described

# Pages, which Cloudflare may answer with by itself, and what wrangler says itself when it has lost the Worker: they are
# held against the document where it tells of them.
NOT_OURS = ("text/html", "text/plain")


class NotDescribedError(AssertionError):
    """An answer is not as the document says; the message says in what, and shows no value of a user's."""


def hold(answer: httpx.Response, described: Described) -> None:
    """Hold an answer against a document.

    Raises:
        NotDescribedError: it is not as it is described.
    """
    request = answer.request
    place = (request.method, request.url.path, answer.status_code)
    media_type = answer.headers.get("content-type", "").partition(";")[0]
    if media_type in NOT_OURS and not described.tells_of(*place, media_type):
        return
    found = described.objections(*place, dict(answer.headers), answer.read())
    if found:
        raise NotDescribedError(f"{' '.join(map(str, place))}: {'; '.join(found)}")


def hold_answers(base_url: str) -> Callable[[httpx.Response], None]:
    """Return what holds each answer of a stack against its own document, which is asked for at the first answer.

    Where a test has broken a setting on purpose there is none: it is asked for again at the next answer.
    """
    lock = threading.Lock()
    known: list[Described] = []

    def hold_answer(answer: httpx.Response) -> None:
        with lock:
            if not known:
                document = httpx.get(f"{base_url}/openapi.json", timeout=60)
                if document.status_code != httpx.codes.OK:
                    assert document.json()["code"] == "misconfigured"
                    return
                known.append(Described(document.json()))
        hold(answer, known[0])

    return hold_answer
