"""The runtime: everything that touches workerd, which is JavaScript, through functions of `edge.mjs` and `kdf.mjs`.

This and `entry.py` are the only modules that import `js`, `pyodide` or `workers`; all the others run on CPython too.
"""

import time
from functools import cache, partial
from typing import Any

import httpx
from js import console
from pydantic_core import from_json, to_json
from pyodide.ffi import to_js
from workers import import_from_javascript, wait_until

from signup.composition import Platform, build
from signup.database.dialects.hyperdrive import BINDING, Execute
from signup.guards.rate_limits import Limiter
from signup.hashing.profiles import Argon2id, Profile
from signup.outbox.binding import EmailBinding
from signup.problems import BodyTimeout, MalformedJson
from signup.web.app import App
from signup.web.messages import Request

# Bytes. No answer to our statements comes near it.
LARGEST_ANSWER = 1024 * 1024
# Seconds. The longest wait for a hash, whatever the deadline.
LONGEST_WAIT = 60.0
# Milliseconds for a rate limiting binding, which counts in memory.
LONGEST_COUNT = 250

# Request headers that fetch sets itself, or that only make sense on a connection of one's own.
_CONNECTION_HEADERS = frozenset({b"host", b"connection", b"content-length", b"accept-encoding", b"transfer-encoding"})
# Response headers about encodings that fetch has undone already; httpx would undo them again.
_ENCODING_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})


@cache
def _javascript() -> Any:
    # Modules cannot be imported before the first request.
    return import_from_javascript("./edge.mjs")


@cache
def _kdf() -> Any:
    return import_from_javascript("./kdf.mjs")


class FetchTransport(httpx.AsyncBaseTransport):
    """httpx over workerd's `fetch`.

    httpx's stock transport keeps sockets, and in workerd an I/O object belongs to the request that made it: a client
    kept for the next request fails there. `fetch` has no such state, so one client serves an isolate for its life.

    The longest of httpx's four timeouts is the deadline of the whole exchange, response included. The exceptions are
    httpx's own, as its stock transport raises them. Whether a failed request was received is not known. The response
    is read whole, and refused beyond `LARGEST_ANSWER` bytes.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises:
            httpx.ReadTimeout: no whole response by the deadline.
            httpx.NetworkError: not connected, or cut off.
            httpx.RemoteProtocolError: the response is too large.
        """
        timeouts = [value for value in request.extensions.get("timeout", {}).values() if value is not None]
        headers = [pair for pair in request.headers.raw if pair[0].lower() not in _CONNECTION_HEADERS]
        outcome = await _javascript().exchange(
            request.method,
            str(request.url),
            to_json(headers).decode(),
            to_js(await request.aread()),
            round(max(timeouts, default=30.0) * 1000),
            LARGEST_ANSWER,
        )
        if (failure := getattr(outcome, "failure", None)) is not None:
            raise _transport_error(failure, request)
        received = [pair for pair in from_json(outcome.headers) if pair[0] not in _ENCODING_HEADERS]
        return httpx.Response(outcome.status, headers=received, content=outcome.body.to_bytes(), request=request)


def _transport_error(name: str, request: httpx.Request) -> httpx.TransportError:
    if name == "TimeoutError":
        return httpx.ReadTimeout("no response by the deadline", request=request)
    if name == "TooLarge":
        return httpx.RemoteProtocolError("the response is too large", request=request)
    return httpx.NetworkError(f"fetch failed ({name})", request=request)


async def javascript_kdf(password: bytes, salt: bytes, profile: Profile, deadline: float, /) -> bytes:
    """Derive with `kdf.mjs`: the `Kdf` in workerd."""
    left = max(0.0, min(deadline - time.monotonic(), LONGEST_WAIT))
    numbers: tuple[int, ...]
    if isinstance(profile, Argon2id):
        derive, numbers = _kdf().deriveArgon2id, (profile.memory_kib, profile.passes, profile.lanes)
    else:
        derive, numbers = _kdf().deriveScrypt, (profile.n, profile.r, profile.p)
    key = await derive(to_js(password), to_js(salt), *numbers, profile.key_length, round(left * 1000))
    if key is None:
        raise TimeoutError
    return bytes(key.to_bytes())


def _limiter(env: Any, name: str) -> Limiter | None:
    """Return a rate limiting binding as a `Limiter`, or None where it is not bound."""
    if getattr(env, name, None) is None:
        return None

    async def is_within(key: str, /) -> bool | None:
        within: bool | None = await _javascript().countRequest(name, key, LONGEST_COUNT)
        return within

    return is_within


def _email_binding(env: Any, name: str) -> EmailBinding | None:
    """Return a `send_email` binding, or None where it is not bound."""
    if getattr(env, name, None) is None:
        return None

    async def send(mail: str, milliseconds: int, /) -> str:
        return str(await _javascript().sendEmail(name, mail, milliseconds))

    return send


def _hyperdrive(env: Any) -> Execute | None:
    """Return what runs statements over the binding of Hyperdrive, or None where it is not bound."""
    binding = getattr(env, BINDING, None)
    if binding is None:
        return None
    # No other Worker waits for this import.
    from signup.runtime.hyperdrive import execute  # noqa: PLC0415

    return partial(execute, binding)


# One for the life of the isolate, built from the first request's bindings: they are the same for all of them.
_application: App | None = None


def _app(env: Any) -> App:
    global _application  # noqa: PLW0603 - the isolate's state
    if _application is None:
        platform = Platform(
            FetchTransport,
            javascript_kdf,
            partial(_limiter, env),
            console.log,
            partial(_email_binding, env),
            _hyperdrive(env),
        )
        _application = build(lambda name: getattr(env, name, None), platform)
    return _application


async def deliver(env: Any) -> None:
    """Deliver the messages that are due."""
    await _app(env).deliver()


async def serve(request: Any, env: Any) -> Any:
    """Return the `Response` to one `Request`, both as JavaScript has them."""
    javascript = _javascript()

    async def read(limit: int, deadline: float) -> bytes | None:
        left = max(0, round((deadline - time.monotonic()) * 1000))
        outcome = await javascript.readRequest(request, limit, left)
        failure = getattr(outcome, "failure", None)
        if failure == "TimeoutError":
            raise BodyTimeout
        if failure == "TooLarge":
            return None
        if failure is not None:
            raise MalformedJson("incomplete_body")
        return bytes(outcome.body.to_bytes())

    method, path, query, origin, headers, country, colo, request_id = from_json(javascript.readHead(request))
    response = await _app(env)(Request(method, path, headers, read, origin, query, country, colo, request_id))
    if response.afterwards is not None:
        # It goes on when the response is sent, and the response does not wait for it.
        wait_until(response.afterwards())
    return javascript.makeResponse(response.status, to_json(response.headers).decode(), to_js(response.body))
