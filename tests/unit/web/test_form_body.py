"""Forms, read as the JSON that would ask for the same."""

import json
from urllib.parse import urlencode

import pytest

from signup.problems import MalformedForm, UnsupportedMediaType
from signup.web.form_body import MOST_FIELDS, Form, parse_form

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b"", {}),
        (b"name=Ada", {"name": "Ada"}),
        (b"name=Ada+L.&email=ada%40example.com", {"name": "Ada L.", "email": "ada@example.com"}),
        (b"name=&email", {"name": "", "email": ""}),
        (b"name=J%C3%B6rg&password=a%2Bb%26c%3Dd", {"name": "J\u00f6rg", "password": "a+b&c=d"}),
        ("name=J\u00f6rg".encode(), {"name": "J\u00f6rg"}),
        (b"name=a;b", {"name": "a;b"}),
        (b"name=%zz", {"name": "%zz"}),
        (b"password=%00%0D%0A", {"password": "\0\r\n"}),
    ],
)
def test_fields_are_read_as_browsers_write_them(body: bytes, fields: dict[str, str]) -> None:
    """Percent-encoded UTF-8, plus signs for spaces; empty fields are there."""
    assert parse_form(body) == fields


def test_the_most_fields_are_fields() -> None:
    """One less than too many."""
    assert len(parse_form("&".join(map(str, range(MOST_FIELDS))).encode())) == MOST_FIELDS


def test_every_character_survives() -> None:
    """What a browser encodes is what is read."""
    fields = {"name": "\U0001f600 \u0000\u00e9%+&=;", "password": "\\u0041 \\ud800"}
    assert parse_form(urlencode(fields).encode()) == fields


@pytest.mark.parametrize(
    "body",
    [
        b"name=a&name=b",
        b"name=&name=",
        b"name=%ff",
        b"name=\xff",
        b"name=%ED%A0%80",
        "&".join(map(str, range(MOST_FIELDS + 1))).encode(),
    ],
)
def test_what_is_no_form_is_refused(body: bytes) -> None:
    """A field twice, what is not UTF-8, half a surrogate pair, too many fields."""
    with pytest.raises(MalformedForm):
        parse_form(body)


def test_json_is_no_form() -> None:
    """A missing declaration is reported, and nothing of the body comes back as the name of a field."""
    with pytest.raises(UnsupportedMediaType):
        parse_form(b' {"name": "Ada", "password": "canary"}')


async def test_a_form_is_read_as_json() -> None:
    """Its key becomes the header; what was posted is kept for the page that is to be corrected, without the key."""

    async def read(limit: int, deadline: float) -> bytes | None:
        assert deadline == 5
        return b"name=Ada&idempotency-key=k" if limit > 10 else None

    form = Form(read, {"content-type": "x", "idempotency-key": "of-the-header"})
    assert await form.read(10, 5) is None
    assert json.loads(await form.read(100, 5) or b"") == {"name": "Ada"} == form.fields
    assert form.headers == {"content-type": "x", "idempotency-key": "k"}


async def test_a_form_without_a_key_leaves_the_header() -> None:
    """Clients that are no browsers may send one; a value that is no token stays, and is refused as usual."""

    async def read(limit: int, deadline: float) -> bytes | None:
        assert deadline == 5
        return b"name=Ada" if limit == 100 else b"idempotency-key=k"

    for sent, limit in (("header", 100), ("no key", 200)):
        form = Form(read, {"idempotency-key": sent})
        await form.read(limit, 5)
        assert form.headers["idempotency-key"] == sent
