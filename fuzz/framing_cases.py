"""Generate streams of requests with ambiguous framing from a seed. Each case is one stream."""

import itertools
import json
import random
import re
from dataclasses import dataclass

from fuzz.http_reference import QUERY
from tests.contract.sqlproxy.harness import TOKEN

# The pause between packets in seconds. It is long enough for the server to read the packets separately.
PAUSE = 0.003
MAX_BYTEWISE_SIZE = 400

_AUTHORIZATION = b"authorization: Bearer " + TOKEN.encode()
# fmt: off
# Unusual forms of a header with the name n and the value v. Some repeat the header or contain line breaks.
_FORMS = (
    b"%(n)b:%(v)b", b"%(n)b: %(v)b ", b"%(n)b:\t%(v)b", b"%(n)b: \t%(v)b", b"%(n)b : %(v)b", b" %(n)b: %(v)b",
    b"x%(n)b: %(v)b", b"%(n)b:\r\n %(v)b", b"%(n)b: %(v)b\r\n 0", b"%(n)b: \x0b%(v)b", b"%(n)b: %(v)b\x00",
    b"%(n)b: %(v)b\n", b"x-a: b\r%(n)b: %(v)b", b'%(n)b: "%(v)b"', b"%(n)b: %(v)b,", b"%(n)b: , %(v)b",
    b"%(n)b: %(v)b\r\n ,close", b"%(n)b: %(v)b, %(v)b", b"%(n)b: %(v)b;a=b", b"%(n)b:",
    b"%(n)b: %(v)b\r\n%(n)b: %(v)b", b"%(n)b: %(v)b\r\n%(n)b: 0", b"%(n)b: 0\r\n%(n)b: %(v)b",
    b"%(n)b: %(v)b\r\n%(n)b: identity", b"%(n)b: identity\r\n%(n)b: %(v)b",
)
_CONNECTION = (
    b"upgrade", b"Upgrade", b"keep-alive, upgrade", b"close, upgrade", b"upgrade, http2-settings", b"x-upgrade",
    b"keep-alive\r\nconnection: upgrade",
)
_UPGRADE = (
    b"x", b"h2c\r\nhttp2-settings: AAMAAABkAAQAoAAAAAIAAAAA", b"websocket", b"TLS/1.0", b"h2c, websocket",
    b"websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", b"x\r\nupgrade: h2c",
)
_CLOSING = (
    b"connection: close", b"connection: keep-alive", b"connection: close, keep-alive", b"proxy-connection: close",
)
_OTHERS = (
    b"expect: 100-continue", b"Expect: 100-Continue", b"expect: 200-ok", b"te: trailers", b"te: chunked",
    b"trailer: x-a", b"host: y", b"x-a: b\r\n folded", b"x-a: b\r\n\tcontent-length: 5", b"x-a:", b"x_a: b",
    b"x-a: \xff", b" x-a: b", b"x-a: b\nx-b: c", b"x-a: b\rx-b: c", b"x-a\x00: b", b"x-a: b\x00", b"x-a b", b": b",
    b"keep-alive: timeout=5", b"http2-settings: AAMAAABk", b"content-encoding: gzip", b"max-forwards: 0",
    b"x-http-method-override: CONNECT",
)
# %d or %x is the length of the body, or a wrong length.
_LENGTHS = (*(b"%d",) * 12, b"+%d", b"-%d", b"0%d", b"0x%x", b"%d.0", b"184467440737095516%d")
_CODINGS = (
    *(b"chunked",) * 12, b"Chunked", b"xchunked", b"x", b"identity", b"chunked, identity", b"identity, chunked",
    b"gzip, chunked",
)
_EXTENSIONS = (
    *(b"",) * 3, b";a", b";a=b", b';a="b"', b" ;a", b" ", b";\r", b"\t", b";GET /health HTTP/1.1", b';a="\r\n"',
)
_LAST_CHUNKS = (*(b"0",) * 4, b"000", b"0;a=b", b"-0", b"0x0", b"", b"00000000000000000000")
_TRAILERS = (
    b"x-a: b", b"content-length: 5", b"transfer-encoding: chunked", b"connection: upgrade\r\nupgrade: x", b" folded",
    b"x",
)
_VERSIONS = (
    b"HTTP/1.0", b"HTTP/2.0", b"HTTP/0.9", b"HTTP/1.2", b"HTTP/1.1 ", b"http/1.1", b"HTTP/1", b"HTTP/11.1",
    b"HTTP/1.01", b"HTTP/3.0",
)
_METHODS = (
    b"HEAD", b"PUT", b"OPTIONS", b"CONNECT", b"CONNECT", b"TRACE", b"PRI", b"get", b"QUERY", b"M-SEARCH", b"G\x00T",
    b"GET/",
)
_TARGETS = (
    b"http://x/ready", b"http://x/sql", b"*", b"x:80", b"//ready", b"/ready?a=/sql", b"/\xff", b"/ready /sql",
    b"/health#/sql", b"",
)
_PREFACES = (
    b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b" ", b"\x00", b"GET /ready\r\n",
    b"\x16\x03\x01\x02\x00",
)
# fmt: on
_BYTES = b"\r\n\0 \t:;,\x0b\x7f\x80/0aZ"


@dataclass(frozen=True)
class Case:
    """A stream of requests, split into packets.

    Args:
        packets: pairs of a pause in seconds and the bytes to send after it.
    """

    packets: list[tuple[float, bytes]]

    @property
    def data(self) -> bytes:
        """All bytes of the stream."""
        return b"".join(packet for _, packet in self.packets)

    def __str__(self) -> str:
        ends = [*itertools.accumulate(len(packet) for _, packet in self.packets)]
        pause = max(pause for pause, _ in self.packets)
        return f"packets end at {ends}, {pause} s between them: {self.data!r}"


def statement(mark: str, *headers: bytes) -> bytes:
    """Return a request that runs a statement. Its response contains the mark."""
    body = json.dumps({"query": QUERY, "params": [mark]}).encode()
    lines = (b"POST /sql HTTP/1.1", b"host: x", _AUTHORIZATION, b"content-length: %d" % len(body), *headers)
    return b"\r\n".join((*lines, b"", body))


def draw_case(seed: str, number: int) -> Case:
    """Return a random case, which ends with at least one unambiguous request."""
    draw = random.Random(f"{seed} {number}")  # noqa: S311 - reproducible cases
    builder = _RequestBuilder(draw, number)
    before = draw.choices((builder.honest, builder.honest, builder.health), k=draw.choice((0, 0, 0, 1, 2)))
    ambiguous = (builder.ambiguous,) * (2 if draw.random() < 0.15 else 1)
    after = (builder.honest,) * draw.choice((1, 1, 1, 2, 3))
    return Case(_packets(draw, [part() for part in (*before, *ambiguous, *after)]))


class _RequestBuilder:
    """Generates the requests of a case."""

    def __init__(self, draw: random.Random, number: int) -> None:
        self._draw = draw
        self._number = number
        self._marks = 0

    def honest(self) -> bytes:
        """Return an unambiguous request that runs a statement."""
        return statement(self._mark())

    def health(self) -> bytes:
        """Return an unambiguous request without a body."""
        return b"GET %s HTTP/1.1\r\nhost: x\r\n\r\n" % self._draw.choice((b"/health", b"/ready", b"/nowhere"))

    def ambiguous(self) -> bytes:
        """Return a request with ambiguous parts, possibly with changed bytes."""
        draw = self._draw
        method, target, version = draw.choice(
            (
                *((b"GET", b"/ready", b"HTTP/1.1"),) * 3,
                *((b"GET", b"/health", b"HTTP/1.1"), (b"POST", b"/nowhere", b"HTTP/1.1")),
                *((b"POST", b"/sql", b"HTTP/1.1"),) * 4,
            )
        )
        headers = [b"host: x"]
        if target == b"/sql" and draw.random() < 0.7:
            headers.append(_AUTHORIZATION)
        if draw.random() < 0.3:
            headers += [self._header(b"connection", _CONNECTION), self._header(b"upgrade", _UPGRADE)]
        if draw.random() < 0.1:
            headers.append(draw.choice(_CLOSING))
        if draw.random() < 0.25:
            headers += draw.choices(_OTHERS, k=draw.choice((1, 1, 2)))
        if draw.random() < 0.12:
            version = draw.choice(_VERSIONS)
        if draw.random() < 0.12:
            method = draw.choice(_METHODS)
        if draw.random() < 0.08:
            target = draw.choice(_TARGETS)
        framing, body = self._framed(self._body())
        headers += framing
        if draw.random() < 0.3:
            draw.shuffle(headers)
        ending = b"\n" if draw.random() < 0.04 else b"\r\n"
        head = bytearray(ending.join((b" ".join((method, target, version)), *headers, b"", b"")))
        if draw.random() < 0.12:
            _change(draw, head)
        preface = draw.choice(_PREFACES) if draw.random() < 0.08 else b""
        return preface + bytes(head) + body

    def _header(self, name: bytes, values: tuple[bytes, ...]) -> bytes:
        """Return a header with one of the values. A quarter of the headers have an unusual form."""
        draw = self._draw
        if draw.random() < 0.1:
            name = draw.choice((name.title(), name.upper(), name.replace(b"-", b"_")))
        form = draw.choice(_FORMS) if draw.random() < 0.25 else b"%(n)b: %(v)b"
        return form % {b"n": name, b"v": draw.choice(values)}

    def _mark(self) -> str:
        self._marks += 1
        return f"c{self._number}n{self._marks}"

    def _body(self) -> bytes:
        """Return a body: a statement, nothing, a request or its beginning, chunks, or random bytes."""
        draw = self._draw
        whole = statement(self._mark())
        json_body = whole.partition(b"\r\n\r\n")[2]
        # A parser that reads one of these as a request would read the next request as its header or body.
        beginning = draw.choice(
            (
                b"GET /health HTTP/1.1\r\nhost: x\r\nx-a: ",
                b"POST /sql HTTP/1.1\r\nhost: x\r\n" + _AUTHORIZATION + b"\r\ncontent-length: 300\r\n\r\n",
                whole[: draw.randrange(1, len(whole))],
            )
        )
        noise = draw.choice((b"\r\n" * 3, b"0\r\n\r\n", b"\0" * 9, b"5\r\nhello\r\n0\r\n\r\n", draw.randbytes(20)))
        last_chunk_first = b"0\r\n\r\n" + whole
        return draw.choice((json_body, json_body, b"", self.health(), whole, beginning, last_chunk_first, noise))

    def _framed(self, body: bytes) -> tuple[list[bytes], bytes]:
        """Return the headers that frame a body, and the framed body."""
        draw = self._draw
        size = len(body) + (draw.choice((-1, 1, 7, -len(body), 100)) if draw.random() < 0.08 else 0)
        header = re.sub(rb"%[dx]", lambda match: match[0] % max(0, size), self._header(b"content-length", _LENGTHS))
        choice = draw.random()
        if choice < 0.5:
            return [header], body
        coding = self._header(b"transfer-encoding", _CODINGS)
        if choice < 0.8:
            return [coding], self._chunked(body)
        if choice < 0.95:
            headers = [header, coding]
            draw.shuffle(headers)
            return headers, draw.choice((body, self._chunked(body)))
        return [], body

    def _chunked(self, body: bytes) -> bytes:
        """Return a body in chunks, possibly with ambiguous parts."""
        draw = self._draw
        ambiguous = draw.random() < 0.3
        size = max(1, len(body) // draw.choice((1, 1, 2, 5)))
        lines = []
        for start in range(0, len(body), size):
            part = body[start : start + size]
            length = b"%x" % len(part)
            extension = b""
            if ambiguous:
                length = draw.choice(
                    (length, length, b"0" + length, length.upper(), b"0x" + length, b"%x" % (len(part) + 1))
                )
                extension = draw.choice(_EXTENSIONS)
            end = draw.choice((b"\r\n", b"\r\n", b"\n", b"")) if ambiguous and draw.random() < 0.3 else b"\r\n"
            lines += [length, extension, b"\r\n", part, end]
        lines += [draw.choice(_LAST_CHUNKS) if ambiguous else b"0", b"\r\n"]
        if ambiguous and draw.random() < 0.4:
            lines += [draw.choice(_TRAILERS), b"\r\n"]
        return b"".join((*lines, b"\r\n"))


def _change(draw: random.Random, data: bytearray) -> None:
    """Replace, insert or delete one or two bytes."""
    for _ in range(draw.choice((1, 1, 2))):
        at = draw.randrange(len(data))
        change = draw.randrange(3)
        if change == 0:
            data[at] = draw.choice(_BYTES)
        elif change == 1:
            data.insert(at, draw.choice(_BYTES))
        elif len(data) > 1:
            del data[at]


def _packets(draw: random.Random, requests: list[bytes]) -> list[tuple[float, bytes]]:
    """Split the bytes into packets: not at all, at the ends of heads, at random positions, or after each byte."""
    data = b"".join(requests)
    choice = draw.random()
    pause = PAUSE if draw.random() < 0.4 else 0.0
    if choice < 0.25:
        cuts: set[int] = set()
    elif choice < 0.5:
        # Split after heads, where a body or the next request begins.
        cuts = {match.end() for match in re.finditer(rb"\r?\n\r?\n", data) if draw.random() < 0.6}
    elif choice < 0.95 or len(data) > MAX_BYTEWISE_SIZE:
        cuts = {draw.randrange(1, len(data)) for _ in range(draw.choice((1, 1, 2, 4)))}
    else:
        cuts, pause = {*range(1, len(data))}, 0.0
    borders = [0, *sorted(cuts - {0, len(data)}), len(data)]
    packets = [data[start:end] for start, end in itertools.pairwise(borders)]
    return [(pause if number else 0.0, packet) for number, packet in enumerate(packets)]
