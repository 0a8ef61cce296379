"""Fakes, sample data and a client of the application, shared by the tests."""

import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Unpack

import httpx
from pydantic import SecretStr

from devstack.kdf import cpython_kdf
from signup.database.proxy import Rows
from signup.fields.models import STORED, Rules
from signup.guards.rate_limits import Limits
from signup.hashing.password_hasher import Hasher
from signup.hashing.profiles import CHEAP
from signup.hashing.queue import HashQueue
from signup.http_client import Http
from signup.invitations.guard import InvitationGuard
from signup.invitations.tokens import InvitationTokens
from signup.json_codec import encode
from signup.log import Event, Fields
from signup.openapi.document import document
from signup.pages.handlers import Pages
from signup.pages.verification import VerificationRoutes
from signup.problems import BodyTimeout, Problem
from signup.registration.service import SignUp
from signup.registration.user_store import SIGN_UP, SIGN_UP_WITH_DETAILS, PostgresUserStore
from signup.settings import Settings
from signup.verification.service import Verification
from signup.verification.tokens import TokenSigner
from signup.web.app import App, Services
from signup.web.cors import Origins
from signup.web.messages import Request, Response, Route
from tests.described import Described

ADA = {"name": "Ada", "email": "ada@example.com", "password": "correct horse battery staple"}
# The origin of the application.
OWN = "https://signup.example"
# `Client.request` treats this body as one that does not arrive in time.
LATE = b"late"
CREATED_AT = "2026-11-22T20:00:00.000Z"


def stored(**fields: str) -> list[str | None]:
    """Return the parameters of a statement for these fields; omitted fields are None."""
    return [fields.get(name) for name in STORED]


def user_row(password: str | None = None, **changed: str) -> list[str | None]:
    """Return a row of `sign_up()` for Ada, with some fields changed; `password` is the hash, or None for a new user."""
    fields = {"name": ADA["name"], "email": ADA["email"]} | changed
    return ["1", *stored(**fields), CREATED_AT, password]


def user_json() -> dict[str, Any]:
    """Return the API's representation of Ada."""
    return {"id": 1, **dict(zip(STORED, user_row()[1:-2], strict=True)), "created_at": CREATED_AT}


SETTINGS = Settings(database_url=SecretStr("sql+http://token@127.0.0.1:1/"))


def change(settings: Settings, **changes: object) -> Settings:
    """Return validated settings with some of them changed; "" removes a setting."""
    values = {**settings.model_dump(exclude_unset=True), **changes}
    return Settings.model_validate({name: value for name, value in values.items() if value != ""})


# Settings with e-mail verification.
VERIFYING = change(
    SETTINGS,
    email_verification="on",
    mail_url="log:",
    mail_from="accounts@example.com",
    public_url=f"{OWN}/",
    verification_secret=f"b:{'B' * 43}=,a:{'A' * 43}=",
)

# Settings that require an invitation to sign up.
INVITING = change(SETTINGS, sign_up="invite", invitation_secret=f"b:{'B' * 43}=,a:{'A' * 43}=")

# An extra field of each kind.
EXTRA_FIELDS = {
    "properties": {
        "company": {"type": "string", "title": "Company", "titles": {"de": "Firma"}, "minLength": 2, "maxLength": 20},
        "seats": {"type": "integer", "title": "<b>Seats & more</b>", "minimum": 1, "maximum": 500},
        "plan": {
            "type": "string",
            "title": "Plan",
            "enum": ["free", "<team>"],
            "enumTitles": {"en": ["Free & easy", "Team"], "de": ["Kostenlos", "Team"]},
        },
        "size": {"type": "integer", "title": "Size", "enum": [10, 20]},
        "newsletter": {"type": "boolean", "title": "Newsletter"},
        "adult": {"type": "boolean", "title": "I am 18", "titles": {"de": "Ich bin 18"}, "const": True},
    },
    "required": ["plan", "adult"],
}
WITH_FIELDS = change(
    SETTINGS,
    terms_version="2026-11",
    terms_url="https://www.example.com/terms?a=1&b=2",
    extra_fields=json.dumps(EXTRA_FIELDS),
)
# A valid sign-up with the settings `WITH_FIELDS`.
ADA_WITH_FIELDS = {**ADA, "terms": "2026-11", "extra": {"plan": "free", "adult": True}}

_DESCRIBED: dict[str, Described] = {}


def described(settings: Settings) -> Described:
    """Return a validator of responses against the OpenAPI document of these settings."""
    key = repr(settings)
    if key not in _DESCRIBED:
        _DESCRIBED[key] = Described(document(settings))
    return _DESCRIBED[key]


class Warnings:
    """Records warnings instead of logging them."""

    def __init__(self) -> None:
        self.lines: list[dict[str, object]] = []

    def __call__(self, event: Event, /, **fields: Unpack[Fields]) -> None:
        """Record a warning."""
        self.lines.append({"event": event, **fields})


class FakeProxy:
    """A `DataProxy` that returns or raises the given outcomes in order, and records the statements."""

    def __init__(self, *outcomes: Rows | Exception) -> None:
        self.outcomes = list(outcomes)
        self.executed: list[tuple[str, tuple[str | None, ...]]] = []

    async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
        """Return or raise the next outcome. After the last one, return a created user."""
        self.executed.append((statement, tuple(parameters)))
        created: Rows = [["1", *parameters[: len(STORED)], CREATED_AT, None]]
        outcome = self.outcomes.pop(0) if self.outcomes else created
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


class FakeDatabase(FakeProxy):
    """A `FakeProxy` whose outcomes are results of `sign_up()`: a user and a hash, or no row for a taken address."""

    async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
        """Return or raise the next outcome.

        For a sign-up, the request's key is prepended to each row, and missing columns are added. Without rows, the
        result is a row with only the key. The extra fields of a new user are those of the request.
        """
        rows = await super().execute(statement, parameters)
        columns = {SIGN_UP: len(STORED) + 3, SIGN_UP_WITH_DETAILS: len(STORED) + 6}.get(statement)
        if columns is None:
            return rows
        key = parameters[len(STORED) + 1]
        padded = [[key, *row, *[None] * (columns - len(row))] for row in rows or [[]]]
        if statement == SIGN_UP_WITH_DETAILS and rows and padded[0][len(STORED) + 3] is None:
            extra = json.loads(parameters[-1] or "").get("extra")
            padded[0][-2] = None if extra is None else json.dumps(extra)
        return padded


# A context without CA certificates, because no connection is made. httpx's default context would read the
# certificates for each transport, which takes 30 ms.
_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@asynccontextmanager
async def stock_http() -> AsyncIterator[Http]:
    """Yield an HTTP client with httpx's default transport, which respx can mock."""
    async with httpx.AsyncHTTPTransport(verify=_TLS) as transport:
        yield Http(transport, 5)


class SingleAttempt:
    """Executes each statement once on a proxy, without retries."""

    def __init__(self, proxy: FakeProxy) -> None:
        self._proxy = proxy

    async def execute(self, statement: str, parameters: Sequence[str | None], deadline: float) -> Rows:
        """Execute a statement, and check that its deadline has not passed."""
        assert deadline > time.monotonic()
        return await self._proxy.execute(statement, parameters)


class FakeVerificationStore:
    """A `VerificationStore` in memory. Its methods raise `failure` if it is set."""

    def __init__(self) -> None:
        self.users: dict[tuple[str, str], str] = {}
        self.requests: list[tuple[str, str]] = []
        self.calls = 0
        self.failure: Exception | None = None

    async def verify(self, user_id: str, email: str, *, deadline: float) -> str:
        """Verify a known user, and return the result."""
        self._count(deadline)
        state = self.users.get((user_id, email))
        if state is None:
            return "unknown"
        self.users[user_id, email] = "verified"
        return "verified" if state == "pending" else "already_verified"

    async def remove(self, user_id: str, email: str, *, deadline: float) -> bool:
        """Remove an unverified user; return whether there was one."""
        self._count(deadline)
        if self.users.get((user_id, email)) != "pending":
            return False
        del self.users[user_id, email]
        return True

    async def request(self, email: str, language: str, *, deadline: float) -> None:
        """Record a request for another e-mail."""
        self._count(deadline)
        self.requests.append((email, language))

    def _count(self, deadline: float) -> None:
        assert deadline > time.monotonic()
        self.calls += 1
        if self.failure:
            raise self.failure


class Client:
    """The application with a fake proxy or invalid settings, and a client that sends requests to it."""

    def __init__(self, *outcomes: Rows | Exception, misconfigured: Problem | None = None) -> None:
        self.proxy = FakeDatabase(*outcomes)
        self.lines: list[str] = []
        self._misconfigured = misconfigured
        self.limits = Limits(lambda _: None, Warnings())
        self.origins = Origins()
        self.conceal = False
        self.hash_queue = HashQueue(cpython_kdf, CHEAP, 60)
        # The origin and the query of the URL of each request.
        self.own_origin, self.query = OWN, ""
        self.described: Described | None = None
        self.settings = SETTINGS
        self.settings_problem: Problem | None = None
        self.verification_store = FakeVerificationStore()
        self.app = App(self._services, self.lines.append, self.pages, self._verification)

    async def request(
        self,
        method: str = "POST",
        path: str = "/",
        body: bytes | dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[Response, Any]:
        """Send a request, by default a valid sign-up; return the response and its body, parsed if it is JSON."""
        content = body if isinstance(body, bytes) else json.dumps(ADA if body is None else body).encode()

        async def read(limit: int, deadline: float) -> bytes | None:
            assert deadline > time.monotonic()
            if body is LATE:
                raise BodyTimeout
            return None if len(content) > limit else content

        request_headers = {"content-type": "application/json"} if headers is None else headers
        # The default of `arrived` is the original `time.monotonic`, even if a test has replaced it.
        request = Request(method, path, request_headers, read, self.own_origin, self.query, arrived=time.monotonic())
        response = await self.app(request)
        # Each response must match the OpenAPI document.
        duplicates = "conceal" if self.conceal else "conflict"
        origins = ",".join(sorted(self.origins.allowed))
        settings = change(self.settings, duplicate_response=duplicates, cors_origins=origins)
        description = self.described or described(settings)
        differences = description.find_differences(method, path, response.status, response.headers, response.body)
        assert not differences, differences
        if response.headers["content-type"].startswith("text/html"):
            return response, response.body.decode() or None
        return response, json.loads(response.body) if response.body else None

    def pages(self) -> Pages:
        """Return the pages for the current settings."""
        return Pages(self._checked)

    def log(self) -> list[dict[str, Any]]:
        """Return the parsed log lines."""
        return [json.loads(line) for line in self.lines]

    def _checked(self) -> Settings:
        if self.settings_problem:
            raise self.settings_problem
        return self.settings

    def _verification(self) -> Mapping[str, Mapping[str, Route]]:
        settings = self._checked()
        if not settings.verifies:
            return {}
        signer = TokenSigner([each.key for each in settings.verification_keys])
        verification = Verification(signer, self.verification_store)
        return VerificationRoutes(settings, verification, self.limits, self.origins).routes()

    def _services(self) -> Services:
        if self._misconfigured:
            raise self._misconfigured
        hasher = Hasher(cpython_kdf, CHEAP)
        statements = SingleAttempt(self.proxy)
        guards = []
        if self.settings.invites:
            tokens = InvitationTokens([each.key for each in self.settings.invitation_keys])
            guards = [InvitationGuard(tokens, count_taken=self.conceal)]
        sign_up = SignUp(PostgresUserStore(statements), hasher, lambda: None, guards)
        return Services(
            sign_up,
            self.hash_queue,
            self.limits,
            self.origins,
            self.proxy,
            Rules(),
            request_deadline=60,
            describe=lambda: encode(document(SETTINGS)),
            conceal=self.conceal,
            closed=self.settings.closed,
            invites=self.settings.invites,
            verifies=self.settings.verifies,
            terms_version=self.settings.terms_version,
            extra_fields=self.settings.parsed_extra_fields,
        )
