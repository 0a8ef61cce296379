"""Requests, responses and routes: the vocabulary that the routes, the pages and the API's description share."""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from signup.problems import Problem

LARGEST_BODY = 16 * 1024
# Visible ASCII. The draft's examples are quoted strings of a structured field; the quotes are then part of the key.
KEY = re.compile(r"[\x21-\x7e]{1,255}")

# Seconds of REQUEST_DEADLINE that are kept for what comes before and after the work.
MARGIN = 0.25
# What Cloudflare says of where a request came from; a client cannot set it there.
CLIENT = "cf-connecting-ip"
# The paths of e-mail verification and their methods, which exist where it is on: verify an address, remove the account,
# request another mail.
VERIFY, REMOVE, RESEND = "/verify", "/verify/remove", "/verify/resend"
VERIFICATION_PATHS = {VERIFY: ("POST", "GET", "HEAD"), REMOVE: ("POST",), RESEND: ("POST",)}

JSON = "application/json"
ALWAYS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


# Objects of each request are not frozen, because making a frozen one takes several times as long.
@dataclass(slots=True)
class Request:
    """A request.

    Args:
        method: the method, in upper case.
        path: the path of the URL, without the query.
        headers: the headers, with names in lower case.
        origin: the origin of the URL.
        query: the query of the URL with its question mark, or "".
        read: returns the body, or None if it has more bytes than its first argument. It raises `MalformedJson` if the
            body is cut off, and `BodyTimeout` after the time on the monotonic clock that is its second argument. It
            may be called once.
        country: the country of the client, two letters (ISO 3166-1); None if Cloudflare does not say.
        colo: the data centre of Cloudflare, the three letters of an airport; None elsewhere.
        id: a UUID, which is in the response and in the log.
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
    """A response.

    Args:
        status: the status.
        headers: the headers.
        body: the body.
        afterwards: what to do once the response is sent.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = b""
    afterwards: Callable[[], Awaitable[None]] | None = None


@dataclass(slots=True)
class RouteResult:
    """The result of a route, without the headers of every response. Bytes are sent as they are, the rest as JSON.

    `afterwards` is as in `Response`.
    """

    status: int
    content: object
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)
    afterwards: Callable[[], Awaitable[None]] | None = None


Route = Callable[[Request], Awaitable[RouteResult]]


class PageFailed(Exception):
    """A request for a page or of a form failed, and a page is the response.

    Args:
        cause: the error.
        render: returns the page that shows it.
    """

    def __init__(self, cause: Exception, render: Callable[[Problem], RouteResult]) -> None:
        super().__init__()
        self.cause = cause
        self.render = render
