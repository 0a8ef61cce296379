"""HTTP: routes, and what an answer looks like. Requests and responses are plain; `edge` makes and sends them."""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from traceback import extract_tb
from typing import Protocol

from signup.database.proxy import DataProxy
from signup.fields.models import Accepted, Created, Rules, SignUpRequest
from signup.guards.rate_limits import Limits
from signup.json_codec import encode, parse_object
from signup.problems import (
    TABLE,
    TYPE_PREFIX,
    BadIdempotencyKey,
    BodyTooLarge,
    DatabaseError,
    EmailTaken,
    HttpsRequired,
    MethodNotAllowed,
    Misconfigured,
    NotFound,
    Problem,
    UnsupportedMediaType,
)
from signup.registration.service import Attempt, SignUp
from signup.web.cors import Origins
from signup.web.https import is_insecure, secure_url, security_headers
from signup.web.response_timing import until_the_next_tick

LARGEST_BODY = 16 * 1024
# Seconds of REQUEST_DEADLINE that are kept for what comes before and after the work.
MARGIN = 0.25
# Shows that proxy and database answer, and needs no right on anything.
PING = "SELECT 1"

# Visible ASCII. The draft's examples are quoted strings of a structured field; the quotes are then part of the key.
KEY = re.compile(r"[\x21-\x7e]{1,255}")

JSON = "application/json"
ALWAYS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


# What Cloudflare says of where a request came from; a client cannot set it there.
CLIENT = "cf-connecting-ip"


class Log(Protocol):
    """Where the log goes: one JSON object a line."""

    def __call__(self, line: str, /) -> None:
        """Write one line."""
        ...


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


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes need, made from settings that are right."""

    sign_up: SignUp
    limits: Limits
    origins: Origins
    proxy: DataProxy
    rules: Rules
    request_deadline: float
    # Returns the OpenAPI document of all this, in JSON.
    describe: Callable[[], bytes]
    conceal: bool = False


@dataclass(slots=True)
class Answer:
    """What a route answers, before the headers that every answer has; bytes are sent as they are, the rest as JSON."""

    status: int
    content: object
    media_type: str = JSON
    headers: dict[str, str] = field(default_factory=dict)


Route = Callable[[Request], Awaitable[Answer]]


class Shown(Exception):
    """Something that went wrong, and is answered in a way of its own.

    Args:
        cause: what went wrong.
        show: returns the answer, for the problem that it is.
    """

    def __init__(self, cause: Exception, show: Callable[[Problem], Answer]) -> None:
        super().__init__()
        self.cause = cause
        self.show = show


class ForPeople(Protocol):
    """What people get, which no sign-up by JSON needs: pages, and problems in their language."""

    def route(self, request: Request, sign_up: Route, /) -> Route | None:
        """Return what answers a request to `/` with a page; None when a page is not asked for."""
        ...

    def told(self, request: Request, problem: Problem | type[Problem], /) -> Answer:
        """Return problem details in a language; of a class what its code means."""
        ...


class App:
    """The Worker's HTTP interface.

    Args:
        services: returns them, or raises `Misconfigured`; asked by each request that needs them.
        log: gets one line a request.
        people: returns what people get; asked by each request that needs it.
    """

    def __init__(self, services: Callable[[], Services], log: Log, people: Callable[[], ForPeople]) -> None:
        self._services = services
        self._log = log
        self._people = people
        self._routes: dict[str, dict[str, Route]] = {
            "/": {"POST": self._sign_up, "GET": self._read, "HEAD": self._read, "OPTIONS": self._preflight},
            "/health": {"GET": self._health, "HEAD": self._health},
            "/ready": {"GET": self._ready, "HEAD": self._ready},
            "/openapi.json": {"GET": self._openapi, "HEAD": self._openapi},
        }
        for problem in TABLE.values():
            answer = partial(self._meaning, problem)
            self._routes[TYPE_PREFIX + problem.code] = {"GET": answer, "HEAD": answer}

    async def __call__(self, request: Request) -> Response:
        """Answer a request. Nothing is raised: what goes wrong is a problem details answer (RFC 9457)."""
        entry: dict[str, object] = {"event": "request", "request_id": request.id}
        if request.method in self._routes.get(request.path, ()):
            entry["route"] = f"{request.method} {request.path}"
        # Not the client's address: where an attack comes from shows without it.
        if request.country:
            entry["country"] = request.country
        if request.colo:
            entry["colo"] = request.colo
        try:
            answer = await self._route(request)(request)
        except Exception as exc:  # noqa: BLE001 - the last boundary: whatever happens, the client gets an answer
            shown = exc if isinstance(exc, Shown) else Shown(exc, partial(self._people().told, request))
            answer = shown.show(shown.cause if isinstance(shown.cause, Problem) else Problem())
            entry |= _described(shown.cause)
        headers = {"x-request-id": request.id, "content-type": answer.media_type} | ALWAYS
        headers |= security_headers(request.origin) | answer.headers
        for name, value in self._shared(request).items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        body = b"" if request.method == "HEAD" or answer.content is None else _bytes(answer.content)
        entry |= {"status": answer.status, "duration_ms": round((time.monotonic() - request.arrived) * 1000)}
        self._log(encode(entry).decode())
        return Response(answer.status, headers, body)

    def _route(self, request: Request) -> Route:
        if is_insecure(request.origin):
            if request.method not in ("GET", "HEAD"):
                raise HttpsRequired
            return self._redirect
        methods = self._routes.get(request.path)
        if methods is None:
            raise NotFound
        if request.method not in methods:
            raise MethodNotAllowed(_allowed(methods))
        # A post that says that it is JSON asks for no page: its way is short.
        json_posted = request.method == "POST" and request.headers.get("content-type", "").startswith(JSON)
        if request.path == "/" and not json_posted:
            return self._people().route(request, self._sign_up) or methods[request.method]
        return methods[request.method]

    def _shared(self, request: Request) -> dict[str, str]:
        """Return what lets a page read the answer, where pages ask."""
        if request.path != "/":
            return {}
        try:
            return self._services().origins.shared(request.headers)
        except Misconfigured:
            return {}

    async def _redirect(self, request: Request) -> Answer:
        """Answer what is read over plain HTTP with the same URL over HTTPS."""
        return Answer(308, None, headers={"location": secure_url(request.origin, request.path, request.query)})

    async def _read(self, _: Request) -> Answer:
        raise MethodNotAllowed(_allowed(self._routes["/"]))

    async def _preflight(self, request: Request) -> Answer:
        headers = self._services().origins.preflight(request.headers)
        if headers is None:
            raise MethodNotAllowed(_allowed(self._routes["/"]))
        return Answer(204, None, headers=headers)

    async def _sign_up(self, request: Request) -> Answer:
        services = self._services()
        end = request.arrived + services.request_deadline - MARGIN
        client = request.headers.get(CLIENT, "")
        # Whoever asks too often is not even listened to.
        await services.limits.admit(client)
        services.origins.require_own(request.headers, request.origin)
        _require_json(request.headers)
        body = await request.read(LARGEST_BODY, end)
        if body is None:
            raise BodyTooLarge
        # A form has it in its body.
        key = request.headers.get("idempotency-key")
        if key is not None and not KEY.fullmatch(key):
            raise BadIdempotencyKey
        fields = parse_object(body)
        sign_up = SignUpRequest.from_object(fields, services.rules)
        if services.conceal:
            # A key would tell whether its request had made a user: here each request stands for itself.
            with suppress(EmailTaken):
                await services.sign_up(Attempt(sign_up, end, None, client))
            await until_the_next_tick(request.arrived)
            return Answer(202, Accepted().model_dump())
        outcome = await services.sign_up(Attempt(sign_up, end, key, client))
        headers = {"idempotency-replayed": "true"} if outcome.replayed else {}
        return Answer(201, Created(user=outcome.user), headers=headers)

    async def _health(self, _: Request) -> Answer:
        return Answer(200, {"status": "ok"})

    async def _openapi(self, _: Request) -> Answer:
        return Answer(200, self._services().describe())

    async def _meaning(self, problem: type[Problem], request: Request) -> Answer:
        """Answer what a problem's `type` leads to."""
        return self._people().told(request, problem)

    async def _ready(self, request: Request) -> Answer:
        services = self._services()
        await services.limits.admit(request.headers.get(CLIENT, ""))
        await services.proxy.execute(PING)
        return Answer(200, {"status": "ready"})


def _allowed(methods: Iterable[str]) -> tuple[str, ...]:
    """Return what Allow says: OPTIONS is for preflights alone, which do not look there."""
    return tuple(method for method in methods if method != "OPTIONS")


def _require_json(headers: Mapping[str, str]) -> None:
    """Refuse what is not declared as JSON in the clear, before a byte of it is read."""
    if headers.get("content-type") == JSON and "content-encoding" not in headers:
        return  # as nearly everybody writes it
    media_type, *parameters = (part.strip() for part in headers.get("content-type", "").lower().split(";"))
    charset = [value.strip('"') for value in (p.removeprefix("charset=") for p in parameters if p)]
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if media_type != JSON or charset not in ([], ["utf-8"]) or encoding not in ("", "identity"):
        raise UnsupportedMediaType


def described_problem(problem: Problem | type[Problem]) -> dict[str, object]:
    """Return what a problem and its code have in common, as RFC 9457 has it."""
    return {
        "type": TYPE_PREFIX + problem.code,
        "title": problem.title,
        "status": problem.status,
        "detail": problem.detail,
        "code": problem.code,
    }


def problem_answer(problem: Problem, request_id: str) -> Answer:
    """Return a problem as RFC 9457 has it."""
    content = described_problem(problem) | {"instance": request_id} | problem.members()
    return Answer(problem.status, content, "application/problem+json", problem.headers())


def _bytes(content: object) -> bytes:
    return content if isinstance(content, bytes) else encode(content)


def _described(exc: Exception) -> dict[str, object]:
    """Return what the log says of an exception: only texts of this package, never an exception's own message.

    A foreign message may quote a value. Of a mistake the log gets the class and the lines it went through.
    """
    if not isinstance(exc, Problem):
        places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(exc.__traceback__)]
        return {"code": Problem.code, "exception": type(exc).__qualname__, "traceback": places}
    entry: dict[str, object] = {"code": exc.code}
    if exc.reason:
        entry["reason"] = exc.reason
    if isinstance(exc, DatabaseError):
        entry |= {"sqlstate": exc.sqlstate, "constraint": exc.constraint}
    return entry
