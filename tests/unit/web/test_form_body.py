"""Parsing of forms into the equivalent JSON."""

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
def test_fields_are_decoded_as_browsers_encode_them(body: bytes, fields: dict[str, str]) -> None:
    """Browsers percent-encode UTF-8 and write a space as a plus sign. Empty fields are kept."""
    assert parse_form(body) == fields


def test_the_maximum_number_of_fields_is_accepted() -> None:
    """All `MOST_FIELDS` fields are returned."""
    assert len(parse_form("&".join(map(str, range(MOST_FIELDS))).encode())) == MOST_FIELDS


def test_special_characters_are_preserved() -> None:
    """Examples are emoji, NUL, separators, percent signs and backslashes."""
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
def test_a_malformed_form_is_refused(body: bytes) -> None:
    """Examples are duplicate fields, invalid UTF-8, lone surrogates, and too many fields."""
    with pytest.raises(MalformedForm):
        parse_form(body)


def test_json_declared_as_a_form_is_unsupported() -> None:
    """Without this check, the body would be read as the name of a field."""
    with pytest.raises(UnsupportedMediaType):
        parse_form(b' {"name": "Ada", "password": "canary"}')


async def test_a_form_is_read_as_json() -> None:
    """The form's idempotency key becomes a header; the other fields are kept, to fill in the form again."""

    async def read(limit: int, deadline: float) -> bytes | None:
        assert deadline == 5
        return b"name=Ada&idempotency-key=k" if limit > 10 else None

    form = Form(read, {"content-type": "x", "idempotency-key": "of-the-header"})
    assert await form.read(10, 5) is None
    assert json.loads(await form.read(100, 5) or b"") == {"name": "Ada"} == form.fields
    assert form.headers == {"content-type": "x", "idempotency-key": "k"}


async def test_a_form_without_a_key_keeps_the_header() -> None:
    """An invalid header is kept even if the form has a key, and is refused later."""

    async def read(limit: int, deadline: float) -> bytes | None:
        assert deadline == 5
        return b"name=Ada" if limit == 100 else b"idempotency-key=k"

    for header, limit in (("header", 100), ("no key", 200)):
        form = Form(read, {"idempotency-key": header})
        await form.read(limit, 5)
        assert form.headers["idempotency-key"] == header
