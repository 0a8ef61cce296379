"""The adapter to uvicorn's undocumented internals. No other module uses them.

uvicorn's documented options do not limit clients sufficiently; `sqlproxy.http.bounds` lists the missing limits. After a
graceful stop, uvicorn raises the signal again, which ends the process before it can return an exit status. uvicorn
cannot be stopped through a pipe. The internals are:

- `HttpToolsProtocol`, which creates an `httptools.HttpRequestParser` with itself as the receiver of httptools'
  documented callbacks (`on_url`, `on_header`, …): overriding a callback gives access to a request before uvicorn
  processes it.
- `parser`: the `HttpRequestParser`, for its documented `should_upgrade` and `get_http_version`.
- `scope`: the ASGI scope, which `on_message_begin` creates; an extension is added to it.
- `send_400_response`: called when the parser fails or a callback raises; overridden to send JSON.
- `on_response_complete`: called after the last part of a response is written to the transport.
- `capture_signals`: the context in which the server runs; overridden so that signals do not end the process, and a pipe
  can stop the server.
- `should_exit`, `force_exit`: stop the server after the requests in flight, or at once.

tests/unit/sqlproxy/http/test_uvicorn_adapter.py fails when an upgrade changes one of these internals, or when this
module uses another one.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sqlproxy.http.bounds import BoundedConnection

__all__ = ["Protocol", "Server"]


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol, which reports its events to a bounded connection.

    Args:
        connect: creates the bounded connection.
        **uvicorn: uvicorn's own arguments.
    """

    def __init__(self, connect: Callable[[], BoundedConnection], **uvicorn: Any) -> None:  # noqa: ANN401 - passed on
        super().__init__(**uvicorn)
        self._bounded = connect()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # uvicorn's signature
        """Accept a connection."""
        super().connection_made(transport)
        self._bounded.connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release the resources of the connection."""
        self._bounded.connection_lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse data, unless the connection is closing."""
        if self._bounded.accepts_data(len(data)):
            super().data_received(data)
            self._bounded.data_parsed()

    def pause_writing(self) -> None:
        """Limit the time in which the client must read the sent data."""
        super().pause_writing()
        self._bounded.watch_unread()

    def on_message_begin(self) -> None:
        """Start to read the head of a request."""
        super().on_message_begin()
        self.scope["extensions"] = self._bounded.extensions
        self._bounded.head_began()

    def on_url(self, url: bytes) -> None:
        """Receive a part of the request target."""
        self._bounded.head_grew(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Receive a header or trailer."""
        self._bounded.head_grew(len(name) + len(value) + len(": \r\n"))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Start the request, or queue it behind the current one."""
        switches_protocols = self.parser.should_upgrade()
        self._bounded.check_head(self.parser.get_http_version(), switches_protocols=switches_protocols)
        super().on_headers_complete()
        self._bounded.request_began()

    def on_message_complete(self) -> None:
        """Record the end of a request."""
        super().on_message_complete()
        self._bounded.message_completed()

    def on_response_complete(self) -> None:
        """Record the end of a response, and continue with the next request."""
        super().on_response_complete()
        self._bounded.response_completed()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's text
        """Refuse a request that could not be parsed or that exceeded a bound."""
        self._bounded.parsing_failed()


class Server(uvicorn.Server):
    """uvicorn's server, which `listen_for_stop` stops instead of uvicorn's signal handlers.

    Args:
        config: uvicorn's configuration.
        listen_for_stop: returns a context in which a request to stop calls the given function.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        listen_for_stop: Callable[[Callable[[], None]], AbstractContextManager[None]],
    ) -> None:
        super().__init__(config)
        self._listen_for_stop = listen_for_stop

    @property
    def was_forced(self) -> bool:
        """Whether a second request to stop ended the graceful stop."""
        return self.force_exit

    def stop(self) -> None:
        """End the server after the requests in flight; a second call ends it at once."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Listen for requests to stop while the block runs."""
        with self._listen_for_stop(self.stop):
            yield
