"""Requests that no HTTP library would send, on sockets, to the real Worker: never a 500, and it goes on."""

import contextlib
import gzip
import json
import socket

import pytest

from tests.e2e.conftest import PASSWORD, Running, new_email

GOOD = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
HEAD = "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n"


def sent(worker: Running, data: bytes) -> int:
    """Send bytes and return the status of the Worker's answer; 0 when it did not come to that.

    What has no request id is workerd's or wrangler's: the Worker never saw it, or they did not hand its answer on.
    """
    answer = b""
    with socket.create_connection(("127.0.0.1", worker.stack.options.port), timeout=30) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while chunk := connection.recv(65536):
                answer += chunk
    return int(answer.split()[1]) if b"\r\nx-request-id: " in answer.partition(b"\r\n\r\n")[0].lower() else 0


def post(worker: Running, body: bytes, headers: str = "") -> int:
    """Post a body with its length and more headers."""
    return sent(worker, f"{HEAD}content-length: {len(body)}\r\n{headers}\r\n".encode("latin-1") + body)


def chunked(body: bytes, size: int) -> bytes:
    """Return a body in chunks."""
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts) + b"0\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"name":"\\u0000"}', 422),
        (b'{"name":"\\ud800"}', 400),
        (b'{"name":"\xc0\x80"}', 400),
        (b'{"name":"\xed\xa0\x80"}', 400),
        (b'{"name":"\xf4\x90\x80\x80"}', 400),
        (b"[" * 16_000, 400),
        (b'{"a":' * 3000, 400),
        (b'{"a":NaN}', 400),
        (b'{"a":1,"a":1}', 400),
        (b'{"a":' + b"9" * 10_000 + b"}", 422),
    ],
)
def test_json_that_breaks_parsers_is_refused(worker: Running, body: bytes, status: int) -> None:
    """NULs, surrogates, overlong forms, depth, NaN, names twice, numbers of any length: refused with a reason."""
    assert post(worker, body) == status


def test_a_body_counts_by_what_is_read(worker: Running) -> None:
    """In chunks and without a length it is refused as soon as it is too long; up to that it is read."""
    head = f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode()
    good = json.dumps({**GOOD, "email": new_email()}).encode()
    assert sent(worker, head + chunked(good, 7)) == 201
    assert sent(worker, head + chunked(b" " * 17_000, 1000)) == 413
    # Longer than it says: what is left over is not part of the body.
    lying = f"{HEAD}content-length: 2\r\n\r\n".encode() + b"{}" + b" " * 20_000
    assert sent(worker, lying) == 422
    # Shorter: its end never comes.
    assert sent(worker, f"{HEAD}content-length: 500\r\n\r\n".encode() + good[:20]) in (0, 400)


def test_a_small_body_cannot_become_large(worker: Running) -> None:
    """A content coding is refused, declared; a compressed body that is not declared is not JSON."""
    bomb = gzip.compress(b" " * 10_000_000)
    assert len(bomb) < 16_384
    assert post(worker, bomb, "content-encoding: gzip\r\n") == 415
    assert post(worker, bomb) == 400


@pytest.mark.parametrize(
    "smuggled",
    [
        "content-length: 5\r\ncontent-length: 6\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
        "transfer-encoding: x\r\n",
        "content-length: +5\r\n",
        "content-length: -1\r\n",
    ],
)
def test_two_readings_of_one_request_are_none(worker: Running, smuggled: str) -> None:
    """A request whose end is not clear is not signed up, nor what would follow it; it is no mistake of ours either."""
    good = json.dumps({**GOOD, "email": new_email()}).encode()
    inner = f"{HEAD}content-length: {len(good)}\r\n\r\n".encode() + good
    status = sent(worker, f"{HEAD}{smuggled}\r\n".encode() + b"0\r\n\r\n" + inner)
    assert status in (0, 400, 422)


@pytest.mark.parametrize("method", ["post", "Post", "BREW", "CONNECT", "TRACE", "POST\t"])
def test_only_post_is_post(worker: Running, method: str) -> None:
    """Another spelling or an unknown method is none that signs up."""
    body = json.dumps({**GOOD, "email": new_email()}).encode()
    head = HEAD.replace("POST", method, 1)
    assert sent(worker, f"{head}content-length: {len(body)}\r\n\r\n".encode() + body) in (0, 405)


@pytest.mark.parametrize("header", ["x-http-method-override", "x-method-override", "x-http-method"])
def test_no_header_overrides_the_method(worker: Running, header: str) -> None:
    """A GET that says that it is a POST is a GET."""
    assert sent(worker, f"{HEAD.replace('POST', 'GET', 1)}{header}: POST\r\n\r\n".encode()) == 200


@pytest.mark.parametrize(("count", "length"), [(1000, 20), (10, 5000), (1, 200_000)])
def test_a_flood_of_headers_is_refused_or_ignored(worker: Running, count: int, length: int) -> None:
    """Many or long headers change nothing: the platform refuses them, or they are not looked at."""
    headers = "".join(f"x-{number}: {'y' * length}\r\n" for number in range(count))
    assert post(worker, b"{}", headers) in (0, 422)


def test_the_worker_goes_on(worker: Running) -> None:
    """After all that a good sign-up is signed up."""
    assert worker.sign_up().status_code == 201
