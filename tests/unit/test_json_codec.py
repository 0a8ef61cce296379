"""A JSON object out of any bytes."""

import json

import pytest

from signup.json_codec import DEEPEST, parse_object
from signup.problems import MalformedJson


def test_an_object_is_returned() -> None:
    """An object in UTF-8 is returned as it is, characters beyond the basic plane included."""
    fields = {"name": "Ada \U0001f980", "nested": {"a": [1, 2.5, None, True]}}
    assert parse_object(json.dumps(fields, ensure_ascii=False).encode()) == fields


def test_brackets_in_strings_are_not_depth() -> None:
    """A password of brackets, escaped quotes among them, is no nesting."""
    fields = {"password": '[{"\\' * 30}
    assert parse_object(json.dumps(fields).encode()) == fields


def test_depth_is_bounded() -> None:
    """The deepest allowed nesting is parsed; one more, and very many more, are refused without recursion."""
    inside = DEEPEST - 1
    assert parse_object(b'{"a":' + b"[" * inside + b"]" * inside + b"}")
    # Wide is not deep.
    assert len(parse_object(b'{"a":[' + b",".join([b"[]"] * 100) + b"]}")["a"]) == 100
    for depth in (inside + 1, 8000):
        with pytest.raises(MalformedJson, match="deep"):
            parse_object(b'{"a":' + b"[" * depth + b"]" * depth + b"}")


@pytest.mark.parametrize("body", [rb'{"a":"\ud800"}', rb'{"a":["\udc00\ud800"]}', rb'{"\ud800":1}'])
def test_lone_surrogates_are_refused(body: bytes) -> None:
    r"""JSON can say \ud800 alone, which is no character and could be neither stored nor answered."""
    with pytest.raises(MalformedJson):
        parse_object(body)


def test_escaped_surrogate_pairs_are_characters() -> None:
    """A pair of escapes is the one character that it stands for."""
    assert parse_object(rb'{"a":"\ud83e\udd80"}') == {"a": "\U0001f980"}


def test_a_number_may_have_any_length() -> None:
    """A number that is too long for Python's int is valid JSON."""
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
def test_what_is_no_object_is_refused(body: bytes) -> None:
    """Broken JSON, a name twice, NaN, other encodings, overlong forms and byte order marks are malformed."""
    with pytest.raises(MalformedJson):
        parse_object(body)
