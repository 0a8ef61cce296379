"""A reference parser for `make fuzz-framing`: the requests in a stream, and the responses that RFC 9112 allows."""

import enum
import json
import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from tests.contract.sqlproxy.harness import TOKEN

QUERY = "SELECT $1::text"
# A statement sent to `POST /sql` returns its mark: "c" and the number of the case, or "h" and the number of the honest
# client; then "n" and a serial number.
MARK = re.compile(rb"\b([ch]\d+)n(\d+)\b")

_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)( +)([^\x00-\x20\x7f]+)( +)HTTP/(\d)\.(\d)")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")
_CHUNK = re.compile(rb"0*([0-9A-Fa-f]{1,15})([ \t]*;[^\r\n]*)?")
_HOST = re.compile(rb"[A-Za-z0-9.-]+")
_METHODS = {b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"}
_EMPTY_LINE = re.compile(rb"(?<=\n)\r?\n")
_MAX_DIGITS = 15


class Verdict(enum.IntEnum):
    """What RFC 9112 requires: serve a request, serve or refuse it, or refuse it and close the connection."""

    SERVE = 0
    EITHER = 1
    REFUSE = 2


class End(enum.Enum):
    """How a stream ends: with a complete request, within a request, or with a request that closes the connection."""

    OPEN = "open"
    INCOMPLETE = "incomplete"
    CLOSED = "closed"


@dataclass
class ReferenceRequest:
    """A request of a stream, and the responses to it that are allowed.

    Args:
        verdict: whether a server must serve the request, may refuse it, or must refuse it.
        method: the method.
        mark: the mark that the response must contain; None for no mark.
        any_mark: whether the response may contain any mark, because the statement or its headers were changed.
        may_close: whether the server may respond and close the connection before it has read the body.
    """

    verdict: Verdict = Verdict.SERVE
    method: bytes = b""
    mark: bytes | None = None
    any_mark: bool = False
    may_close: bool = False

    def allow(self, verdict: Verdict) -> None:
        """Replace the verdict if the given verdict is stricter."""
        self.verdict = max(self.verdict, verdict)


@dataclass
class Stream:
    """A parsed stream.

    Args:
        requests: the complete requests, up to the first that must be refused or that closes the connection. Only the
            last one can have the verdict `REFUSE`.
        end: how the stream ends.
    """

    requests: list[ReferenceRequest] = field(default_factory=list)
    end: End = End.OPEN


class _Incomplete(Exception):
    """The stream ends within a request."""


class _Refused(Exception):
    """A server must refuse the request."""


@dataclass
class _Head:
    lines: list[bytes]
    end: int
    lenient: bool


def read_stream(data: bytes, *, front: bool = False) -> Stream:
    """Parse a stream of requests.

    Args:
        data: all bytes that a connection sends.
        front: whether the requests are sent to a reverse proxy. A reverse proxy may keep a connection open if an
            HTTP/1.0 request has a `Connection` header, or if the header has other options besides `close`.
    """
    stream = Stream()
    position = 0
    while position < len(data):
        request = ReferenceRequest()
        try:
            position, closes = _read_request(data, position, request, front=front)
        except _Incomplete:
            stream.end = End.INCOMPLETE
            break
        except _Refused:
            request.allow(Verdict.REFUSE)
            request.mark = None
            stream.requests.append(request)
            stream.end = End.CLOSED
            break
        stream.requests.append(request)
        if closes:
            stream.end = End.CLOSED
            break
    return stream


def _read_request(data: bytes, position: int, request: ReferenceRequest, *, front: bool) -> tuple[int, bool]:
    """Return the position after a request, and whether the request closes the connection."""
    while data[position : position + 1] in (b"\r", b"\n"):
        # A server should ignore an empty line before a request (section 2.2).
        if data[position : position + 2] == b"\r":
            raise _Incomplete
        request.allow(Verdict.EITHER)
        position += 2 if data[position : position + 2] == b"\r\n" else 1
    head = _head(data, position)
    if head.lenient:
        request.allow(Verdict.EITHER)
    version = _request_line(head.lines[0], request)
    fields = _fields(head.lines[1:], request)
    tokens = {token.strip(b" \t").lower() for value in fields.get(b"connection", []) for token in value.split(b",")}
    if b"upgrade" in tokens or b"upgrade" in fields or b"expect" in fields:
        request.allow(Verdict.EITHER)
    if not _HOST.fullmatch(b"".join(fields.get(b"host", [])[:1])) or len(fields[b"host"]) > 1:
        request.allow(Verdict.EITHER)
    if front and version == (1, 0) and b"transfer-encoding" in fields:
        raise _Refused
    end, body = _body(data, head.end, fields, version, request)
    _expect_mark(head.lines[0], fields, body, request)
    closes = b"close" in tokens or version == (1, 0)
    if closes and front and len(tokens) > int(version == (1, 1)):
        request.may_close = True
        closes = False
    return end, closes


def _head(data: bytes, position: int) -> _Head:
    """Return the lines of a head or a trailer section up to its empty line.

    An empty trailer section is found because the byte before `position` is a line feed.
    """
    empty = _EMPTY_LINE.search(data, position)
    if empty is None:
        raise _Incomplete
    raw = data[position : empty.end()].split(b"\n")
    # A server may accept a bare LF as the end of a line (section 2.2).
    lenient = not all(line.endswith(b"\r") for line in raw[:-1])
    lines: list[bytes] = []
    for line in raw[:-2]:
        if line[:1] in (b" ", b"\t"):
            # A server may refuse line folding or replace it with spaces (section 5.2). Only a field line can be folded.
            if len(lines) <= 1:
                raise _Refused
            lenient = True
            lines[-1] += b" " + line.removesuffix(b"\r").strip(b" \t")
        else:
            lines.append(line.removesuffix(b"\r"))
    return _Head(lines, empty.end(), lenient)


def _request_line(line: bytes, request: ReferenceRequest) -> tuple[int, int]:
    match = _REQUEST_LINE.fullmatch(line)
    if match is None:
        raise _Refused
    request.method, target, spaces = match[1], match[3], match[2] + match[4]
    version = int(match[5]), int(match[6])
    if version[0] != 1 or request.method == b"CONNECT":
        raise _Refused
    is_usual = request.method in _METHODS and version[1] <= 1 and target.startswith(b"/") and target.isascii()
    if not is_usual or spaces != b"  ":
        request.allow(Verdict.EITHER)
    return version


def _fields(lines: list[bytes], request: ReferenceRequest) -> dict[bytes, list[bytes]]:
    fields: dict[bytes, list[bytes]] = {}
    for line in lines:
        match = _FIELD.fullmatch(line)
        if match is None:
            raise _Refused
        value = match[2].strip(b" \t")
        if b"\t" in line or not value.isascii() or not value:
            request.allow(Verdict.EITHER)
        fields.setdefault(match[1].lower(), []).append(value)
    return fields


def _body(
    data: bytes, position: int, fields: dict[bytes, list[bytes]], version: tuple[int, int], request: ReferenceRequest
) -> tuple[int, bytes]:
    """Return the position after the body (section 6.3), and the body."""
    if b"transfer-encoding" in fields:
        codings = [each.strip(b" \t").lower() for value in fields[b"transfer-encoding"] for each in value.split(b",")]
        if b"content-length" in fields or codings[-1] != b"chunked" or codings.count(b"chunked") > 1:
            raise _Refused
        if len(codings) > 1 or version == (1, 0):
            request.allow(Verdict.EITHER)
        request.may_close = True
        return _chunks(data, position, request)
    lengths = [each.strip(b" \t") for value in fields.get(b"content-length", [b"0"]) for each in value.split(b",")]
    if len({*lengths}) > 1 or not lengths[0].isdigit() or len(lengths[0].lstrip(b"0")) > _MAX_DIGITS:
        raise _Refused
    if len(lengths) > 1:
        request.allow(Verdict.EITHER)
    length = int(lengths[0])
    request.may_close = length > 0
    if len(data) - position < length:
        raise _Incomplete
    return position + length, data[position : position + length]


def _chunks(data: bytes, position: int, request: ReferenceRequest) -> tuple[int, bytes]:
    """Return the position after a chunked body (section 7.1), and the data of the chunks."""
    body = b""
    while True:
        end = data.find(b"\n", position)
        if end < 0:
            raise _Incomplete
        match = _CHUNK.fullmatch(data[position : end - 1]) if data[end - 1 : end] == b"\r" and end > position else None
        if match is None:
            raise _Refused
        if match[2] or len(match[0]) > _MAX_DIGITS:
            request.allow(Verdict.EITHER)
        position, size = end + 1, int(match[1], 16)
        if size == 0:
            trailer = _head(data, position)
            _fields(trailer.lines, request)
            if trailer.lenient or trailer.lines:
                request.allow(Verdict.EITHER)
            return trailer.end, body
        if len(data) < position + size + 2:
            if data[position + size : position + size + 1] not in (b"", b"\r"):
                raise _Refused
            raise _Incomplete
        body += data[position : position + size]
        position += size + 2
        if data[position - 2 : position] != b"\r\n":
            raise _Refused


def _expect_mark(line: bytes, fields: dict[bytes, list[bytes]], body: bytes, request: ReferenceRequest) -> None:
    """Set the mark that the response must contain, or allow any mark."""
    path = re.sub(rb"^[A-Za-z][A-Za-z+.-]*://[^/?#]*", b"", line.split()[1])
    path = unquote_to_bytes(re.split(rb"[?#]", path)[0])
    if path != b"/sql" or request.method != b"POST":
        return
    tokens = fields.get(b"authorization", [])
    if tokens != [b"Bearer " + TOKEN.encode()]:
        request.any_mark = bool(tokens)
        return
    try:
        statement = json.loads(body)
        mark = statement["params"][0].encode()
        exact = statement == {"query": QUERY, "params": [mark.decode()]} and MARK.fullmatch(mark) is not None
    except (ValueError, LookupError, TypeError, AttributeError):
        mark, exact = None, False
    if exact and not [name for name in fields if name.startswith(b"neon-")]:
        request.mark = mark
        request.may_close = False
    else:
        request.any_mark = True
