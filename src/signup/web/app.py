"""HTTP: routes and responses. Requests and responses are plain objects; `signup.runtime` converts workerd's."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from traceback import extract_tb
from typing import Protocol

from signup.database.proxy import DataProxy
from signup.fields.models import Accepted, Created, Rules, SignUpRequest
from signup.guards.rate_limits import Limits
from signup.hashing.queue import HashQueue
from signup.json_codec import encode, parse_object
from signup.log import Fields, Level, Log
from signup.problems import (
    TABLE,
    TYPE_PREFIX,
    BadIdempotencyKey,
    BodyTooLarge,
    EmailTaken,
    HttpsRequired,
    MethodNotAllowed,
    Misconfigured,
    NotAcceptable,
    NotFound,
    Problem,
    SignUpsClosed,
)
from signup.registration.service import Attempt, SignedUp, SignUp
from signup.web.cors import Origins
from signup.web.https import is_insecure, secure_url, security_headers
from signup.web.messages import (
    ALWAYS,
    CLIENT,
    JSON,
    KEY,
    LARGEST_BODY,
    MARGIN,
    VERIFICATION_PATHS,
    PageFailed,
    Request,
    Response,
    Route,
    RouteResult,
)
from signup.web.request_body import require_json
from signup.web.response_timing import until_the_next_tick

# Shows that proxy and database answer, and needs no right on anything.
PING = "SELECT 1"


class Delivery(Protocol):
    """Delivers recorded messages. Nothing is raised."""

    async def after_response(self) -> None:
        """Deliver a few messages that are due."""
        ...

    async def scheduled(self) -> None:
        """Deliver what is left, and log how many messages there are."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes need, made from settings that are right."""

    sign_up: SignUp
    hash_queue: HashQueue
    limits: Limits
    origins: Origins
    proxy: DataProxy
    rules: Rules
    request_deadline: float
    # Returns the OpenAPI document of all this, in JSON.
    describe: Callable[[], bytes]
    conceal: bool = False
    # Delivers messages; None where a sign-up records none.
    delivery: Delivery | None = None
    closed: bool = False
    verifies: bool = False


class PageRoutes(Protocol):
    """Pages, and problem details in the client's language, which no sign-up by JSON needs."""

    def route(self, request: Request, sign_up: Route, /) -> Route | None:
        """Return what answers a request to `/` with a page; None when a page is not asked for."""
        ...

    def render_problem(self, request: Request, problem: Problem | type[Problem], /) -> RouteResult:
        """Return problem details in the client's language; of a class what its code means."""
        ...


class App:
    """The Worker's HTTP interface.

    Args:
        services: returns them, or raises `Misconfigured`; asked by each request that needs them.
        log: gets one line a request.
        pages: returns them; called by each request that needs them.
        verification: returns the routes of `VERIFICATION_PATHS` by path and method; none where verification is off.
    """

    def __init__(
        self,
        services: Callable[[], Services],
        log: Log,
        pages: Callable[[], PageRoutes],
        verification: Callable[[], Mapping[str, Mapping[str, Route]]],
    ) -> None:
        self._services = services
        self._log = log
        self._pages = pages
        self._verification = verification
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
        """Answer a request. Nothing is raised: an error becomes a problem details response (RFC 9457)."""
        entry: Fields = {"request_id": request.id}
        # A path of our own, so that the log has no other. The query, which may be a token, is not in it.
        if request.method in (self._routes.get(request.path) or VERIFICATION_PATHS.get(request.path, ())):
            entry["route"] = f"{request.method} {request.path}"
        # Not the client's address: where an attack comes from shows without it.
        if request.country:
            entry["country"] = request.country
        if request.colo:
            entry["colo"] = request.colo
        try:
            answer = await self._route(request)(request)
        except Exception as exc:  # noqa: BLE001 - the last boundary: whatever happens, the client gets an answer
            cause = exc.cause if isinstance(exc, PageFailed) else exc
            problem = cause if isinstance(cause, Problem) else Problem()
            if isinstance(exc, PageFailed):
                answer = exc.render(problem)
            else:
                answer = self._pages().render_problem(request, problem)
            entry |= _log_fields(cause)
        headers = {"x-request-id": request.id, "content-type": answer.media_type} | ALWAYS
        headers |= security_headers(request.origin) | answer.headers
        for name, value in self._shared(request).items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        body = b"" if request.method == "HEAD" or answer.content is None else _bytes(answer.content)
        entry |= {"status": answer.status, "duration_ms": round((time.monotonic() - request.arrived) * 1000)}
        self._log(encode({"event": "request", "level": _level(answer.status), **entry}).decode())
        return Response(answer.status, headers, body, answer.afterwards)

    async def deliver(self) -> None:
        """Deliver the messages that no response has delivered; nothing is raised."""
        try:
            delivery = self._services().delivery
            if delivery is not None:
                await delivery.scheduled()
        except Exception as exc:  # noqa: BLE001 - the last boundary
            self._log(encode({"event": "outbox", "level": "error", **_log_fields(exc)}).decode())

    def _route(self, request: Request) -> Route:
        if is_insecure(request.origin):
            if request.method not in ("GET", "HEAD"):
                raise HttpsRequired
            return self._redirect
        methods: Mapping[str, Route] | None = self._routes.get(request.path)
        if methods is None and request.path in VERIFICATION_PATHS:
            methods = self._verification().get(request.path)
        if methods is None:
            raise NotFound
        if request.method not in methods:
            raise MethodNotAllowed(_allowed(methods))
        # A post that says that it is JSON asks for no page: its way is short.
        json_posted = request.method == "POST" and request.headers.get("content-type", "").startswith(JSON)
        if request.path == "/" and not json_posted:
            return self._pages().route(request, self._sign_up) or methods[request.method]
        return methods[request.method]

    def _shared(self, request: Request) -> dict[str, str]:
        """Return what lets a page read the answer, where pages ask."""
        if request.path != "/":
            return {}
        try:
            return self._services().origins.shared(request.headers)
        except Misconfigured:
            return {}

    async def _redirect(self, request: Request) -> RouteResult:
        """Redirect a GET or HEAD over plain HTTP to the same URL over HTTPS."""
        return RouteResult(308, None, headers={"location": secure_url(request.origin, request.path, request.query)})

    async def _read(self, _: Request) -> RouteResult:
        # The page is not acceptable to the client, and there is nothing else to read.
        raise NotAcceptable

    async def _preflight(self, request: Request) -> RouteResult:
        headers = self._services().origins.preflight(request.headers)
        if headers is None:
            raise MethodNotAllowed(_allowed(self._routes["/"]))
        return RouteResult(204, None, headers=headers)

    async def _sign_up(self, request: Request) -> RouteResult:
        services = self._services()
        deadline = request.arrived + services.request_deadline - MARGIN
        client = request.headers.get(CLIENT, "")
        # The rate limit comes before the body is read.
        await services.limits.admit(client)
        if services.closed:
            raise SignUpsClosed
        services.hash_queue.require_room()
        services.origins.require_own(request.headers, request.origin)
        require_json(request.headers)
        body = await request.read(LARGEST_BODY, deadline)
        if body is None:
            raise BodyTooLarge
        # A form has it in its body.
        key = request.headers.get("idempotency-key")
        if key is not None and not KEY.fullmatch(key):
            raise BadIdempotencyKey
        fields = parse_object(body)
        sign_up = SignUpRequest.from_object(fields, services.rules)
        # A key would tell whether its request had made a user: concealed, each request stands for itself.
        key = None if services.conceal else key
        # With a key it may be a replay, whose password is verified besides.
        with services.hash_queue.admit(1 if key is None else 2) as place:
            attempt = Attempt(sign_up, deadline, key, client, place)
            afterwards = None
            if services.delivery is not None:
                attempt.language = _language(request)
                afterwards = services.delivery.after_response
            if not services.conceal:
                outcome = await services.sign_up(attempt)
                headers = {"idempotency-replayed": "true"} if outcome.replayed else {}
                created = _created(outcome) if services.verifies else Created(user=outcome.user)
                return RouteResult(201, created, headers=headers, afterwards=afterwards)
            with suppress(EmailTaken):
                await services.sign_up(attempt)
        await until_the_next_tick(request.arrived)
        return RouteResult(202, Accepted().model_dump(), afterwards=afterwards)

    async def _health(self, _: Request) -> RouteResult:
        return RouteResult(200, {"status": "ok"})

    async def _openapi(self, _: Request) -> RouteResult:
        return RouteResult(200, self._services().describe())

    async def _meaning(self, problem: type[Problem], request: Request) -> RouteResult:
        """Return the description that a problem's `type` leads to."""
        return self._pages().render_problem(request, problem)

    async def _ready(self, request: Request) -> RouteResult:
        services = self._services()
        await services.limits.admit(request.headers.get(CLIENT, ""))
        await services.proxy.execute(PING)
        return RouteResult(200, {"status": "ready"})


def _created(outcome: SignedUp) -> Created:
    """Return the response where addresses are verified."""
    # Imported where they are: no other sign-up waits for it.
    from signup.fields.verification import CreatedVerifiable, VerifiableUser  # noqa: PLC0415

    user = VerifiableUser(**dict(outcome.user), email_verified=bool(outcome.email_verified))
    return CreatedVerifiable(user=user)


def _language(request: Request) -> str:
    # Imported where there are mails: no other sign-up by JSON waits for it.
    from signup.web.negotiation import language  # noqa: PLC0415

    return language(request.headers.get("accept-language", ""))


def _allowed(methods: Iterable[str]) -> tuple[str, ...]:
    """Return what Allow says: OPTIONS is for preflights alone, which do not look there."""
    return tuple(method for method in methods if method != "OPTIONS")


def _bytes(content: object) -> bytes:
    return content if isinstance(content, bytes) else encode(content)


def _level(status: int) -> Level:
    if status < 500:  # noqa: PLR2004
        return "info"
    return "error" if status == Problem.status else "warning"


def _log_fields(exc: Exception) -> Fields:
    """Return the fields of the log line for an exception.

    A foreign exception is a bug. Its text may quote a value, so only its class and its traceback are logged.
    """
    if not isinstance(exc, Problem):
        lines = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(exc.__traceback__)]
        return {"code": Problem.code, "exception": type(exc).__qualname__, "traceback": lines}
    reason: Fields = {"reason": exc.reason} if exc.reason else {}
    return {"code": exc.code, **reason, **exc.details}
