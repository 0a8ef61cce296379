"""Plain HTTP to a public host name, with the real Worker in `wrangler dev`."""

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from devstack.postgres.server import free_port
from devstack.stack.stack import Options, running
from tests.e2e.configs import limited

HOST = "signup.example.com"


@pytest.fixture(scope="module")
def port(state: Path) -> Iterator[int]:
    """Start a Worker with a public host name and without a database; return its port."""
    home = state / "https"
    home.mkdir()
    (home / "dev.vars").write_text('DATABASE_URL="sql+http://token@127.0.0.1:9/"\n')
    config = limited().replace('host = "localhost"', f'host = "{HOST}"')
    assert HOST in config
    # /ready never succeeds without a database, so a static file shows that the Worker has started.
    options = Options(home, home / "dev.vars", free_port(), say=lambda _: None, config=config, ready="/signup.css")
    with running(options):
        yield options.port


def test_a_get_is_redirected_with_its_query(port: int) -> None:
    """The 308 has no HSTS header. `wrangler dev` replaces the origin in `location`."""
    response = httpx.get(f"http://127.0.0.1:{port}/ready?a=b%20c", timeout=60)
    assert (response.status_code, response.content) == (308, b"")
    assert response.headers["location"].endswith("/ready?a=b%20c")
    assert "strict-transport-security" not in response.headers


def test_a_post_is_refused_before_its_body_is_sent(port: int) -> None:
    """The Worker responds 403 to the head of the request, so the client need not send the password."""
    head = b"POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(head)
        response = b""
        while b"https_required" not in response:
            response += connection.recv(65536) or pytest.fail("the connection was closed")
    assert response.startswith(b"HTTP/1.1 403 ")


def test_static_files_have_hsts(port: int) -> None:
    """Cloudflare serves static files with the headers in public/_headers."""
    for path in ("/signup.css", "/signup.js", "/docs/"):
        response = httpx.get(f"http://127.0.0.1:{port}{path}", timeout=60)
        assert response.headers["strict-transport-security"] == "max-age=31536000"
