"""The interface to workerd, through the JavaScript functions of `edge.mjs` and `kdf.mjs`.

Only `signup.runtime` and `entry.py` import `js`, `pyodide` or `workers`. All other modules also run on CPython.
"""

import time
from functools import partial
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
from signup.http_client import READS_BODY
from signup.outbox.binding import EmailBinding
from signup.problems import BodyTimeout, MalformedJson
from signup.web.app import App
from signup.web.messages import Request

# The maximum size of a response, in bytes. Responses to the Worker's requests are much smaller.
LARGEST_RESPONSE = 1024 * 1024
# The maximum wait for a hash, in seconds, even if the deadline is later.
LONGEST_WAIT = 60.0
# The timeout of a rate limiting binding in milliseconds. The binding counts in memory, so it normally responds at once.
COUNT_TIMEOUT = 250

# Request headers that fetch sets itself, or that belong to the connection.
_CONNECTION_HEADERS = frozenset({b"host", b"connection", b"content-length", b"accept-encoding", b"transfer-encoding"})
# Response headers that describe the encoded body, which fetch has already decoded. httpx would decode it again.
_ENCODING_HEADERS = frozenset({"content-encoding", "content-length", "transfer-encoding"})

# These modules are imported while the isolate starts. During a request, `import_from_javascript` would suspend Python's
# stack. If other requests run at the same time, Pyodide 314 then corrupts its memory, and workerd ends the isolate.
_edge = import_from_javascript("./edge.mjs")
_kdf = import_from_javascript("./kdf.mjs")


class FetchTransport(httpx.AsyncBaseTransport):
    """An httpx transport over workerd's `fetch`.

    httpx's default transport keeps sockets open. In workerd an I/O object belongs to the request that created it, so a
    client with open sockets fails in the next request. `fetch` has no such state, so one transport serves all requests.

    The longest of httpx's four timeouts applies to the whole exchange, including the response. Errors are raised as
    httpx's exceptions. It is unknown whether a failed request was received. The whole response is read, up to
    `LARGEST_RESPONSE` bytes, unless the request's extension `READS_BODY` is false.
    """

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises:
            httpx.ReadTimeout: there was no complete response by the deadline.
            httpx.NetworkError: the connection failed or was lost.
            httpx.RemoteProtocolError: the response is too large.
        """
        timeouts = [value for value in request.extensions.get("timeout", {}).values() if value is not None]
        headers = [pair for pair in request.headers.raw if pair[0].lower() not in _CONNECTION_HEADERS]
        outcome = await _edge.exchange(
            request.method,
            str(request.url),
            to_json(headers).decode(),
            to_js(await request.aread()),
            round(max(timeouts, default=30.0) * 1000),
            LARGEST_RESPONSE if request.extensions.get(READS_BODY, True) else 0,
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
    """Derive a key with `kdf.mjs`; this is the `Kdf` in workerd."""
    seconds = max(0.0, min(deadline - time.monotonic(), LONGEST_WAIT))
    parameters: tuple[int, ...]
    if isinstance(profile, Argon2id):
        derive, parameters = _kdf.deriveArgon2id, (profile.memory_kib, profile.passes, profile.lanes)
    else:
        derive, parameters = _kdf.deriveScrypt, (profile.n, profile.r, profile.p)
    key = await derive(to_js(password), to_js(salt), *parameters, profile.key_length, round(seconds * 1000))
    if key is None:
        raise TimeoutError
    return bytes(key.to_bytes())


def _limiter(env: Any, name: str) -> Limiter | None:
    """Return a rate limiting binding as a `Limiter`, or None if it is not bound."""
    if getattr(env, name, None) is None:
        return None

    async def is_within(key: str, /) -> bool | None:
        result: bool | None = await _edge.countRequest(name, key, COUNT_TIMEOUT)
        return result

    return is_within


def _email_binding(env: Any, name: str) -> EmailBinding | None:
    """Return a `send_email` binding, or None if it is not bound."""
    if getattr(env, name, None) is None:
        return None

    async def send(mail: str, milliseconds: int, /) -> str:
        return str(await _edge.sendEmail(name, mail, milliseconds))

    return send


def _hyperdrive(env: Any) -> Execute | None:
    """Return the function that runs statements over the Hyperdrive binding, or None if it is not bound."""
    binding = getattr(env, BINDING, None)
    if binding is None:
        return None
    # Imported only with Hyperdrive, to keep the cold starts of other deployments short.
    from signup.runtime.hyperdrive import execute  # noqa: PLC0415

    return partial(execute, _edge.importModule, binding)


# The isolate's application. It is built from the bindings of the first call, which are the same for all calls.
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
    """Return the JavaScript `Response` to a JavaScript `Request`."""

    async def read(limit: int, deadline: float) -> bytes | None:
        milliseconds = max(0, round((deadline - time.monotonic()) * 1000))
        outcome = await _edge.readRequest(request, limit, milliseconds)
        failure = getattr(outcome, "failure", None)
        if failure == "TimeoutError":
            raise BodyTimeout
        if failure == "TooLarge":
            return None
        if failure is not None:
            raise MalformedJson("incomplete_body")
        return bytes(outcome.body.to_bytes())

    method, path, query, origin, headers, country, colo, request_id = from_json(_edge.readHead(request))
    response = await _app(env)(Request(method, path, headers, read, origin, query, country, colo, request_id))
    if response.afterwards is not None:
        # This continues after the response is sent and does not delay it.
        wait_until(response.afterwards())
    return _edge.makeResponse(response.status, to_json(response.headers).decode(), to_js(response.body))
