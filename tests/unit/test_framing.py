"""The reference parser, the cases and the check of responses of `make fuzz-framing`."""

import pytest

from fuzz.framing_cases import draw_case, statement
from fuzz.framing_check import Received, Response, find_violation
from fuzz.http_reference import End, Verdict, read_stream

SERVE, EITHER, REFUSE = Verdict
GET = b"GET /ready HTTP/1.1\r\nhost: x\r\n"
POST = b"POST /nowhere HTTP/1.1\r\nhost: x\r\n"
NEXT = statement("c1n9")
CHUNKED = POST + b"transfer-encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("data", "verdict"),
    [
        (GET + b"\r\n", SERVE),
        (POST + b"content-length: %d\r\n\r\n" % len(NEXT) + NEXT, SERVE),
        (CHUNKED + b"\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(NEXT), NEXT), SERVE),
        (GET + b"connection: upgrade\r\nupgrade: x\r\ncontent-length: %d\r\n\r\n" % len(NEXT) + NEXT, EITHER),
        (POST + b"expect: 100-continue\r\ncontent-length: 1\r\n\r\nx", EITHER),
        (POST + b"content-length: 1, 1\r\n\r\nx", EITHER),
        (POST + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", EITHER),
        (CHUNKED + b"\r\n1;a=b\r\nx\r\n0\r\n\r\n", EITHER),
        (CHUNKED + b"\r\n0\r\ncontent-length: 9\r\n\r\n", EITHER),
        (GET.replace(b"/ready", b"http://x/ready") + b"\r\n", EITHER),
        (GET.replace(b"1.1", b"1.2") + b"\r\n", EITHER),
        (GET.replace(b"\r\n", b"\n") + b"\n", EITHER),
        (GET + b"x-a: b\r\n folded\r\n\r\n", EITHER),
        (b"\r\n" + GET + b"\r\n", EITHER),
        (b"GET /ready HTTP/1.1\r\n\r\n", EITHER),
    ],
)
def test_a_body_is_not_a_request(data: bytes, verdict: Verdict) -> None:
    """For each framing, the bytes after the first request and its body are parsed as the second request."""
    stream = read_stream(data + NEXT)
    assert [request.verdict for request in stream.requests] == [verdict, SERVE]
    assert [request.mark for request in stream.requests] == [None, b"c1n9"]
    assert stream.end is End.OPEN


@pytest.mark.parametrize(
    "data",
    [
        b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /ready\r\n",
        GET.replace(b"1.1", b"0.9") + b"\r\n",
        GET + b"x-a : b\r\n\r\n",
        GET + b"x-a: b\rx-b: c\r\n\r\n",
        GET + b"x a: b\r\n\r\n",
        POST + b"content-length: +1\r\n\r\nx",
        POST + b"content-length: 1\r\ncontent-length: 2\r\n\r\nxx",
        POST + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        POST + b"transfer-encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        CHUNKED + b"\r\n0x1\r\nx\r\n0\r\n\r\n",
        CHUNKED + b"\r\n1\nx\r\n0\r\n\r\n",
        CHUNKED + b"\r\n1\r\nxy\r\n0\r\n\r\n",
        CHUNKED + b"\r\n1 \r\nx\r\n0\r\n\r\n",
        CHUNKED + b"\r\n0\r\n folded\r\n\r\n",
    ],
)
def test_ambiguous_framing_is_refused(data: bytes) -> None:
    """The bytes after the refused request are not read."""
    stream = read_stream(data + NEXT)
    assert [request.verdict for request in stream.requests] == [REFUSE]
    assert stream.end is End.CLOSED


@pytest.mark.parametrize("data", [GET, GET[:-2], POST + b"content-length: 9999\r\n\r\n", CHUNKED + b"\r\n9999\r\n"])
def test_an_incomplete_request_consumes_the_following_bytes(data: bytes) -> None:
    """Bytes that look like a request belong to the incomplete request, too."""
    stream = read_stream(data + NEXT[:100])
    assert (stream.requests, stream.end) == ([], End.INCOMPLETE)


@pytest.mark.parametrize("data", [GET + b"connection: close\r\n\r\n", GET.replace(b"1.1", b"1.0") + b"\r\n"])
def test_a_request_can_close_its_connection(data: bytes) -> None:
    """The bytes that follow are not parsed as a request."""
    stream = read_stream(data + NEXT)
    assert ([request.verdict for request in stream.requests], stream.end) == ([SERVE], End.CLOSED)


def test_a_case_is_reproducible_and_ends_with_a_statement() -> None:
    """The same seed and number draw the same case; another seed draws another case."""
    assert draw_case("1", 7) == draw_case("1", 7)
    assert draw_case("1", 7) != draw_case("2", 7)
    assert all(draw_case("1", number).data.endswith(b'"]}') for number in range(50))


OWN, OTHER = (Response(200, closes=False, body=b'{"rows":[["%b"]]}' % mark) for mark in (b"c1n9", b"c2n1"))
PLAIN = Response(200, closes=False, body=b'{"status":"ok"}')
REFUSED = Response(400, closes=True, body=b'{"executed":false}')
UPGRADE = GET + b"connection: upgrade\r\nupgrade: x\r\ncontent-length: %d\r\n\r\n" % len(statement("c1n1"))
UPGRADE_AND_NEXT = UPGRADE + statement("c1n1") + NEXT
SMUGGLED = Response(200, closes=False, body=b'{"rows":[["c1n1"]]}')


@pytest.mark.parametrize(
    ("data", "responses", "closed", "expected"),
    [
        (UPGRADE_AND_NEXT, [PLAIN, OWN], False, ""),
        (UPGRADE_AND_NEXT, [REFUSED], True, ""),
        (UPGRADE_AND_NEXT, [PLAIN, SMUGGLED, OWN], False, "response 2: the mark"),
        (UPGRADE_AND_NEXT, [PLAIN, PLAIN, OWN], False, "response 2: 200 without the mark"),
        (UPGRADE_AND_NEXT, [PLAIN], False, "1 requests without a response"),
        (UPGRADE_AND_NEXT, [REFUSED, PLAIN], True, "more responses follow"),
        (NEXT, [OTHER], False, "marks of another client"),
        (NEXT, [OWN, OWN], False, "marks of another client"),
        (NEXT, [OWN, PLAIN], False, "1 more responses than requests"),
        (NEXT, [REFUSED], True, "response 1: 400 without the mark"),
        (NEXT, [], True, "the connection was closed without a response"),
        (b"CONNECT x:80 HTTP/1.1\r\n\r\n" + NEXT, [REFUSED], True, ""),
        (b"CONNECT x:80 HTTP/1.1\r\n\r\n" + NEXT, [PLAIN], False, "the connection stays open"),
        (b"CONNECT x:80 HTTP/1.1\r\n\r\n" + NEXT, [PLAIN, OWN], False, "more responses follow"),
        (b"CONNECT x:80 HTTP/1.1\r\n\r\n" + NEXT, [OWN], True, "response 1: the mark"),
        (GET, [REFUSED], True, ""),
        (GET, [PLAIN, PLAIN], False, "2 more responses than requests"),
        (GET + b"\r\n", [Response(101, closes=False, body=b"")], False, "another protocol"),
    ],
)
def test_wrong_responses_are_detected(data: bytes, responses: list[Response], closed: bool, expected: str) -> None:
    """Violations are, for example, missing and surplus responses, and responses for another client."""
    violation = find_violation("c1", read_stream(data), Received(responses, closed), front=False)
    assert expected in violation
    assert bool(violation) is bool(expected)


def test_a_reverse_proxy_may_refuse_requests_but_not_mix_up_clients() -> None:
    """A reverse proxy may respond 502, or interpret framing differently, but not return another client's response."""
    stream = read_stream(b"CONNECT x:80 HTTP/1.1\r\nhost: x\r\n\r\n" + NEXT, front=True)
    assert find_violation("c1", stream, Received([PLAIN, OWN]), front=True) == ""
    assert "another client" in find_violation("c1", stream, Received([PLAIN, OTHER]), front=True)
    unavailable = Received([Response(502, closes=False, body=b"")])
    assert find_violation("c1", read_stream(NEXT), unavailable, front=True) == ""
    assert "502 without the mark" in find_violation("c1", read_stream(NEXT), unavailable, front=False)


@pytest.mark.parametrize(
    ("data", "statuses", "ends"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 404 Not Found\r\n\r\n", [200, 404], False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", [200], False),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", [200], False),
        (b"HTTP/1.1 501 x\r\nConnection: close\r\n\r\nUnsupported", [501], True),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", [], True),
        (b"HTTP/1.1 200 OK\r\ncontent", [], True),
        (b"<html>", [0], True),
    ],
)
def test_responses_are_parsed_from_the_received_bytes(data: bytes, statuses: list[int], ends: bool) -> None:
    """The bytes may arrive in one part or one by one."""
    for size in (len(data), 1):
        received = Received()
        for start in range(0, len(data), size):
            received.feed(data[start : start + size], read_stream(GET + b"\r\n"))
        assert [response.status for response in received.responses] == statuses
        assert received.ends is ends
