"""The edge's Python half, on CPython, with JavaScript's half played by Python. tests/e2e has the real one."""

import asyncio
import hashlib
import importlib
import inspect
import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest

from signup.passwords import CHEAP, hashlib_scrypt
from tests.fakes import ADA, CREATED_AT

pytestmark = pytest.mark.anyio


ID = "5c0e2f6e-9e0b-4c57-8a55-4f0c6a6d1f0e"


class Bytes:
    """A Uint8Array."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def to_bytes(self) -> bytes:
        """Copy it into Python."""
        return self._data


class EdgeMjs:
    """`edge.mjs`, whose exchanges end with what `outcome` says, and whose operations end as soon as Python waits."""

    def __init__(self) -> None:
        self.outcome: tuple[Any, ...] = answered(200, [], b"{}")
        self.exchanges: list[tuple[Any, ...]] = []
        self.lines: list[str] = []
        # Called while it is imported.
        self.imported: Callable[[], object] | None = None
        self._settle: Callable[..., None] | None = None
        self._run: Callable[[], None] | None = None
        self._begin: Callable[..., None] | None = None

    def take_requests(self, callback: Callable[..., None]) -> None:
        """Take Python's function for requests, once."""
        assert self._begin is None
        self._begin = callback

    def take_turns(self, callback: Callable[[], None]) -> None:
        """Take Python's function for turns, once."""
        assert self._run is None
        self._run = callback

    def turn(self) -> None:
        """Let Python have a turn, when it has returned: here, with the next turn of CPython's own loop."""
        assert self._run is not None
        asyncio.SelectorEventLoop.call_soon(asyncio.get_running_loop(), self._run)  # type: ignore[arg-type]

    def connect(self, callback: Callable[..., None]) -> None:
        """Take Python's function; again, when two requests came first."""
        assert self._settle in (None, callback)
        self._settle = callback

    def end(self, number: int, *values: Any) -> None:
        """Hand an outcome to Python, later."""
        assert self._settle is not None
        asyncio.get_running_loop().call_soon(self._settle, number, *values)

    def answer(self, request: Any) -> asyncio.Future[Any]:
        """Begin with method, path, origin, headers and where the request came from and to; promise the response."""
        assert self._begin is not None
        place = getattr(request, "country", None), getattr(request, "colo", None)
        head = [request.method, request.path, "https://signup.example", dict(request.headers), *place, ID]
        promise = asyncio.get_running_loop().create_future()
        self._begin(SimpleNamespace(request=request, promise=promise), json.dumps(head))
        return promise

    def body(self, number: int, asked: Any, limit: int) -> None:
        """Give the body unless it is too long, or fail as a stream does whose sender is gone."""
        content = asked.request.content
        self.end(number, *([] if content is None else [Bytes(content) if len(content) <= limit else None]))

    def within(self, number: int, binding: Any, key: str) -> None:
        """Give what the binding says; "broken" fails."""
        answer = binding[key.partition(".")[0]] if isinstance(binding, dict) else binding
        self.end(number, *([] if answer == "broken" else [answer]))

    def exchange(self, number: int, *arguments: Any) -> None:
        """Remember, and answer."""
        self.exchanges.append(arguments)
        self.end(number, *self.outcome)

    def log(self, line: str) -> None:
        """Keep a line of the log."""
        self.lines.append(line)

    def respond(self, asked: Any, status: int, headers: str, content: bytes) -> None:
        """Keep the promise with a Response."""
        asked.promise.set_result(SimpleNamespace(status=status, headers=json.loads(headers), content=content))

    def fail(self, asked: Any, name: str) -> None:
        """Break the promise."""
        asked.promise.set_exception(RuntimeError(name))

    def derive(self, number: int, password: bytes, salt: bytes, *numbers: int) -> None:
        """Give what the profile of these numbers does, unless there is no time left."""
        *parameters, milliseconds = numbers
        assert tuple(parameters) == (CHEAP.n, CHEAP.r, CHEAP.p, CHEAP.key_length)
        key = hashlib.scrypt(password, salt=salt, n=CHEAP.n, r=CHEAP.r, p=CHEAP.p, dklen=CHEAP.key_length)
        self.end(number, Bytes(key) if milliseconds > 0 else None)


def answered(status: int, headers: list[tuple[str, str]], content: bytes) -> tuple[Any, ...]:
    """Return the outcome of an exchange that was answered."""
    return status, json.dumps(headers), Bytes(content)


@pytest.fixture
def javascript() -> EdgeMjs:
    """Return the JavaScript half."""
    return EdgeMjs()


@pytest.fixture
def edge(javascript: EdgeMjs, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Import signup.edge anew, as an isolate does, with stand-ins for workerd's modules."""
    loaded: list[str] = []

    def import_from_javascript(name: str) -> EdgeMjs:
        loaded.append(name)
        hook, javascript.imported = javascript.imported, None
        assert loaded == ["./edge.mjs"] or hook is None  # once an isolate
        if hook is not None:
            hook()
        return javascript

    workers, ffi = ModuleType("workers"), ModuleType("pyodide.ffi")
    vars(workers).update(import_from_javascript=import_from_javascript)
    vars(ffi).update(to_js=lambda value: value, create_proxy=lambda value: value)
    monkeypatch.setitem(sys.modules, "workers", workers)
    monkeypatch.setitem(sys.modules, "pyodide", ModuleType("pyodide"))
    monkeypatch.setitem(sys.modules, "pyodide.ffi", ffi)
    monkeypatch.delitem(sys.modules, "signup.edge", raising=False)
    module = importlib.import_module("signup.edge")
    # The tests' own loop keeps its turns.
    monkeypatch.setattr(module, "_take_turns", lambda _: None)
    yield module
    sys.modules.pop("signup.edge", None)


async def test_the_transport_sends_what_httpx_says(edge: Any, javascript: EdgeMjs) -> None:
    """Method, URL, own headers, content and the longest timeout go out; status, headers and bytes come back."""
    javascript.outcome = answered(418, [("x-a", "1"), ("content-encoding", "gzip")], "h\u00e9".encode())
    timeout = httpx.Timeout(1.0, read=2.5)
    async with httpx.AsyncClient(transport=edge.FetchTransport(), timeout=timeout, trust_env=False) as client:
        answer = await client.post("https://proxy.example/sql", content=b"body", headers={"authorization": "Bearer t"})
    assert (answer.status_code, answer.text, dict(answer.headers)) == (
        418,
        "h\u00e9",
        {"x-a": "1"},
    )
    ((method, url, headers, content, milliseconds, limit),) = javascript.exchanges
    assert (method, url, content, milliseconds, limit) == ("POST", "https://proxy.example/sql", b"body", 2500, 2**20)
    sent = [(name.lower(), value) for name, value in json.loads(headers)]
    names = {name for name, _ in sent}
    assert ("authorization", "Bearer t") in sent
    assert names.isdisjoint({"host", "content-length", "connection", "accept-encoding"})


async def test_without_a_timeout_there_is_a_deadline(edge: Any, javascript: EdgeMjs) -> None:
    """A client without timeouts does not wait for ever."""
    async with httpx.AsyncClient(transport=edge.FetchTransport(), timeout=None, trust_env=False) as client:  # noqa: S113 - the point
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
async def test_failures_are_httpx_exceptions(
    edge: Any, javascript: EdgeMjs, name: str, expected: type[Exception]
) -> None:
    """Each way to fail is the exception that httpx's own transport would raise."""
    javascript.outcome = (name,)
    async with httpx.AsyncClient(transport=edge.FetchTransport(), trust_env=False) as client:
        with pytest.raises(expected):
            await client.get("https://proxy.example/")


async def test_scrypt_is_asked_with_the_profiles_numbers(edge: Any) -> None:
    """The native function gets N, r, p and the length, and its bytes come back as bytes."""
    expected = await hashlib_scrypt(b"p", b"s" * 16, CHEAP)
    for end in (time.monotonic() + 5, math.inf):
        assert await edge.native_scrypt(b"p", b"s" * 16, CHEAP, end) == expected
    with pytest.raises(TimeoutError):
        await edge.native_scrypt(b"p", b"s" * 16, CHEAP, time.monotonic() - 1)


async def test_a_request_goes_through_the_application(
    edge: Any, javascript: EdgeMjs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workerd's request becomes ours, our response workerd's, and the application is made once an isolate."""
    monkeypatch.setattr(edge, "native_scrypt", hashlib_scrypt)
    key = hashlib.sha256(b"key-1").hexdigest()
    rows = json.dumps({"rows": [[key, "7", "Ada", "ada@example.com", CREATED_AT, None]]}).encode()
    javascript.outcome = answered(200, [], rows)
    env = SimpleNamespace(DATABASE_URL="sql+http://token@127.0.0.1:1/", CLIENT_LIMIT=True, EMAIL_LIMIT=True)
    headers = [["content-type", "application/json"], ["idempotency-key", "key-1"]]
    for content, status in ((json.dumps(ADA).encode(), 201), (b" " * 20_000, 413), (None, 400)):
        request = SimpleNamespace(method="POST", path="/", headers=headers, content=content)
        response = await edge.serve(request, env)
        assert response.status == status
        assert json.loads(javascript.lines[-1])["status"] == status
        assert response.headers["x-request-id"] == json.loads(javascript.lines[-1])["request_id"] == ID
    assert len(javascript.exchanges) == 1


async def test_rate_limits_are_the_bindings_of_their_names(edge: Any, javascript: EdgeMjs) -> None:
    """A binding's word counts, for its key; without one there is a warning and no limit."""
    javascript.outcome = answered(200, [], b'{"rows": [["1"]]}')
    env = SimpleNamespace(
        DATABASE_URL="sql+http://token@127.0.0.1:1/", CLIENT_LIMIT={"192": True, "198": False, "203": "broken"}
    )
    for address, status in (("192.0.2.1", 200), ("198.51.100.1", 429), ("203.0.113.1", 200)):
        headers = [["cf-connecting-ip", address]]
        request = SimpleNamespace(method="GET", path="/ready", headers=headers, content=b"")
        assert (await edge.serve(request, env)).status == status
    warned = [line for line in javascript.lines if "warning" in line]
    assert ["EMAIL_LIMIT" in line for line in warned] == [True, False]


async def test_the_log_says_where_a_request_came_from(edge: Any, javascript: EdgeMjs) -> None:
    """Country and data centre, and not the address; nothing of it where Cloudflare does not say."""
    for place in ({"country": "AQ", "colo": "FRA"}, {}):
        headers = [["cf-connecting-ip", "192.0.2.7"]]
        await edge.serve(SimpleNamespace(method="GET", path="/health", headers=headers, **place), SimpleNamespace())
        line = javascript.lines[-1]
        entry = json.loads(line)
        assert {name: entry[name] for name in ("country", "colo") if name in entry} == place
        assert "192.0.2" not in line


@pytest.mark.usefixtures("edge")
async def test_the_entry_point_only_translates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workerd's request and bindings are handed on, and the promise of a response is handed back."""
    monkeypatch.delitem(sys.modules, "entry", raising=False)
    entry = importlib.import_module("entry")
    # workerd gives the context too, whatever a function takes, since this one's signature does not say.
    with pytest.raises(TypeError):
        inspect.signature(entry.on_fetch)
    request = SimpleNamespace(method="GET", path="/health", headers=[], content=b"")
    assert (await entry.on_fetch(request, SimpleNamespace(), SimpleNamespace())).status == 200


async def test_what_nobody_foresaw_is_workerds_to_answer(
    edge: Any, javascript: EdgeMjs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that no answer could be made of breaks the promise, by its name alone: nobody waits for ever."""

    def refuse(*_: Any) -> None:
        raise ValueError("a text that may quote something")

    monkeypatch.setattr(javascript, "respond", refuse)
    request = SimpleNamespace(method="GET", path="/health", headers=[], content=b"")
    with pytest.raises(RuntimeError, match=r"^ValueError$"):
        await edge.serve(request, SimpleNamespace())


def test_turns_take_the_place_of_the_loops_own(edge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first request on what asyncio calls soon comes by way of JavaScript's turns, and tasks begin at once."""
    monkeypatch.undo()  # what the fixture put in the place of this
    made: list[bool] = []

    def eager(*arguments: Any, eager_start: bool, **more: Any) -> asyncio.Task[Any]:
        made.append(eager_start)
        return asyncio.Task(*arguments, **more)

    monkeypatch.setattr(edge, "Task", eager)
    loop = asyncio.SelectorEventLoop()
    request = SimpleNamespace(method="GET", path="/health", headers=[], content=b"")
    turns: list[str] = []

    async def served() -> str:
        await edge.serve(request, SimpleNamespace())
        mine = loop.call_soon
        assert "call_soon" in vars(loop)
        await edge.serve(request, SimpleNamespace())
        assert loop.call_soon is mine
        loop.call_soon(turns.append, "soon")
        return await asyncio.create_task(asyncio.sleep(0, "slept"))

    try:
        assert loop.run_until_complete(served()) == "slept"
    finally:
        loop.close()
    assert turns == ["soon"]
    assert made == [True, True, True]


async def test_two_requests_may_come_first(edge: Any, javascript: EdgeMjs) -> None:
    """While the first one waits for edge.mjs to be imported another one comes: one application answers both."""
    request = SimpleNamespace(method="GET", path="/health", headers=[], content=b"")
    others: list[Any] = []
    javascript.imported = lambda: others.append(edge.serve(request, SimpleNamespace()))
    first = edge.serve(request, SimpleNamespace())
    assert [(await answer).status for answer in (first, *others)] == [200, 200]


async def test_a_binding_that_is_absent_is_a_setting_that_is_not_set(edge: Any) -> None:
    """Workerd's bindings have no attribute for what is not bound."""
    request = SimpleNamespace(method="GET", path="/ready", headers=[], content=b"")
    response = await edge.serve(request, SimpleNamespace())
    assert json.loads(response.content)["code"] == "misconfigured"
