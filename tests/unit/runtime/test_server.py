"""The interface to workerd on CPython, with fakes of the JavaScript modules; tests/e2e runs the real ones."""

import hashlib
import importlib
import json
import math
import sys
import time
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any, Self

import httpx
import pytest

from devstack.kdf import cpython_kdf
from signup.hashing.profiles import Argon2id, Profile, Scrypt
from signup.http_client import Http
from tests.fakes import ADA, user_row

pytestmark = pytest.mark.anyio


ID = "5c0e2f6e-9e0b-4c57-8a55-4f0c6a6d1f0e"


class JsException(Exception):
    """A fake of Pyodide's exception for a JavaScript error."""


class Bytes:
    """A fake Uint8Array."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def to_bytes(self) -> bytes:
        """Return the bytes."""
        return self._data


class EdgeMjs:
    """A fake of `edge.mjs` and `hyperdrive.mjs`, whose exchanges and statements return `outcome`."""

    def __init__(self) -> None:
        self.outcome = responded(200, [], b"{}")
        self.exchanges: list[tuple[Any, ...]] = []
        self.lines: list[str] = []
        self.read_timeout_ms = 0
        self.afterwards: list[Any] = []
        self.mails: list[str] = []
        self.mail_error = ""
        self.lacks_driver = False
        # The names of the imported modules.
        self.imported: list[str] = []
        # Whether a key is within the limit, by binding and first octet of the address.
        self.counted: dict[tuple[str, str], bool] = {}

    def readHead(self, request: Any) -> str:  # noqa: N802 - JavaScript's name
        """Return the head as JSON."""
        cf = getattr(request, "country", None), getattr(request, "colo", None)
        return json.dumps([request.method, request.path, "", "https://signup.example", dict(request.headers), *cf, ID])

    async def readRequest(self, request: Any, limit: int, milliseconds: int) -> SimpleNamespace:  # noqa: N802 - JavaScript's name
        """Return the body, or the failure of a body that is cut off, late or too long."""
        self.read_timeout_ms = milliseconds
        if not isinstance(request.content, bytes):
            return SimpleNamespace(failure=request.content or "TypeError")
        if len(request.content) > limit:
            return SimpleNamespace(failure="TooLarge")
        return SimpleNamespace(body=Bytes(request.content))

    async def exchange(self, *arguments: Any) -> SimpleNamespace:
        """Record the request, and return the outcome."""
        self.exchanges.append(arguments)
        return self.outcome

    async def sendEmail(self, name: str, mail: str, milliseconds: int) -> str:  # noqa: N802 - JavaScript's name
        """Record the e-mail, and return the error code."""
        assert (name, milliseconds > 0) == ("EMAIL", True)
        self.mails.append(mail)
        return self.mail_error

    async def execute(self, *arguments: Any) -> SimpleNamespace:
        """Record the statement, and return the outcome."""
        self.exchanges.append(arguments)
        return self.outcome

    async def importModule(self, path: str) -> Self:  # noqa: N802 - JavaScript's name
        """Return the fake driver, or raise an error if it is not deployed."""
        assert path == "./hyperdrive.mjs"
        if self.lacks_driver:
            raise JsException
        return self

    async def countRequest(self, name: str, key: str, milliseconds: int) -> bool | None:  # noqa: N802 - JavaScript's name
        """Return whether the key is within the limit, or None if the binding fails."""
        assert milliseconds == 250
        return self.counted.get((name, key.partition(".")[0]))

    def makeResponse(self, status: int, headers: str, content: bytes) -> SimpleNamespace:  # noqa: N802 - JavaScript's name
        """Return a fake response."""
        return SimpleNamespace(status=status, headers=json.loads(headers), content=content)


class KdfMjs:
    """A fake `kdf.mjs`."""

    async def deriveArgon2id(self, password: bytes, salt: bytes, *numbers: int) -> Bytes | None:  # noqa: N802 - JavaScript's name
        """Derive a key, or return None after the deadline."""
        memory, passes, lanes, length, milliseconds = numbers
        key = await cpython_kdf(password, salt, Argon2id(memory, passes, lanes, len(salt), length))
        return Bytes(key) if milliseconds > 0 else None

    async def deriveScrypt(self, password: bytes, salt: bytes, *numbers: int) -> Bytes | None:  # noqa: N802 - JavaScript's name
        """Derive a key, or return None after the deadline."""
        n, r, p, length, milliseconds = numbers
        key = await cpython_kdf(password, salt, Scrypt(n.bit_length() - 1, r, p, len(salt), length))
        return Bytes(key) if milliseconds > 0 else None


def responded(status: int, headers: list[tuple[str, str]], content: bytes) -> SimpleNamespace:
    """Return the outcome of an exchange that got a response."""
    return SimpleNamespace(status=status, headers=json.dumps(headers), body=Bytes(content))


@pytest.fixture
def javascript() -> EdgeMjs:
    """Return the fake of the JavaScript modules."""
    return EdgeMjs()


@pytest.fixture
def edge(javascript: EdgeMjs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import signup.runtime.server anew, as an isolate does, with fakes of workerd's modules."""

    def import_from_javascript(name: str) -> EdgeMjs | KdfMjs:
        assert name in {"./edge.mjs", "./kdf.mjs"}  # other modules are imported during requests, by `importModule`
        assert name not in javascript.imported  # each isolate imports a module once
        javascript.imported.append(name)
        return KdfMjs() if name == "./kdf.mjs" else javascript

    workers, ffi, js = ModuleType("workers"), ModuleType("pyodide.ffi"), ModuleType("js")
    vars(workers).update(
        import_from_javascript=import_from_javascript,
        WorkerEntrypoint=Entrypoint,
        wait_until=javascript.afterwards.append,
    )
    vars(ffi).update(to_js=lambda value: value, JsException=JsException)
    vars(js).update(console=SimpleNamespace(log=javascript.lines.append))
    monkeypatch.setitem(sys.modules, "js", js)
    monkeypatch.setitem(sys.modules, "workers", workers)
    monkeypatch.setitem(sys.modules, "pyodide", ModuleType("pyodide"))
    monkeypatch.setitem(sys.modules, "pyodide.ffi", ffi)
    monkeypatch.delitem(sys.modules, "signup.runtime.server", raising=False)
    monkeypatch.delitem(sys.modules, "signup.runtime.hyperdrive", raising=False)
    yield importlib.import_module("signup.runtime.server")
    sys.modules.pop("signup.runtime.server", None)
    sys.modules.pop("signup.runtime.hyperdrive", None)


class Entrypoint:
    """A fake of the SDK's base class."""

    def __init__(self, ctx: object, env: object) -> None:
        self.ctx = ctx
        self.env = env


async def test_the_transport_sends_httpx_requests_over_fetch(edge: Any, javascript: EdgeMjs) -> None:
    """Method, URL, headers, content and the longest timeout are sent; the response is returned."""
    javascript.outcome = responded(
        418, [("x-a", "1"), ("content-encoding", "gzip"), ("content-length", "99")], "h\u00e9".encode()
    )
    timeout = httpx.Timeout(1.0, read=2.5)
    async with httpx.AsyncClient(transport=edge.FetchTransport(), timeout=timeout, trust_env=False) as client:
        response = await client.post(
            "https://proxy.example/sql", content=b"body", headers={"authorization": "Bearer t"}
        )
    assert (response.status_code, response.text, dict(response.headers)) == (
        418,
        "h\u00e9",
        {"x-a": "1", "content-length": "3"},
    )
    ((method, url, headers, content, milliseconds, limit),) = javascript.exchanges
    assert (method, url, content, milliseconds, limit) == ("POST", "https://proxy.example/sql", b"body", 2500, 2**20)
    sent_headers = [(name.lower(), value) for name, value in json.loads(headers)]
    names = {name for name, _ in sent_headers}
    assert ("authorization", "Bearer t") in sent_headers
    assert names.isdisjoint({"host", "content-length", "connection", "accept-encoding"})


async def test_an_unneeded_response_body_is_discarded(edge: Any, javascript: EdgeMjs) -> None:
    """JavaScript gets a limit of 0 bytes."""
    for reads_body, limit in ((True, 2**20), (False, 0)):
        endpoint = Http(edge.FetchTransport(), 1).endpoint("https://www.example.com/", {}, reads_body=reads_body)
        await endpoint.post(b"{}")
        assert javascript.exchanges[-1][-1] == limit


async def test_without_timeouts_the_transport_sets_its_own(edge: Any, javascript: EdgeMjs) -> None:
    """The default timeout is 30 s."""
    async with httpx.AsyncClient(transport=edge.FetchTransport(), timeout=None, trust_env=False) as client:  # noqa: S113 - the case under test
        await client.get("https://proxy.example/")
    assert javascript.exchanges[0][4] == 30_000


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("TimeoutError", httpx.ReadTimeout),
        ("TooLarge", httpx.RemoteProtocolError),
        ("Error", httpx.NetworkError),
        ("TypeError", httpx.NetworkError),
    ],
)
async def test_failures_raise_httpx_exceptions(
    edge: Any, javascript: EdgeMjs, name: str, expected: type[Exception]
) -> None:
    """A timeout, an oversized response and a network error raise different exceptions."""
    javascript.outcome = SimpleNamespace(failure=name)
    async with httpx.AsyncClient(transport=edge.FetchTransport(), trust_env=False) as client:
        with pytest.raises(expected):
            await client.get("https://proxy.example/")


@pytest.mark.parametrize("profile", [Argon2id(64, 2, 4, 16, 40), Scrypt(3, 2, 5, 16, 40)])
async def test_a_key_is_derived_with_the_parameters_of_the_profile(edge: Any, profile: Profile) -> None:
    """Each algorithm has its own JavaScript function; after the deadline, TimeoutError is raised."""
    expected = await cpython_kdf(b"p", b"s" * 16, profile)
    for deadline in (time.monotonic() + 5, math.inf):
        assert await edge.javascript_kdf(b"p", b"s" * 16, profile, deadline) == expected
    with pytest.raises(TimeoutError):
        await edge.javascript_kdf(b"p", b"s" * 16, profile, time.monotonic() - 1)


async def test_a_request_is_passed_to_the_application(
    edge: Any, javascript: EdgeMjs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Request and response are converted, and so are the failures of reading the body."""
    monkeypatch.setattr(edge, "javascript_kdf", cpython_kdf)
    key = hashlib.sha256(b"key-1").hexdigest()
    rows = json.dumps({"rows": [[key, *user_row()]]}).encode()
    javascript.outcome = responded(200, [], rows)
    env = SimpleNamespace(DATABASE_URL="sql+http://token@127.0.0.1:1/")
    headers = [["content-type", "application/json"], ["idempotency-key", "key-1"]]
    for content, status in ((json.dumps(ADA).encode(), 201), (b" " * 20_000, 413), (None, 400), ("TimeoutError", 408)):
        request = SimpleNamespace(method="POST", path="/", headers=headers, content=content)
        response = await edge.serve(request, env)
        assert response.status == status
        assert 9_000 < javascript.read_timeout_ms <= 9_750
        assert json.loads(javascript.lines[-1])["status"] == status
        assert response.headers["x-request-id"] == json.loads(javascript.lines[-1])["request_id"] == ID
    assert len(javascript.exchanges) == 1


async def test_rate_limits_use_the_bindings_with_their_names(edge: Any, javascript: EdgeMjs) -> None:
    """A missing or failing binding limits nothing and causes a warning."""
    javascript.outcome = responded(200, [], b'{"rows": [["1"]]}')
    javascript.counted = {("CLIENT_LIMIT", "192"): True, ("CLIENT_LIMIT", "198"): False}
    env = SimpleNamespace(DATABASE_URL="sql+http://token@127.0.0.1:1/", CLIENT_LIMIT=object())
    for address, status in (("192.0.2.1", 200), ("198.51.100.1", 429), ("203.0.113.1", 200)):
        headers = [["cf-connecting-ip", address]]
        request = SimpleNamespace(method="GET", path="/ready", headers=headers, content=b"")
        assert (await edge.serve(request, env)).status == status
    warned = [line for line in javascript.lines if "warning" in line]
    assert ["EMAIL_LIMIT" in line for line in warned] == [True, False]


async def test_the_log_has_country_and_data_centre(edge: Any, javascript: EdgeMjs) -> None:
    """The line does not contain the client's address."""
    for location in ({"country": "AQ", "colo": "FRA"}, {}):
        headers = [["cf-connecting-ip", "192.0.2.7"]]
        await edge.serve(SimpleNamespace(method="GET", path="/health", headers=headers, **location), SimpleNamespace())
        line = javascript.lines[-1]
        entry = json.loads(line)
        assert {name: entry[name] for name in ("country", "colo") if name in entry} == location
        assert "192.0.2" not in line


@pytest.mark.parametrize(
    ("outcome", "status", "code"),
    [
        (SimpleNamespace(rows='[["1"]]'), 200, None),
        (SimpleNamespace(sqlstate="53300", constraint=""), 503, "proxy_busy"),
        (SimpleNamespace(failure="TimeoutError"), 504, "proxy_timeout"),
    ],
)
async def test_a_hyperdrive_binding_runs_the_statements(
    edge: Any, javascript: EdgeMjs, outcome: SimpleNamespace, status: int, code: str | None
) -> None:
    """The driver gets the statement, parameters as JSON, a timeout in milliseconds, and a limit in characters."""
    javascript.outcome = outcome
    env = SimpleNamespace(HYPERDRIVE="the binding", PROXY_TIMEOUT="2.5")
    response = await edge.serve(SimpleNamespace(method="GET", path="/ready", headers=[], content=b""), env)
    assert (response.status, json.loads(response.content).get("code")) == (status, code)
    ((binding, statement, parameters, milliseconds, limit),) = javascript.exchanges
    assert (binding, parameters, milliseconds, limit) == ("the binding", "[]", 2500, 2**20)
    assert statement.startswith("SELECT")


def test_the_javascript_modules_are_imported_at_start_up(edge: Any, javascript: EdgeMjs) -> None:
    """During a request, the import would suspend Python's stack, which is not safe if other requests run."""
    assert edge
    assert javascript.imported == ["./edge.mjs", "./kdf.mjs"]


async def test_a_hyperdrive_binding_without_its_driver_causes_misconfigured(
    edge: Any, javascript: EdgeMjs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log describes how to deploy the driver; without the binding the driver is not imported."""
    request = SimpleNamespace(method="GET", path="/ready", headers=[], content=b"")
    await edge.serve(request, SimpleNamespace())
    assert "signup.runtime.hyperdrive" not in sys.modules
    monkeypatch.setattr(edge, "_application", None)
    javascript.lacks_driver = True
    response = await edge.serve(request, SimpleNamespace(HYPERDRIVE="the binding"))
    assert json.loads(response.content)["code"] == "misconfigured"
    assert "its driver is not deployed: add " in json.loads(javascript.lines[-1])["reason"]


@pytest.mark.usefixtures("edge")
async def test_the_entry_point_handles_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workerd creates an object for each request, and calls its `fetch`."""
    monkeypatch.delitem(sys.modules, "entry", raising=False)
    entry = importlib.import_module("entry")
    request = SimpleNamespace(method="GET", path="/health", headers=[], content=b"")
    default = entry.Default(SimpleNamespace(), SimpleNamespace())
    assert (await default.fetch(SimpleNamespace(js_object=request))).status == 200


async def test_a_missing_binding_is_a_missing_setting(edge: Any) -> None:
    """Workerd's `env` has no attribute for a binding that does not exist."""
    request = SimpleNamespace(method="GET", path="/ready", headers=[], content=b"")
    response = await edge.serve(request, SimpleNamespace())
    assert json.loads(response.content)["code"] == "misconfigured"


MAIL_SETTINGS = {
    "DATABASE_URL": "sql+http://token@127.0.0.1:1/",
    "MAIL_URL": "cloudflare:",
    "MAIL_FROM": "accounts@example.com",
}


def respond_with_rows(*rows: list[str | None]) -> SimpleNamespace:
    """Return sqlproxy's response with these rows."""
    return responded(200, [], json.dumps({"rows": rows}).encode())


async def test_messages_are_delivered_after_the_response(
    edge: Any, javascript: EdgeMjs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The response does not wait for the delivery; the e-mail is sent through the binding."""
    monkeypatch.setattr(edge, "javascript_kdf", cpython_kdf)
    key = hashlib.sha256(b"key-1").hexdigest()
    javascript.outcome = respond_with_rows([key, *user_row(), "false"])
    env = SimpleNamespace(**MAIL_SETTINGS, EMAIL=object())
    headers = [["content-type", "application/json"], ["idempotency-key", "key-1"]]
    request = SimpleNamespace(method="POST", path="/", headers=headers, content=json.dumps(ADA).encode())
    assert (await edge.serve(request, env)).status == 201
    assert (len(javascript.exchanges), javascript.mails) == (1, [])
    payload = json.dumps({"name": "Ada", "email": "ada@example.com", "language": "en"})
    javascript.outcome = respond_with_rows(
        ["5", "the key", "already_registered", "7", payload, "1", "2026-11-29T12:00:00.500Z"]
    )
    (afterwards,) = javascript.afterwards
    await afterwards
    (mail,) = javascript.mails
    assert json.loads(mail)["to"] == "ada@example.com"
    assert json.loads(mail)["headers"] == {"X-Idempotency-Key": "the key"}


@pytest.mark.usefixtures("edge")
async def test_a_scheduled_run_sends_nothing_if_messages_are_off(
    javascript: EdgeMjs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With wrong settings, the run logs the error."""
    monkeypatch.delitem(sys.modules, "entry", raising=False)
    entry = importlib.import_module("entry")
    worker = entry.Default(SimpleNamespace(), SimpleNamespace())
    await worker.scheduled(None)
    assert [json.loads(line)["code"] for line in javascript.lines] == ["misconfigured"]
    worker.env.DATABASE_URL = MAIL_SETTINGS["DATABASE_URL"]
    await worker.scheduled(None)
    assert len([line for line in javascript.lines if "outbox" in line]) == 1
    assert javascript.exchanges == []


async def test_a_scheduled_run_counts_messages(edge: Any, javascript: EdgeMjs) -> None:
    """Messages are counted after a claim that returns none."""
    javascript.outcome = respond_with_rows()
    await edge.deliver(SimpleNamespace(**MAIL_SETTINGS))
    assert len(javascript.exchanges) == 2
    assert json.loads(javascript.lines[-1])["event"] == "outbox"
