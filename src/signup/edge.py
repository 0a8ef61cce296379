"""The edge: everything that touches workerd, which is JavaScript, through the functions of `edge.mjs`.

This and `entry.py` are the only modules that import `pyodide` or `workers`; all the others run on CPython too.
"""

import asyncio
import time
from asyncio import Task
from functools import cache, cached_property, lru_cache, partial
from types import SimpleNamespace
from typing import Any

import httpx
from pydantic_core import from_json, to_json
from pyodide.ffi import create_proxy, to_js
from workers import import_from_javascript

from signup.app import App, Request
from signup.limits import Limiter
from signup.operations import Operations
from signup.passwords import Profile
from signup.problems import BodyTimeout, MalformedJson
from signup.turns import Turns
from signup.wiring import Platform, build

# No answer to our statements comes near it; what does is not an answer to them.
LARGEST_ANSWER = 1024 * 1024
# Seconds that a hash waits for its turn at most, whatever its deadline.
LONGEST_WAIT = 60.0
# Milliseconds for a rate limiting binding, which counts in memory.
LONGEST_COUNT = 250

# What fetch sets by itself, or what only makes sense on a connection of one's own.
_OF_THE_CONNECTION = frozenset({"host", "connection", "content-length", "accept-encoding", "transfer-encoding"})
# fetch has undone content and transfer encodings already; httpx would try to undo them again.
_UNDONE = frozenset({"content-encoding", "content-length", "transfer-encoding"})

# Of edge.mjs.
_FUNCTIONS = (
    *("answer", "body", "derive", "exchange", "fail", "log", "respond"),
    *("take_requests", "take_turns", "turn", "within"),
)

_operations = Operations()


@cache
def _javascript() -> Any:
    # Not before the first request: modules cannot be imported while the isolate starts.
    module = import_from_javascript("./edge.mjs")
    module.connect(create_proxy(_operations.settle))
    # Asking a module of JavaScript's for a function takes as long as calling it.
    return SimpleNamespace(**{name: getattr(module, name) for name in _FUNCTIONS})


def _take_turns(loop: Any) -> None:
    """Replace the event loop's turns, once there is nothing left to wait for synchronously."""
    # Of Python 3.12 and newer, and workerd's is.
    make_task = partial(Task, eager_start=True)  # type: ignore[call-arg]
    turns = Turns(loop, _javascript().turn, make_task)
    _javascript().take_turns(create_proxy(turns.run))
    loop.call_soon, loop.create_task = turns.call_soon, turns.create_task


class FetchTransport(httpx.AsyncBaseTransport):
    """httpx over workerd's `fetch`.

    httpx's stock transport keeps sockets, and in workerd an I/O object belongs to the request that made it: a client
    kept for the next request fails there. `fetch` has no such state, so one client serves an isolate for its life.

    The longest of httpx's four timeouts is the deadline of the whole exchange, answer included. httpx's exceptions are
    raised as its stock transport would; whether a request that failed was received is not known. The answer is read
    whole, and refused beyond `LARGEST_ANSWER` bytes; one of status 200 to 299 comes without its headers.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises:
            httpx.ReadTimeout: no whole answer by the deadline.
            httpx.NetworkError: not connected, or cut off.
            httpx.RemoteProtocolError: the answer is too large.
        """
        timeouts = [value for value in request.extensions.get("timeout", {}).values() if value is not None]
        outcome = await _operations.run(
            _javascript().exchange,
            request.method,
            str(request.url),
            _sent(tuple(request.headers.raw)),
            to_js(await request.aread()),
            round(max(timeouts, default=30.0) * 1000),
            LARGEST_ANSWER,
        )
        if len(outcome) == 1:
            raise _failure(outcome[0], request)
        status, pairs, content = outcome
        return _Fetched(status, pairs, content.to_bytes(), request)


@lru_cache(maxsize=64)
def _sent(headers: tuple[tuple[bytes, bytes], ...]) -> str:
    """Return headers as JSON, without those of the connection; from one request to the next only a length changes."""
    pairs = [(name.decode("ascii"), value.decode("latin-1")) for name, value in headers]
    return to_json([pair for pair in pairs if pair[0].lower() not in _OF_THE_CONNECTION]).decode()


class _Fetched(httpx.Response):
    """An answer that was read before it was made, for which httpx has no quick way.

    Args:
        status: of it.
        pairs: its headers, as JSON; they are seldom looked at.
        content: the whole of it.
        request: what it answers.
    """

    def __init__(self, status: int, pairs: str, content: bytes, request: httpx.Request) -> None:
        self.status_code = status
        self.request = request
        self.stream = httpx.ByteStream(content)
        self.extensions = {}
        self.history = []
        self.next_request = None
        self.default_encoding = "utf-8"
        self.is_closed = self.is_stream_consumed = True
        self._pairs = pairs
        self._received = content

    @cached_property
    def headers(self) -> httpx.Headers:  # type: ignore[override] # mypy: httpx has it writable, and nobody writes it
        """Its headers, but for those of encodings that fetch has undone."""
        received = [(name, value) for name, value in from_json(self._pairs) if name not in _UNDONE]
        return httpx.Headers(received, encoding="latin-1")

    @property
    def content(self) -> bytes:
        """The whole of it."""
        return self._received

    async def aread(self) -> bytes:
        """Return the whole of it."""
        return self._received


def _failure(name: str, request: httpx.Request) -> httpx.TransportError:
    if name == "TimeoutError":
        return httpx.ReadTimeout("no answer by the deadline", request=request)
    if name == "TooLarge":
        return httpx.RemoteProtocolError("the answer is too large", request=request)
    return httpx.NetworkError(f"fetch failed ({name})", request=request)


async def native_scrypt(password: bytes, salt: bytes, profile: Profile, end: float, /) -> bytes:
    """Derive with Node's scrypt, which workerd has natively: the `Kdf` in workerd."""
    left = max(0.0, min(end - time.monotonic(), LONGEST_WAIT))
    numbers = (profile.n, profile.r, profile.p, profile.key_length)
    (key,) = await _operations.run(_javascript().derive, to_js(password), to_js(salt), *numbers, round(left * 1000))
    if key is None:
        raise TimeoutError
    return bytes(key.to_bytes())


def _limiter(env: Any, name: str) -> Limiter | None:
    """Return a rate limiting binding as a `Limiter`, or None where there is none."""
    binding = getattr(env, name, None)
    if binding is None:
        return None

    async def within(key: str, /) -> bool | None:
        answer: tuple[bool, ...] = await _operations.run(_javascript().within, binding, key, LONGEST_COUNT)
        return answer[0] if answer else None

    return within


# One for the life of the isolate, made of the first request's bindings: they are the same for all of them.
_applications: list[App] = []


def serve(request: Any, env: Any) -> Any:
    """Answer one of workerd's requests, with a promise of one of its responses."""
    if not _applications:
        _start(env)
    return _javascript().answer(request)


def _start(env: Any) -> None:
    javascript = _javascript()
    if _applications:
        return  # another request came while the module was imported
    loop = asyncio.get_running_loop()
    _take_turns(loop)

    def begin(asked: Any, head: str) -> None:
        _ = loop.create_task(_answer(asked, head))  # noqa: RUF006 - what it waits for keeps it

    javascript.take_requests(create_proxy(begin))
    platform = Platform(FetchTransport, native_scrypt, partial(_limiter, env), javascript.log)
    _applications.append(build(lambda name: getattr(env, name, None), platform))


async def _answer(asked: Any, head: str) -> None:
    javascript = _javascript()

    async def read(limit: int, end: float) -> bytes | None:
        left = max(0, round((end - time.monotonic()) * 1000))
        outcome = await _operations.run(javascript.body, asked, limit, left)
        if not outcome:
            raise MalformedJson("the body was cut off")
        content, is_late = outcome
        if is_late:
            raise BodyTimeout
        return None if content is None else bytes(content.to_bytes())

    try:
        method, path, query, origin, headers, country, colo, request_id = from_json(head)
        request = Request(method, path, headers, read, origin, query, country, colo, request_id)
        answer = await _applications[0](request)
        javascript.respond(asked, answer.status, to_json(answer.headers).decode(), to_js(answer.body))
    except BaseException as exc:  # noqa: BLE001 - nobody waits for this task: without a word the request would hang
        javascript.fail(asked, type(exc).__qualname__)
