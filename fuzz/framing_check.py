"""Check the responses on a connection of `make fuzz-framing` against its requests."""

import re
from dataclasses import dataclass, field

from fuzz.http_reference import MARK, End, ReferenceRequest, Stream, Verdict

_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_OK = 200
_UNAVAILABLE = 503


@dataclass(frozen=True, slots=True)
class Response:
    """A final response. Interim responses are not recorded.

    Args:
        status: the status; 0 for bytes that are not a response.
        closes: whether the response has `Connection: close`; True for bytes that are not a response.
        body: the body.
    """

    status: int
    closes: bool
    body: bytes

    @property
    def mark(self) -> bytes | None:
        """The mark in the body; None if there is none."""
        match = MARK.search(self.body)
        return match[0] if match else None


@dataclass
class Received:
    """The final responses received on a connection, and the bytes of an incomplete response."""

    responses: list[Response] = field(default_factory=list)
    closed: bool = False
    buffer: bytes = b""

    @property
    def ends(self) -> bool:
        """Whether the connection can no longer be used."""
        return self.closed or self.buffer != b"" or any(response.closes for response in self.responses)

    def feed(self, data: bytes, stream: Stream) -> None:
        """Parse bytes from the connection."""
        self.buffer += data
        while self.buffer:
            number = len(self.responses)
            method = stream.requests[number].method if number < len(stream.requests) else b""
            if number and self.responses[-1].closes and not self.buffer.startswith(b"HTTP/1."[: len(self.buffer)]):
                # The bytes are the rest of a body without a length, or the body of a refused HEAD. The connection ends
                # after them.
                self.buffer = b""
                return
            response, size = _parse(self.buffer, method)
            if not size:
                return
            self.buffer = self.buffer[size:]
            if response is not None:
                self.responses.append(response)


def _parse(data: bytes, method: bytes) -> tuple[Response | None, int]:
    """Return the first response and its size. A 100 response is None, and an incomplete response has size 0."""
    head, _, rest = data.partition(b"\r\n\r\n")
    end = len(head) + 4
    if data.startswith(b"HTTP/1."[: len(data)]) and end > len(data):
        return None, 0
    match = _STATUS.match(head + b"\r\n")
    if match is None:
        return Response(0, closes=True, body=data), len(data)
    status, closes = int(match[1]), _CLOSE.search(head) is not None
    if status == 100:
        return None, end
    # A reverse proxy may omit the body if it parses the method differently from the reference parser.
    bodiless = method == b"HEAD" or status in (101, 204, 304) or rest.startswith(b"HTTP/1.")
    size = 0 if bodiless else _size(head, rest, closes=closes)
    return (None, 0) if size is None or size > len(rest) else (Response(status, closes, rest[:size]), end + size)


def _size(head: bytes, rest: bytes, *, closes: bool) -> int | None:
    """Return the size of a body; None if a chunked body is incomplete."""
    if _CHUNKED.search(head):
        last = rest.find(b"0\r\n\r\n")
        return None if last < 0 else last + 5
    length = _LENGTH.search(head)
    if length is None:
        return len(rest) if closes else 0  # the body extends to the end of the connection
    return int(length[1])


def find_violation(client: str, stream: Stream, received: Received, *, front: bool) -> str:
    """Return a description of the first wrong response on a connection, or "".

    A reverse proxy may refuse any ambiguous request, and may accept one that RFC 9112 requires it to refuse. Even
    then, a client must receive only its own marks, each once and in order.

    Args:
        client: the prefix of the client's marks.
        stream: the requests.
        received: the responses.
        front: whether a reverse proxy responds, rather than sqlproxy.
    """
    responses = received.responses
    marks = [match for response in responses if (match := MARK.search(response.body))]
    numbers = [int(match[2]) for match in marks]
    foreign = any(match[1] != client.encode() for match in marks)
    if foreign or numbers != sorted({*numbers}) or any(response.status == 101 for response in responses):
        return "marks of another client, marks that are not in order, or another protocol"
    for number, (request, response) in enumerate(zip(stream.requests, responses, strict=False), 1):
        if front and _may_front_differ(request, response):
            return ""
        violation = _find_response_violation(request, response, front=front)
        if not violation and (response.closes or request.verdict is Verdict.REFUSE) and number < len(responses):
            violation = "more responses follow, although the connection should have ended"
        if violation:
            return f"response {number}: {violation}"
    return _find_end_violation(stream, received, front=front)


def _may_front_differ(request: ReferenceRequest, response: Response) -> bool:
    """Return whether a reverse proxy is allowed to treat the request differently from sqlproxy."""
    if request.verdict is Verdict.EITHER:
        return request.may_close or (response.status >= 400 and b'"executed"' not in response.body)
    return request.verdict is Verdict.REFUSE


def _find_response_violation(request: ReferenceRequest, response: Response, *, front: bool) -> str:
    mark = response.mark
    if mark is not None and mark != request.mark and not request.any_mark:
        return f"the mark {mark!r} instead of {request.mark!r}"
    if mark is not None and request.verdict is Verdict.REFUSE:
        return "a statement was run that should have been refused"
    if request.mark is not None and mark is None and request.verdict is Verdict.SERVE:
        unserved = response.status in (502, 503, 504) if front else response.status == _UNAVAILABLE
        return "" if unserved else f"{response.status} without the mark {request.mark!r}"
    if response.status == _OK and request.mark is not None and mark is None:
        return f"200 without the mark {request.mark!r}"
    return ""


def _find_end_violation(stream: Stream, received: Received, *, front: bool) -> str:
    count = len(received.responses)
    surplus, missing = received.responses[len(stream.requests) :], stream.requests[count:]
    # A server may refuse an incomplete request, or respond before its body arrives.
    if surplus and (stream.end is not End.INCOMPLETE or len(surplus) > 1 or surplus[0].mark is not None):
        return f"{len(surplus)} more responses than requests"
    # Caddy may keep a connection open after `Connection: close`.
    if received.closed or (front and received.ends):
        last = stream.requests[max(0, count - 1) :]
        excused = stream.end is not End.OPEN or any(
            each.verdict is not Verdict.SERVE or each.may_close for each in last
        )
        announced = received.responses and received.responses[-1].closes
        return "" if excused or announced or not missing else "the connection was closed without a response"
    violation = ""
    if missing:
        violation = f"{len(missing)} requests without a response"
    elif received.buffer:
        violation = "half a response"
    elif stream.end is End.CLOSED and not front:
        violation = "the connection stays open"
    return "" if front and any(each.verdict is Verdict.REFUSE for each in missing) else violation
