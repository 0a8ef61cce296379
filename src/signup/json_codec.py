"""Parse JSON bodies strictly, and encode values as JSON."""

import json
import re
from typing import Any, Never

from pydantic_core import to_json

from signup.problems import MalformedJson

# The maximum number of nested levels. The C scanner of the json module recurses, and the stack of WebAssembly is small.
# The body of a sign-up has at most two levels.
DEEPEST = 32
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse a body that must be a JSON object (RFC 8259).

    Raises:
        MalformedJson: the body is not UTF-8, not JSON or not an object, or has a duplicate name, NaN or Infinity, a
            lone surrogate, or more than `DEEPEST` levels.
    """
    if _depth(body) > DEEPEST:
        raise MalformedJson("nested_too_deeply")
    try:
        # Decode first, because json.loads would accept bytes in UTF-16 and UTF-32.
        parsed = _DECODER.decode(body.decode("utf-8"))
        if b"\\u" in body:
            # Refuse escapes of lone surrogates, which are not characters and cannot be stored (I-JSON, RFC 7493).
            json.dumps(parsed, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as exc:
        raise MalformedJson("invalid_json") from exc
    if not isinstance(parsed, dict):
        raise MalformedJson("not_an_object")
    return parsed


def encode(content: object) -> bytes:
    """Return compact JSON in UTF-8, like JavaScript's `JSON.stringify`."""
    return to_json(content)


def _depth(body: bytes) -> int:
    """Return the number of nested levels; 0 if there are so few brackets that it cannot exceed `DEEPEST`."""
    # The number of opening brackets, including those in strings, is a fast upper bound. Ordinary bodies have few.
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


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("duplicate name")
    return members


def _reject_constant(constant: str) -> Never:
    raise ValueError(f"{constant} is not JSON")


# Integers are parsed as floats, which are exact up to 2**53; no field accepts larger numbers. int() would refuse more
# than 4,300 digits.
_DECODER = json.JSONDecoder(object_pairs_hook=_reject_duplicates, parse_constant=_reject_constant, parse_int=float)
