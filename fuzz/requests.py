"""Generate requests from a seed, most of them invalid mutations of a valid sign-up."""

import json
import random
from dataclasses import dataclass, field
from urllib.parse import urlencode

Draw = random.Random

VALID_FIELDS = {"name": "Ada", "email": "ada@example.com", "password": "correct horse battery staple"}
# fmt: off
# Texts that are known to break parsers.
TEXTS = (
    "", " ", "\0", "a\0b", "\ud800", "\udfff", "\ufeff", "\u202e", "\u200b", "e\u0301", "\uffff", "\U0010ffff",
    "Z" * 300, "ada@example.com", "a@b", "@", "a@", "ada@[127.0.0.1]", '"a b"@example.com', "ada@xn--", "ada@xn--a.com",
    "ada@p\u0430ypal.com", "ada@" + "a." * 120 + "com", "ada@example.com\r\nbcc: x", "a" * 65 + "@example.com",
    "' OR 1=1 --", "${jndi:ldap://x}", "<script>", "../../etc/passwd", "%00", "{{7*7}}", "ﬁ", "İ", "ß", "ǅ",
)
VALUES: tuple[object, ...] = (
    None, True, False, 0, -1, 1e308, 10**400, [], {}, [[]], {"a": {"b": []}}, ["x"] * 50, float("nan"), float("inf"),
)
NAMES = (*VALID_FIELDS, "Name", "id", "role", "__proto__", "constructor", "cf-turnstile-response", "", "\0", "a/b~c")
RAW = (
    b"", b"{", b"}", b"null", b"[]", b'"x"', b"1", b"nul", b"{}{}", b"\xff", b"\xc0\xaf", b"\xed\xa0\x80",
    b"\xf8\x88", b"\xef\xbb\xbf{}", b"\x1f\x8b\x08\x00", b"[" * 16_000, b'{"a":' * 3_000, b'{"name":"\\ud800"}',
    b'{"name":"\\u0000"}', b'{"name":"a","name":"b"}', b'{"a":1e999}', b'{"a":-0}', b'{"a":' + b"9" * 5000 + b"}",
    b" " * 20_000, b"\0" * 100, "{}".encode("utf-16"), b'{"name":"a",}', b"{'name':1}", b"//\n{}",
    b"name=Ada&email=a%40b.com",
)
# fmt: on
TYPES = ("application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/json;charset=latin-1")
FORM = "application/x-www-form-urlencoded"
FOREIGN_TYPES = ("text/plain", "", "multipart/form-data; boundary=x", FORM, "a/b; ; =;;")
METHODS = ("POST",) * 30 + ("GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND")
PATHS = ("/",) * 30 + ("/health", "/ready", "//", "/%2e%2e/", "/?a=b", "/" + "a" * 2000, "/%00", "/index.html", "/POST")
HEADERS = (
    *(("idempotency-key", value) for value in ("k", "x" * 255, "x" * 256, "a b", "", "\xe9", '"quoted"')),
    *(("content-encoding", value) for value in ("gzip", "identity", "br, gzip", "")),
    *(("origin", value) for value in ("https://evil.example", "null", "", "http://localhost")),
    *(("sec-fetch-site", value) for value in ("cross-site", "same-origin", "none", "x")),
    *(("x-http-method-override", value) for value in ("DELETE", "GET")),
    *(("accept", value) for value in ("text/html", "*/*;q=x", "")),
    *(("cf-connecting-ip", value) for value in ("::1", "not an address", "1.2.3.4, 5.6.7.8", "")),
    *(("transfer-encoding-x", "chunked"), ("access-control-request-method", "POST"), ("cookie", "a=b; " * 500)),
    *((f"x-{number}", "y" * 200) for number in range(5)),
)


@dataclass(frozen=True)
class Request:
    """A request to the Worker."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)


def draw_request(draw: Draw) -> Request:
    """Return a random request. Fewer than one in a thousand are valid sign-ups; no other request reaches the hash."""
    headers = {"content-type": draw.choice(TYPES) if draw.random() < 0.9 else draw.choice(FOREIGN_TYPES)}
    for _ in range(draw.choice((0, 0, 1, 3))):
        name, value = draw.choice(HEADERS)
        headers[name] = value
    if draw.random() < 0.1:
        headers |= {"content-type": FORM, "accept": draw.choice(("text/html", "*/*"))}
        return Request("POST", "/", _form(draw), headers)
    return Request(draw.choice(METHODS), draw.choice(PATHS), _body(draw), headers)


def _form(draw: Draw) -> bytes:
    """Return the body of a form with wrong, repeated and unknown fields, and possibly changed bytes."""
    fields: list[tuple[str, str]] = [*VALID_FIELDS.items()]
    for _ in range(draw.randint(1, 3)):
        name = draw.choice((*NAMES, "idempotency-key"))
        fields.append((name, "".join(draw.choices(TEXTS, k=draw.randint(1, 3)))))
    if draw.random() < 0.7:
        fields = [*dict(fields).items()]
    body = bytearray(urlencode([*fields, ("x", "1")], errors="surrogatepass").encode())
    for _ in range(draw.choice((0, 0, 1, 5))):
        body[draw.randrange(len(body))] = draw.randrange(256)
    return bytes(body)


def _body(draw: Draw) -> bytes:
    if draw.random() < 0.001:
        return json.dumps({**VALID_FIELDS, "email": f"{draw.getrandbits(64)}@example.com"}).encode()
    return draw.choice((_mutated, _mutated, _mutated, _raw, _noise))(draw)


def _mutated(draw: Draw) -> bytes:
    """Return a JSON sign-up with changed fields, and possibly changed bytes."""
    fields: dict[str, object] = dict(VALID_FIELDS)
    for _ in range(draw.randint(1, 3)):
        name = draw.choice(NAMES)
        change = draw.random()
        if change < 0.2:
            fields.pop(name, None)
        elif change < 0.5:
            fields[name] = draw.choice(VALUES)
        else:
            fields[name] = "".join(draw.choices(TEXTS, k=draw.randint(1, 3)))
    # At least one field is always wrong.
    fields.setdefault(draw.choice(("x", "y")), 1)
    text = json.dumps(fields, ensure_ascii=draw.random() < 0.5)
    body = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(draw.choice((0, 0, 1, 5))):
        body[draw.randrange(len(body))] = draw.randrange(256)
    return bytes(body)


def _raw(draw: Draw) -> bytes:
    return draw.choice(RAW)


def _noise(draw: Draw) -> bytes:
    return draw.randbytes(draw.choice((1, 10, 100, 1000, 17_000)))
