"""sqlproxy uses only the uvicorn internals in the adapter's docstring, and these work as expected."""

from __future__ import annotations

import ast
import asyncio
import re
import socket
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from sqlproxy.errors import MalformedRequest
from sqlproxy.http import uvicorn_adapter
from sqlproxy.http.uvicorn_adapter import Protocol, Server

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    Send = Callable[[dict[str, Any]], Awaitable[None]]

PACKAGE = Path(uvicorn_adapter.__file__).parents[1]
# Callbacks in httptools' documentation.
CALLBACKS = {"on_message_begin", "on_url", "on_header", "on_headers_complete", "on_message_complete"}
PIPELINED = b"GET /a HTTP/1.1\r\nhost: x\r\n\r\nGET /b HTTP/1.1\r\nhost: x\r\n\r\n"


class Recorder:
    """A fake of the bounded connection that records the calls."""

    def __init__(self, *, fails: bool = False) -> None:
        self.extensions: dict[str, dict[object, object]] = {"test": {}}
        self.calls: list[str] = []
        self.heads: list[tuple[str, bool]] = []
        self._fails = fails

    def check_head(self, version: str, *, switches_protocols: bool) -> None:
        """Record a request head; raise an exception if `fails` is set."""
        self.calls.append("check_head")
        self.heads.append((version, switches_protocols))
        if self._fails:
            raise MalformedRequest("no")

    def __getattr__(self, name: str) -> Callable[..., bool]:
        def call(*_: object, **__: object) -> bool:
            self.calls.append(name)
            return True

        return call


class Transport(asyncio.Transport):
    """A transport that records the written bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Record the data."""
        self.written += bytes(data)

    def is_closing(self) -> bool:
        """Return whether the transport was closed."""
        return self.closing

    def close(self) -> None:
        """Record the close."""
        self.closing = True

    def resume_reading(self) -> None:
        """Do nothing."""

    def pause_reading(self) -> None:
        """Do nothing."""


async def app(scope: dict[str, Any], _: object, send: Send) -> None:
    """Respond with the path."""
    assert scope["extensions"] == {"test": {}}
    body = scope["path"].encode()
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


async def exchange(recorder: Recorder, data: bytes) -> Transport:
    """Send data over a connection; return the transport after all tasks have ended."""
    state = ServerState()
    config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none")
    protocol = Protocol(lambda: recorder, config=config, server_state=state, app_state={})  # type: ignore[arg-type,return-value] # a fake
    transport = Transport()
    protocol.connection_made(transport)
    protocol.data_received(data)
    await asyncio.sleep(0.01)
    assert not state.tasks
    protocol.connection_lost(None)
    return transport


def test_the_callbacks_are_called_for_each_request_and_response() -> None:
    """Two pipelined requests cause the calls for head, end and response in the expected order."""
    recorder = Recorder()
    transport = asyncio.run(exchange(recorder, PIPELINED))
    assert transport.written.endswith(b"/b")
    request = ["head_began", "head_grew", "head_grew", "check_head", "request_began", "message_completed"]
    begin, end = ["connection_made", "accepts_data"], ["data_parsed", *["response_completed"] * 2, "connection_lost"]
    assert recorder.calls == [*begin, *request, *request, *end]


def test_a_callback_that_raises_refuses_the_request() -> None:
    """Uvicorn writes nothing and does not start the application; the same applies to invalid HTTP."""
    for recorder, data in ((Recorder(fails=True), PIPELINED), (Recorder(), b"no HTTP\r\n\r\n")):
        transport = asyncio.run(exchange(recorder, data))
        assert transport.written == b""
        assert recorder.calls.count("parsing_failed") == 1
        assert "request_began" not in recorder.calls


def test_the_parser_reports_upgrades_and_the_version() -> None:
    """The parser's documented methods return the right values when a head is complete."""
    for data, head in (
        (b"GET / HTTP/1.1\r\n\r\n", ("1.1", False)),
        (b"GET / HTTP/1.0\r\n\r\n", ("1.0", False)),
        (b"GET / HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n", ("1.1", True)),
    ):
        recorder = Recorder(fails=True)
        asyncio.run(exchange(recorder, data))
        assert recorder.heads == [head]


@pytest.mark.anyio
async def test_a_second_stop_request_forces_the_shutdown() -> None:
    """The server runs within the context that listens for stop requests; the first one stops it."""
    for times, forced in ((1, False), (2, True)):
        log: list[str] = []

        @contextmanager
        def listen(stop: Callable[[], None], times: int = times, log: list[str] = log) -> Iterator[None]:
            log.append("enter")
            for number in range(times):
                asyncio.get_running_loop().call_later(0.001 * (number + 1), stop)
            yield
            log.append("exit")

        config = uvicorn.Config(app, lifespan="off", log_config=None, ws="none")
        server = Server(config, listen)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            await asyncio.wait_for(server.serve(sockets=[listener]), 5)
        assert (log, server.was_forced) == (["enter", "exit"], forced)


def used_names(name: str, base: type) -> set[str]:
    """Return the names of a base class that a class of the adapter uses or overrides."""
    tree = ast.parse(Path(uvicorn_adapter.__file__).read_text(encoding="utf-8"))
    (class_node,) = [node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name]
    names = {node.name for node in class_node.body if isinstance(node, ast.FunctionDef)}
    for node in ast.walk(class_node):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "self":
            names.add(node.attr)
    text = Path(str(__import__(base.__module__, fromlist=["_"]).__file__)).read_text(encoding="utf-8")
    return {each for each in names if re.search(rf"def {each}\(|self\.{each}\b", text)} - {"__init__"}


def test_only_the_listed_internals_are_used() -> None:
    """Each used name of uvicorn's classes is in the docstring, and no other file uses uvicorn's internals."""
    internals = used_names("Protocol", HttpToolsProtocol) - CALLBACKS - set(dir(asyncio.Protocol))
    assert internals == {"parser", "scope", "send_400_response", "on_response_complete"}
    assert used_names("Server", uvicorn.Server) == {"capture_signals", "should_exit", "force_exit"}
    listed = re.findall(r"^- `(\w+)`(?:, `(\w+)`)?", str(uvicorn_adapter.__doc__), re.MULTILINE)
    assert {each for pair in listed for each in pair if each} == {
        *("HttpToolsProtocol", "parser", "scope", "send_400_response", "on_response_complete"),
        *("capture_signals", "should_exit", "force_exit"),
    }
    for file in PACKAGE.rglob("*.py"):
        if file.name != "uvicorn_adapter.py":
            assert not re.search(r"uvicorn\.(?!Config\b)\w|from uvicorn", file.read_text(encoding="utf-8")), file
