"""Malformed and unusual requests over raw sockets: the Worker never responds 500 and keeps serving."""

import contextlib
import gzip
import json
import socket

import pytest

from tests.e2e.conftest import PASSWORD, Running, new_email

VALID = {"name": "Ada", "email": "ada@example.com", "password": PASSWORD}
HEAD = "POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n"


def send(worker: Running, data: bytes) -> int:
    """Send bytes; return the status of the Worker's response, or 0 if there is none.

    A response without a request id comes from workerd or wrangler.
    """
    response = b""
    with socket.create_connection(("127.0.0.1", worker.stack.options.port), timeout=30) as connection:
        with contextlib.suppress(OSError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while chunk := connection.recv(65536):
                response += chunk
    return int(response.split()[1]) if b"\r\nx-request-id: " in response.partition(b"\r\n\r\n")[0].lower() else 0


def post(worker: Running, body: bytes, headers: str = "") -> int:
    """Post a body with its content-length and further headers; return the status."""
    return send(worker, f"{HEAD}content-length: {len(body)}\r\n{headers}\r\n".encode("latin-1") + body)


def chunked(body: bytes, size: int) -> bytes:
    """Return a body in chunked transfer encoding."""
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
def test_json_that_breaks_parsers_is_rejected(worker: Running, body: bytes, status: int) -> None:
    """NULs, surrogates, overlong encodings, deep nesting, NaN, duplicate names and huge numbers are rejected."""
    assert post(worker, body) == status


def test_the_limit_counts_the_bytes_of_the_body(worker: Running) -> None:
    """A short chunked body is accepted, and one beyond 16 KiB is rejected, although neither has a content-length."""
    head = f"{HEAD}transfer-encoding: chunked\r\n\r\n".encode()
    valid = json.dumps({**VALID, "email": new_email()}).encode()
    assert send(worker, head + chunked(valid, 7)) == 201
    assert send(worker, head + chunked(b" " * 17_000, 1000)) == 413
    # The bytes beyond content-length are not part of the body.
    excess = f"{HEAD}content-length: 2\r\n\r\n".encode() + b"{}" + b" " * 20_000
    assert send(worker, excess) == 422
    # The body has fewer bytes than content-length states, so it is incomplete.
    assert send(worker, f"{HEAD}content-length: 500\r\n\r\n".encode() + valid[:20]) in (0, 400)


def test_a_compressed_body_is_rejected(worker: Running) -> None:
    """With a content-encoding header the response is 415; without this header the body is malformed JSON."""
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
def test_a_request_with_an_ambiguous_or_invalid_length_is_rejected(worker: Running, smuggled: str) -> None:
    """Another request follows the body. The Worker responds 400 or 422, or workerd rejects the request."""
    valid = json.dumps({**VALID, "email": new_email()}).encode()
    inner = f"{HEAD}content-length: {len(valid)}\r\n\r\n".encode() + valid
    status = send(worker, f"{HEAD}{smuggled}\r\n".encode() + b"0\r\n\r\n" + inner)
    assert status in (0, 400, 422)


@pytest.mark.parametrize("method", ["post", "Post", "BREW", "CONNECT", "TRACE", "POST\t"])
def test_other_methods_and_spellings_of_post_do_not_sign_up(worker: Running, method: str) -> None:
    """Method names are case-sensitive, and unknown methods are rejected."""
    body = json.dumps({**VALID, "email": new_email()}).encode()
    head = HEAD.replace("POST", method, 1)
    assert send(worker, f"{head}content-length: {len(body)}\r\n\r\n".encode() + body) in (0, 405)


@pytest.mark.parametrize("header", ["x-http-method-override", "x-method-override", "x-http-method"])
def test_no_header_overrides_the_method(worker: Running, header: str) -> None:
    """A GET request with such a header is processed as GET."""
    assert send(worker, f"{HEAD.replace('POST', 'GET', 1)}{header}: POST\r\n\r\n".encode()) == 200


@pytest.mark.parametrize(("count", "length"), [(1000, 20), (10, 5000), (1, 200_000)])
def test_many_or_long_headers_are_rejected_or_ignored(worker: Running, count: int, length: int) -> None:
    """Either workerd rejects the request, or the Worker ignores the headers."""
    headers = "".join(f"x-{number}: {'y' * length}\r\n" for number in range(count))
    assert post(worker, b"{}", headers) in (0, 422)


def test_the_worker_still_signs_users_up(worker: Running) -> None:
    """A valid sign-up succeeds after all these requests."""
    assert worker.sign_up().status_code == 201
