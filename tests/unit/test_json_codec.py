"""Parsing of JSON objects from untrusted bytes."""

import json

import pytest

from signup.json_codec import DEEPEST, parse_object
from signup.problems import MalformedJson


def test_an_object_is_parsed() -> None:
    """Strings may contain characters beyond the Basic Multilingual Plane."""
    fields = {"name": "Ada \U0001f980", "nested": {"a": [1, 2.5, None, True]}}
    assert parse_object(json.dumps(fields, ensure_ascii=False).encode()) == fields


def test_brackets_in_strings_are_not_nesting() -> None:
    """A password may consist of brackets and escaped quotes."""
    fields = {"password": '[{"\\' * 30}
    assert parse_object(json.dumps(fields).encode()) == fields


def test_nesting_is_limited() -> None:
    """An object of the maximum depth is parsed. One more level, or thousands of levels, are rejected."""
    inside = DEEPEST - 1
    assert parse_object(b'{"a":' + b"[" * inside + b"]" * inside + b"}")
    # Many elements are not nesting.
    assert len(parse_object(b'{"a":[' + b",".join([b"[]"] * 100) + b"]}")["a"]) == 100
    for depth in (inside + 1, 8000):
        with pytest.raises(MalformedJson, match="deep"):
            parse_object(b'{"a":' + b"[" * depth + b"]" * depth + b"}")


@pytest.mark.parametrize("body", [rb'{"a":"\ud800"}', rb'{"a":["\udc00\ud800"]}', rb'{"\ud800":1}'])
def test_lone_surrogates_are_rejected(body: bytes) -> None:
    r"""JSON allows a lone \ud800, which has no UTF-8 form."""
    with pytest.raises(MalformedJson):
        parse_object(body)


def test_escaped_surrogate_pairs_are_decoded() -> None:
    """A pair of escapes is one character."""
    assert parse_object(rb'{"a":"\ud83e\udd80"}') == {"a": "\U0001f980"}


def test_a_number_can_have_any_length() -> None:
    """A number with more digits than `int()` accepts is valid JSON."""
    assert list(parse_object(b'{"a":' + b"1" * 5000 + b"}")) == ["a"]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b" ", b"{", b"[]", b'"text"', b"null", b"1", b"{]", b'{"a":1,}', b"{'a':1}", b'{"a":1}{}'),
        *(b'{"a":1,"a":1}', b'{"b":{"a":1,"a":2}}', b'{"a":1,"\\u0061":2}'),
        *(b'{"a":NaN}', b'{"a":Infinity}', b'{"a":-Infinity}', b'{"a":"\n"}', b'{"a":"\x00"}', b'{"a":01}'),
        *(
            b'{"a":"\xff"}',
            b'{"a":"\xc0\xaf"}',
            b'{"a":"\xed\xa0\x80"}',
            '{"a":1}'.encode("utf-16"),
            b'\xef\xbb\xbf{"a":1}',
        ),
    ],
)
def test_anything_but_a_valid_object_is_rejected(body: bytes) -> None:
    """Values other than objects, invalid JSON, duplicate names, NaN and anything but plain UTF-8 are malformed."""
    with pytest.raises(MalformedJson):
        parse_object(body)
