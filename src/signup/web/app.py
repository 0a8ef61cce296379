"""HTTP: routes and responses. `signup.runtime` converts requests and responses from and to workerd's objects."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from signup.database.proxy import DataProxy
from signup.fields.models import INVITATION_FIELD, Accepted, Created, Rules, SignUpRequest, terms_errors
from signup.guards.rate_limits import Limits
from signup.hashing.queue import HashQueue
from signup.json_codec import encode, parse_object
from signup.log import Fields, Level, Log, bug_fields
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
from signup.registration.user_store import Details
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

if TYPE_CHECKING:
    from signup.fields.extra_fields import ExtraFields

# The statement that checks whether the proxy and the database respond. It needs no privileges.
PING = "SELECT 1"


class Delivery(Protocol):
    """Delivers recorded messages. Its methods raise no `Problem`."""

    async def after_response(self) -> None:
        """Deliver a few of the messages that are due."""
        ...

    async def scheduled(self) -> None:
        """Deliver messages that are due, up to the limits of a run, and log the numbers of messages."""
        ...


@dataclass(frozen=True, slots=True)
class Services:
    """The services of the routes, built from valid settings."""

    sign_up: SignUp
    hash_queue: HashQueue
    limits: Limits
    origins: Origins
    proxy: DataProxy
    rules: Rules
    request_deadline: float
    # Returns the OpenAPI document in JSON.
    describe: Callable[[], bytes]
    conceal: bool = False
    # Delivers messages; None if sign-ups record none.
    delivery: Delivery | None = None
    closed: bool = False
    verifies: bool = False
    # Whether a sign-up needs an invitation, which a guard checks.
    invites: bool = False
    # The version of the terms that a sign-up must accept; "" for none.
    terms_version: str = ""
    # The fields of `EXTRA_FIELDS`; None if there are none.
    extra_fields: "ExtraFields | None" = None


class PageRoutes(Protocol):
    """Pages, and problem details in the client's language. A successful sign-up with JSON needs neither."""

    def route(self, request: Request, sign_up: Route, /) -> Route | None:
        """Return the route for a request to `/` that asks for a page or posts a form; None for other requests."""
        ...

    def render_problem(self, request: Request, problem: Problem | type[Problem], /) -> RouteResult:
        """Return problem details in the client's language; for a class, the description of its code."""
        ...


class App:
    """The Worker's HTTP interface.

    Args:
        services: returns the services, or raises `Misconfigured`. Called by each request that needs them.
        log: writes log lines: one for each request, and one for a scheduled run that fails.
        pages: returns the pages. Called by each request that needs them.
        verification: returns the routes of `VERIFICATION_PATHS` by path and method; none if verification is off.
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
            describe = partial(self._describe_problem, problem)
            self._routes[TYPE_PREFIX + problem.code] = {"GET": describe, "HEAD": describe}

    async def __call__(self, request: Request) -> Response:
        """Return the response to a request. Never raise: an error becomes problem details (RFC 9457) or a page."""
        entry: Fields = {"request_id": request.id}
        # Only known methods and paths are logged, without the query, which may contain a token.
        if request.method in (self._routes.get(request.path) or VERIFICATION_PATHS.get(request.path, ())):
            entry["route"] = f"{request.method} {request.path}"
        # Log the country and data centre to locate attacks, but not the client's address.
        if request.country:
            entry["country"] = request.country
        if request.colo:
            entry["colo"] = request.colo
        try:
            result = await self._route(request)(request)
        except Exception as exc:  # noqa: BLE001 - the last boundary: the client always gets a response
            cause = exc.cause if isinstance(exc, PageFailed) else exc
            problem = cause if isinstance(cause, Problem) else Problem()
            if isinstance(exc, PageFailed):
                result = exc.render(problem)
            else:
                result = self._pages().render_problem(request, problem)
            entry |= _log_fields(cause)
        headers = {"x-request-id": request.id, "content-type": result.media_type} | ALWAYS
        headers |= security_headers(request.origin) | result.headers
        for name, value in self._cors_headers(request).items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        body = b"" if request.method == "HEAD" or result.content is None else _encode_content(result.content)
        entry |= {"status": result.status, "duration_ms": round((time.monotonic() - request.arrived) * 1000)}
        self._log(encode({"event": "request", "level": _level(result.status), **entry}).decode())
        return Response(result.status, headers, body, result.afterwards)

    async def deliver(self) -> None:
        """Deliver messages of the outbox that are due. Never raise."""
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
            routes = self._verification().get(request.path)
            methods = routes and {**routes, "OPTIONS": self._preflight}
        if methods is None:
            raise NotFound
        if request.method not in methods:
            raise MethodNotAllowed(_allowed(methods))
        # A JSON body needs no pages, so do not import them.
        if request.path == "/" and not _is_json_posted(request):
            return self._pages().route(request, self._sign_up) or methods[request.method]
        return methods[request.method]

    def _cors_headers(self, request: Request) -> dict[str, str]:
        """Return the CORS headers of a response."""
        is_verification_path = request.path in VERIFICATION_PATHS
        if request.path != "/" and not is_verification_path:
            return {}
        try:
            services = self._services()
        except Misconfigured:
            return {}
        if is_verification_path and not services.verifies:
            return {}
        headers = services.origins.shared(request.headers)
        # On these paths scripts of other origins may read only responses to JSON requests and preflights: the pages
        # contain a token.
        if is_verification_path and request.method != "OPTIONS" and not _is_json_posted(request):
            return {name: value for name, value in headers.items() if name == "vary"}
        return headers

    async def _redirect(self, request: Request) -> RouteResult:
        """Redirect a GET or HEAD over plain HTTP to the same URL over HTTPS."""
        return RouteResult(308, None, headers={"location": secure_url(request.origin, request.path, request.query)})

    async def _read(self, _: Request) -> RouteResult:
        # The client does not accept HTML, and there is no other representation.
        raise NotAcceptable

    async def _preflight(self, request: Request) -> RouteResult:
        headers = self._services().origins.preflight(request.headers)
        if headers is None:
            raise MethodNotAllowed(_allowed(self._routes.get(request.path) or VERIFICATION_PATHS[request.path]))
        return RouteResult(204, None, headers=headers)

    async def _sign_up(self, request: Request) -> RouteResult:
        services = self._services()
        deadline = request.arrived + services.request_deadline - MARGIN
        client = request.headers.get(CLIENT, "")
        # Apply the rate limit before the body is read.
        await services.limits.admit(client)
        if services.closed:
            raise SignUpsClosed
        services.hash_queue.require_room()
        services.origins.require_own(request.headers, request.origin)
        require_json(request.headers)
        body = await request.read(LARGEST_BODY, deadline)
        if body is None:
            raise BodyTooLarge
        # A form contains its idempotency key, so the body is read before the key is checked.
        key = request.headers.get("idempotency-key")
        if key is not None and not KEY.fullmatch(key):
            raise BadIdempotencyKey
        fields = parse_object(body)
        # The token of the invitation is not stored, and not compared when a request is repeated.
        invitation = fields.pop(INVITATION_FIELD, "") if services.invites else ""
        extra, errors = (None, []) if services.extra_fields is None else services.extra_fields.take(fields)
        if services.terms_version:
            errors += terms_errors(fields, services.terms_version)
        sign_up = SignUpRequest.from_object(fields, services.rules, errors)
        # With `conceal`, keys are ignored: a replay would reveal whether the first request created a user.
        key = None if services.conceal else key
        # A request with a key may be a replay, which verifies the password with a second hash.
        with services.hash_queue.admit(1 if key is None else 2) as place:
            # Only e-mails need the language.
            language = "" if services.delivery is None else _language(request)
            details = Details(language, services.terms_version or None, extra)
            attempt = Attempt(sign_up, deadline, key, client, place, details, invitation)
            if not services.conceal:
                outcome = await services.sign_up(attempt)
                headers = {"idempotency-replayed": "true"} if outcome.replayed else {}
                created = _created(outcome) if services.verifies else Created(user=outcome.user)
                content = created if extra is None else _with_extra(created, outcome)
                afterwards = None if services.delivery is None else services.delivery.after_response
                return RouteResult(201, content, headers=headers, afterwards=afterwards)
            with suppress(EmailTaken):
                await services.sign_up(attempt)
        # A delivery after this response would delay the next response, and so reveal whether a message was recorded.
        # The scheduled run delivers the message.
        await until_the_next_tick(request.arrived)
        return RouteResult(202, Accepted().model_dump())

    async def _health(self, _: Request) -> RouteResult:
        return RouteResult(200, {"status": "ok"})

    async def _openapi(self, _: Request) -> RouteResult:
        return RouteResult(200, self._services().describe())

    async def _describe_problem(self, problem: type[Problem], request: Request) -> RouteResult:
        """Return the description at the path of a problem's `type`."""
        return self._pages().render_problem(request, problem)

    async def _ready(self, request: Request) -> RouteResult:
        services = self._services()
        await services.limits.admit(request.headers.get(CLIENT, ""))
        await services.proxy.execute(PING)
        return RouteResult(200, {"status": "ready"})


def _created(outcome: SignedUp) -> Created:
    """Return the content of a 201 response of a Worker that verifies addresses."""
    # Imported only if addresses are verified, to keep the cold starts of other deployments short.
    from signup.fields.verification import CreatedVerifiable, VerifiableUser  # noqa: PLC0415

    user = VerifiableUser(**dict(outcome.user), email_verified=bool(outcome.email_verified))
    return CreatedVerifiable(user=user)


def _with_extra(created: Created, outcome: SignedUp) -> dict[str, object]:
    """Return the content of a 201 response of a Worker with extra fields."""
    content = created.model_dump()
    content["user"]["extra"] = outcome.extra or {}
    return content


def _language(request: Request) -> str:
    # Imported only if messages are recorded, to keep the cold starts of other deployments short.
    from signup.web.negotiation import language  # noqa: PLC0415

    return language(request.headers.get("accept-language", ""))


def _is_json_posted(request: Request) -> bool:
    return request.method == "POST" and request.headers.get("content-type", "").lower().startswith(JSON)


def _allowed(methods: Iterable[str]) -> tuple[str, ...]:
    """Return the methods for Allow, without OPTIONS, which is only for preflights."""
    return tuple(method for method in methods if method != "OPTIONS")


def _encode_content(content: object) -> bytes:
    return content if isinstance(content, bytes) else encode(content)


def _level(status: int) -> Level:
    if status < 500:  # noqa: PLR2004
        return "info"
    return "error" if status == Problem.status else "warning"


def _log_fields(exc: Exception) -> Fields:
    """Return the fields of the log line for an exception. An exception that is not a `Problem` is a bug."""
    return exc.log_fields() if isinstance(exc, Problem) else {"code": Problem.code, **bug_fields(exc)}
