"""The edge's Python half, on CPython, with JavaScript's half played by Python. tests/e2e has the real one."""

import importlib
import json
import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import httpx
import pytest

from signup.passwords import CHEAP, hashlib_scrypt
from tests.fakes import ADA, CREATED_AT

pytestmark = pytest.mark.anyio


class JsException(Exception):
    """What JavaScript throws."""


class Bytes:
    """A Uint8Array."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def to_bytes(self) -> bytes:
        """Copy it into Python."""
        return self._data


class Array(list[Any]):
    """A JavaScript array."""

    def to_py(self) -> list[Any]:
        """Copy it into Python."""
        return list(self)


class EdgeMjs:
    """`edge.mjs`, whose exchanges end with what `outcome` says."""

    def __init__(self) -> None:
        self.outcome: Any = [200, Array(), Bytes(b"{}")]
        self.exchanges: list[tuple[Any, ...]] = []

    def head(self, request: Any) -> list[Any]:
        """Return method, path, origin, headers and where the request came from and to."""
        place = getattr(request, "country", None), getattr(request, "colo", None)
        return [request.method, request.path, "https://signup.example", Array(request.headers), *place]

    async def body(self, request: Any, limit: int) -> Bytes | None:
        """Return the body unless it is too long, or fail as a stream does whose sender is gone."""
        if request.content is None:
            raise JsException
        return Bytes(request.content) if len(request.content) <= limit else None

    async def within(self, binding: Any, key: str) -> bool | None:
        """Return what the binding says."""
        answer: bool | None = binding[key.partition(".")[0]] if isinstance(binding, dict) else binding
        return answer

    async def exchange(self, *arguments: Any) -> Any:
        """Remember, and answer."""
        self.exchanges.append(arguments)
        return self.outcome

    def respond(self, status: int, headers: list[tuple[str, str]], content: bytes) -> Any:
        """Return a Response."""
        return SimpleNamespace(status=status, headers=dict(headers), content=content)

    async def derive(self, password: bytes, salt: bytes, *numbers: int) -> Bytes:
        """Return what the profile of these numbers gives."""
        assert numbers == (CHEAP.n, CHEAP.r, CHEAP.p, CHEAP.key_length)
        return Bytes(await hashlib_scrypt(password, salt, CHEAP))


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
        assert loaded == ["./edge.mjs"]  # once an isolate
        return javascript

    workers, ffi = ModuleType("workers"), ModuleType("pyodide.ffi")
    vars(workers).update(import_from_javascript=import_from_javascript)
    vars(ffi).update(to_js=lambda value: value, JsException=JsException)
    monkeypatch.setitem(sys.modules, "workers", workers)
    monkeypatch.setitem(sys.modules, "pyodide", ModuleType("pyodide"))
    monkeypatch.setitem(sys.modules, "pyodide.ffi", ffi)
    monkeypatch.delitem(sys.modules, "signup.edge", raising=False)
    yield importlib.import_module("signup.edge")
    sys.modules.pop("signup.edge", None)


async def test_the_transport_sends_what_httpx_says(edge: Any, javascript: EdgeMjs) -> None:
    """Method, URL, own headers, content and the longest timeout go out; status, headers and bytes come back."""
    javascript.outcome = [418, Array([["x-a", "1"], ["content-encoding", "gzip"]]), Bytes("h\u00e9".encode())]
    timeout = httpx.Timeout(1.0, read=2.5)
    async with httpx.AsyncClient(transport=edge.FetchTransport(), timeout=timeout, trust_env=False) as client:
        answer = await client.post("https://proxy.example/sql", content=b"body", headers={"authorization": "Bearer t"})
    assert (answer.status_code, answer.text, dict(answer.headers)) == (
        418,
        "h\u00e9",
        {"x-a": "1", "content-length": "3"},
    )
    ((method, url, headers, content, milliseconds, limit),) = javascript.exchanges
    assert (method, url, content, milliseconds, limit) == ("POST", "https://proxy.example/sql", b"body", 2500, 2**20)
    names = {name.lower() for name, _ in headers}
    assert ("authorization", "Bearer t") in [(name.lower(), value) for name, value in headers]
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
    javascript.outcome = name
    async with httpx.AsyncClient(transport=edge.FetchTransport(), trust_env=False) as client:
        with pytest.raises(expected):
            await client.get("https://proxy.example/")


async def test_scrypt_is_asked_with_the_profiles_numbers(edge: Any) -> None:
    """The native function gets N, r, p and the length, and its bytes come back as bytes."""
    assert await edge.native_scrypt(b"p", b"s" * 16, CHEAP) == await hashlib_scrypt(b"p", b"s" * 16, CHEAP)


async def test_a_request_goes_through_the_application(
    edge: Any, javascript: EdgeMjs, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workerd's request becomes ours, our response workerd's, and the application is made once an isolate."""
    monkeypatch.setattr(edge, "native_scrypt", hashlib_scrypt)
    rows = json.dumps({"rows": [["7", "Ada", "ada@example.com", CREATED_AT, None]]}).encode()
    javascript.outcome = [200, Array(), Bytes(rows)]
    env = SimpleNamespace(DATABASE_URL="sql+http://token@127.0.0.1:1/", CLIENT_LIMIT=True, EMAIL_LIMIT=True)
    headers = [["content-type", "application/json"]]
    for content, status in ((json.dumps(ADA).encode(), 201), (b" " * 20_000, 413), (None, 400)):
        request = SimpleNamespace(method="POST", path="/", headers=headers, content=content)
        response = await edge.fetch(request, env)
        assert response.status == status
        assert json.loads(capsys.readouterr().out)["status"] == status
    assert len(javascript.exchanges) == 1


async def test_rate_limits_are_the_bindings_of_their_names(
    edge: Any, javascript: EdgeMjs, capsys: pytest.CaptureFixture[str]
) -> None:
    """A binding's word counts, for its key; without one there is a warning and no limit."""
    javascript.outcome = [200, Array(), Bytes(b'{"rows": [["1"]]}')]
    env = SimpleNamespace(DATABASE_URL="sql+http://token@127.0.0.1:1/", CLIENT_LIMIT={"192": True, "198": False})
    for address, status in (("192.0.2.1", 200), ("198.51.100.1", 429)):
        headers = [["cf-connecting-ip", address]]
        request = SimpleNamespace(method="GET", path="/ready", headers=headers, content=b"")
        assert (await edge.fetch(request, env)).status == status
    warned = [line for line in capsys.readouterr().out.splitlines() if "warning" in line]
    assert ["EMAIL_LIMIT" in line for line in warned] == [True]


async def test_the_log_says_where_a_request_came_from(edge: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """Country and data centre, and not the address; nothing of it where Cloudflare does not say."""
    for place in ({"country": "AQ", "colo": "FRA"}, {}):
        headers = [["cf-connecting-ip", "192.0.2.7"]]
        await edge.fetch(SimpleNamespace(method="GET", path="/health", headers=headers, **place), SimpleNamespace())
        line = capsys.readouterr().out
        entry = json.loads(line)
        assert {name: entry[name] for name in ("country", "colo") if name in entry} == place
        assert "192.0.2" not in line


async def test_the_entry_point_only_translates(edge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Workerd's class hands the JavaScript request and the bindings on."""
    monkeypatch.setattr(sys.modules["workers"], "WorkerEntrypoint", object, raising=False)
    monkeypatch.setattr(sys.modules["workers"], "Request", object, raising=False)
    monkeypatch.delitem(sys.modules, "entry", raising=False)
    default = importlib.import_module("entry").Default()
    default.env = SimpleNamespace()
    request = SimpleNamespace(method="GET", path="/health", headers=[], content=b"")
    response = await default.fetch(SimpleNamespace(js_object=request))
    assert (response.status, edge) == (200, sys.modules["signup.edge"])


async def test_a_binding_that_is_absent_is_a_setting_that_is_not_set(edge: Any) -> None:
    """Workerd's bindings have no attribute for what is not bound."""
    request = SimpleNamespace(method="GET", path="/ready", headers=[], content=b"")
    response = await edge.fetch(request, SimpleNamespace())
    assert json.loads(response.content)["code"] == "misconfigured"
