"""Requests, responses and routes: the vocabulary that the routes, the pages and the API's description share."""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

LARGEST_BODY = 16 * 1024
# Visible ASCII. The draft's examples are quoted strings of a structured field; the quotes are then part of the key.
KEY = re.compile(r"[\x21-\x7e]{1,255}")

JSON = "application/json"
ALWAYS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


# Not frozen, as nothing is that is made for each request: making it would take several times as long.
@dataclass(slots=True)
class Request:
    """A request.

    Args:
        method: as it came, which is upper case.
        path: of the URL, without query.
        headers: names in lower case.
        origin: of the URL.
        query: of the URL, with its question mark; "" when there is none.
        read: returns the body, or None when it is longer than so many bytes. It raises `MalformedJson` when the body is
            cut off, and `BodyTimeout` when it is not there by a time on the monotonic clock. Called at most once.
        country: of the client, as ISO 3166-1 has it, in two letters; None where Cloudflare does not say.
        colo: Cloudflare's data centre that took the request, as an airport's three letters; None elsewhere.
        id: a UUID, by which the answer and the log name the request.
        arrived: when, in seconds on the monotonic clock; its deadline counts from here.
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
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(slots=True)
class RouteResult:
    """What a route returns, without the headers of every response. Bytes are sent as they are, the rest as JSON."""

    status: int
    content: object
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


Route = Callable[[Request], Awaitable[RouteResult]]


class FormRefused(Exception):
    """A posted form failed, and its page is the response.

    Args:
        cause: the error.
        form: the form.
    """

    def __init__(self, cause: Exception, form: "PostedForm") -> None:
        super().__init__()
        self.cause = cause
        self.form = form


class PostedForm(Protocol):
    """What a page needs of a form to show it again."""

    @property
    def fields(self) -> Mapping[str, str]:
        """What was typed, by the name of the field."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers of the JSON request that the form stands for."""
        ...
