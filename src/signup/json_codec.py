"""JSON bodies: an object out of what anybody may have sent, and the bytes of what we send."""

import json
import re
from typing import Any, Never

from pydantic_core import to_json

from signup.problems import MalformedJson

# The C scanner of the json module recurses, and the stack of WebAssembly is small. A sign-up is one level deep.
DEEPEST = 32
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def parse_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object (RFC 8259) that `body` is.

    Raises:
        MalformedJson: it is not UTF-8, not JSON, not an object, has a name twice or a number that JSON has not (NaN,
            Infinity), has a lone surrogate, or is nested deeper than `DEEPEST`.
    """
    if _depth(body) > DEEPEST:
        raise MalformedJson("nested_too_deeply")
    try:
        # str, since json.loads would accept UTF-16 and UTF-32 as bytes.
        parsed = _DECODER.decode(body.decode("utf-8"))
        if b"\\u" in body:
            # An escape may stand for half a surrogate pair: no character, and not to be stored (I-JSON, RFC 7493).
            json.dumps(parsed, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as exc:
        raise MalformedJson("invalid_json") from exc
    if not isinstance(parsed, dict):
        raise MalformedJson("not_an_object")
    return parsed


def encode(content: object) -> bytes:
    """Return JSON in UTF-8 without needless bytes, as JavaScript's `JSON.stringify` writes it."""
    return to_json(content)


def _depth(body: bytes) -> int:
    # Brackets inside strings are counted too, so that an ordinary body needs no scan beyond this line.
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return 0
    deepest = depth = 0
    for byte in _STRING.sub(b"", body):
        if byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name stands twice")
    return names


def _refuse(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")


# No field is a number, so theirs need not be exact; int() would refuse a valid one of more than 4,300 digits.
_DECODER = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_refuse, parse_int=float)
