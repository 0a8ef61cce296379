"""The edge: everything that touches workerd, which is JavaScript, through the functions of `edge.mjs`.

This and `entry.py` are the only modules that import `pyodide` or `workers`; all the others run on CPython too.
"""

from functools import cache, partial
from typing import Any

import httpx
from pyodide.ffi import JsException, to_js
from workers import import_from_javascript

from signup.app import App, Request
from signup.limits import Limiter
from signup.passwords import Profile
from signup.problems import MalformedJson
from signup.wiring import Platform, build

# No answer to our statements comes near it; what does is not an answer to them.
LARGEST_ANSWER = 1024 * 1024

# What fetch sets by itself, or what only makes sense on a connection of one's own.
_OF_THE_CONNECTION = frozenset({"host", "connection", "content-length", "accept-encoding", "transfer-encoding"})


@cache
def _javascript() -> Any:
    # At the first request: modules cannot be imported while the isolate starts.
    return import_from_javascript("./edge.mjs")


class FetchTransport(httpx.AsyncBaseTransport):
    """httpx over workerd's `fetch`.

    httpx's stock transport keeps sockets, and in workerd an I/O object belongs to the request that made it: a client
    kept for the next request fails there. `fetch` has no such state, so one client serves an isolate for its life.

    The longest of httpx's four timeouts is the deadline of the whole exchange, answer included. httpx's exceptions are
    raised as its stock transport would; whether a request that failed was received is not known. The answer is read
    whole, and refused beyond `LARGEST_ANSWER` bytes.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises:
            httpx.ReadTimeout: no whole answer by the deadline.
            httpx.NetworkError: not connected, or cut off.
            httpx.RemoteProtocolError: the answer is too large.
        """
        timeouts = [value for value in request.extensions.get("timeout", {}).values() if value is not None]
        headers = [
            (name.decode("ascii"), value.decode("latin-1"))
            for name, value in request.headers.raw
            if name.decode("ascii").lower() not in _OF_THE_CONNECTION
        ]
        answer = await _javascript().exchange(
            request.method,
            str(request.url),
            to_js(headers),
            to_js(await request.aread()),
            round(max(timeouts, default=30.0) * 1000),
            LARGEST_ANSWER,
        )
        if isinstance(answer, str):
            raise _failure(answer, request)
        status, pairs, content = answer
        return httpx.Response(status, headers=_received(pairs), content=content.to_bytes(), request=request)


def _failure(name: str, request: httpx.Request) -> httpx.TransportError:
    if name == "TimeoutError":
        return httpx.ReadTimeout("no answer by the deadline", request=request)
    if name == "TooLarge":
        return httpx.RemoteProtocolError("the answer is too large", request=request)
    return httpx.NetworkError(f"fetch failed ({name})", request=request)


def _received(pairs: Any) -> list[tuple[str, str]]:
    # fetch has undone content and transfer encodings already; httpx would try to undo them again.
    coded = ("content-encoding", "content-length", "transfer-encoding")
    return [(name, value) for name, value in pairs.to_py() if name not in coded]


async def native_scrypt(password: bytes, salt: bytes, profile: Profile, /) -> bytes:
    """Derive with Node's scrypt, which workerd has natively: the `Kdf` in workerd."""
    key = await _javascript().derive(to_js(password), to_js(salt), profile.n, profile.r, profile.p, profile.key_length)
    return bytes(key.to_bytes())


def _limiter(env: Any, name: str) -> Limiter | None:
    """Return a rate limiting binding as a `Limiter`, or None where there is none."""
    binding = getattr(env, name, None)
    if binding is None:
        return None

    async def within(key: str, /) -> bool | None:
        answer: bool | None = await _javascript().within(binding, key)
        return answer

    return within


# One for the life of the isolate, made of the first request's bindings: they are the same for all of them.
_applications: list[App] = []


async def fetch(request: Any, env: Any) -> Any:
    """Answer one of workerd's requests with one of its responses."""
    javascript = _javascript()
    method, path, origin, headers, country, colo = javascript.head(request)

    async def read(limit: int) -> bytes | None:
        try:
            content = await javascript.body(request, limit)
        except JsException as exc:
            raise MalformedJson("the body was cut off") from exc
        return None if content is None else bytes(content.to_bytes())

    if not _applications:
        platform = Platform(FetchTransport, native_scrypt, partial(_limiter, env), print)
        _applications.append(build(lambda name: getattr(env, name, None), platform))
    answer = await _applications[0](Request(method, path, dict(headers.to_py()), read, origin, country, colo))
    return javascript.respond(answer.status, to_js(list(answer.headers.items())), to_js(answer.body))
