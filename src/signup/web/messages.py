"""The types of requests, responses and routes, for routes, pages and the OpenAPI document."""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from signup.problems import Problem

# The maximum size of a request body, in bytes.
LARGEST_BODY = 16 * 1024
# An idempotency key, in visible ASCII. If a client quotes it, as the IETF draft does, the quotes are part of the key.
KEY = re.compile(r"[\x21-\x7e]{1,255}")

# Seconds of REQUEST_DEADLINE that are reserved for overhead outside the routes, such as sending the response.
MARGIN = 0.25
# The header with the client's IP address. Cloudflare sets it, and clients cannot.
CLIENT = "cf-connecting-ip"
# The paths of e-mail verification and their methods: verify an address, remove the account, request another e-mail.
VERIFY, REMOVE, RESEND = "/verify", "/verify/remove", "/verify/resend"
VERIFICATION_PATHS = {
    VERIFY: ("POST", "GET", "HEAD", "OPTIONS"),
    REMOVE: ("POST", "OPTIONS"),
    RESEND: ("POST", "OPTIONS"),
}

JSON = "application/json"
# Headers that have the same value in every response.
ALWAYS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


# The dataclasses of a request are not frozen, because creating a frozen instance takes several times as long.
@dataclass(slots=True)
class Request:
    """An HTTP request.

    Args:
        method: the method, in upper case.
        path: the path of the URL, without the query.
        headers: the headers, with names in lower case.
        origin: the origin of the URL.
        query: the query of the URL with its question mark, or "".
        read: takes a limit in bytes and a deadline on the monotonic clock. Returns the body, or None if it is longer
            than the limit. Raises `MalformedJson` if the body is cut off, and `BodyTimeout` at the deadline. It may be
            called only once.
        country: the client's two-letter country code (ISO 3166-1); None if unknown.
        colo: the three-letter airport code of Cloudflare's data centre; None if unknown.
        id: a UUID for the response and the log.
        arrived: the time of arrival, in seconds on the monotonic clock; the deadline counts from it.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    read: Callable[[int, float], Awaitable[bytes | None]]
    origin: str = ""
    query: str = ""
    country: str | None = None
    colo: str | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    arrived: float = field(default_factory=time.monotonic)


@dataclass(slots=True)
class Response:
    """An HTTP response.

    Args:
        status: the HTTP status code.
        headers: the headers, with names in lower case.
        body: the body; empty for none.
        afterwards: does the work that continues after the response; None if there is none.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    afterwards: Callable[[], Awaitable[None]] | None = None


@dataclass(slots=True)
class RouteResult:
    """The result of a route, without the headers that all responses have.

    Bytes are sent unchanged, None as an empty body, and other content as JSON. `Response` describes `afterwards`.
    """

    status: int
    content: object
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    afterwards: Callable[[], Awaitable[None]] | None = None


Route = Callable[[Request], Awaitable[RouteResult]]


class PageFailed(Exception):
    """A request failed, and the response is a page.

    Args:
        cause: the error.
        render: returns the page with the error.
    """

    def __init__(self, cause: Exception, render: Callable[[Problem], RouteResult]) -> None:
        super().__init__()
        self.cause = cause
        self.render = render
