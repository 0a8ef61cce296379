"""Parse the body and headers of `POST /sql` into statements with their parameters as text.

The body has the format of Neon's SQL over HTTP: `{"query": "... $1", "params": [...]}`, or `{"queries": [...]}` for one
transaction. Each query may set `"arrayMode"`.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, NoReturn

from sqlproxy.errors import MalformedRequest, UnsupportedText

__all__ = ["Number", "Request", "Statement", "parse"]

MAX_PARAMS = 65_535  # the protocol's parameter count has 16 bits
MAX_STATEMENTS = 1_000

_ISOLATION = {
    b"ReadUncommitted": b" ISOLATION LEVEL READ UNCOMMITTED",
    b"ReadCommitted": b" ISOLATION LEVEL READ COMMITTED",
    b"RepeatableRead": b" ISOLATION LEVEL REPEATABLE READ",
    b"Serializable": b" ISOLATION LEVEL SERIALIZABLE",
}


class Number(str):
    """The text of a JSON number, so that `numeric` parameters keep every digit."""

    __slots__ = ()


class Statement(NamedTuple):
    """A statement for the extended query protocol.

    Attributes:
        query: SQL in UTF-8, with `$1` placeholders.
        params: values in Postgres' text format, None for NULL. Postgres infers their types.
        array_mode: whether rows are arrays rather than objects.
    """

    query: bytes
    params: list[bytes | None]
    array_mode: bool


class Request(NamedTuple):
    """A parsed request.

    Attributes:
        statements: one statement, or the statements of a transaction in order.
        begin: the `BEGIN` of the transaction; None for a single statement, which commits by itself.
        raw_text: whether values are sent as Postgres' text rather than as JSON types.
    """

    statements: list[Statement]
    begin: bytes | None
    raw_text: bool


def parse(body: bytes | bytearray, headers: dict[bytes, bytes]) -> Request:
    """Parse a request.

    Args:
        body: JSON in UTF-8.
        headers: the headers by lower-case name. As in Neon's proxy, a flag is on if its value is exactly `true`.

    Raises:
        MalformedRequest: the body is not JSON or not in Neon's format, it has too many statements or parameters, or the
            isolation level is unknown.
        UnsupportedText: a statement or parameter contains a NUL or half of a surrogate pair.
    """
    try:
        data = _DECODER.decode(body.decode())
        if type(data) is not dict:
            raise MalformedRequest("the body must be a JSON object")
        array_mode = headers.get(b"neon-array-mode") == b"true"
        raw_text = headers.get(b"neon-raw-text-output") == b"true"
        if "queries" not in data:
            return Request([_statement(data, array_mode=array_mode)], None, raw_text)
        queries = data["queries"]
        if type(queries) is not list or len(queries) > MAX_STATEMENTS:
            raise MalformedRequest(f"queries must be an array of at most {MAX_STATEMENTS} statements")
        statements = [_statement(query, array_mode=array_mode) for query in queries]
        return Request(statements, _begin(headers), raw_text)
    except UnicodeEncodeError:
        # The exception contains the client's text.
        raise UnsupportedText('invalid byte sequence for encoding "UTF8"') from None
    except (ValueError, RecursionError):
        raise MalformedRequest("the body is not valid JSON") from None


def _refuse_constant(_: str) -> NoReturn:
    raise ValueError


def _begin(headers: dict[bytes, bytes]) -> bytes:
    begin = b"BEGIN"
    level = headers.get(b"neon-batch-isolation-level")
    if level is not None:
        try:
            begin += _ISOLATION[level]
        except KeyError:
            raise MalformedRequest("invalid isolation level") from None
    if headers.get(b"neon-batch-read-only") == b"true":
        begin += b" READ ONLY"
    if headers.get(b"neon-batch-deferrable") == b"true":
        begin += b" DEFERRABLE"
    return begin


def _statement(data: object, *, array_mode: bool) -> Statement:
    if type(data) is not dict:
        raise MalformedRequest("every query must be an object")
    query = data.get("query")
    params = data.get("params")
    own_mode = data.get("arrayMode")
    if type(query) is not str:
        raise MalformedRequest("query must be a string")
    if params is None:
        params = []
    if type(params) is not list or len(params) > MAX_PARAMS:
        raise MalformedRequest(f"params must be an array of at most {MAX_PARAMS} values")
    if own_mode is not None:
        if type(own_mode) is not bool:
            raise MalformedRequest("arrayMode must be a boolean")
        array_mode = own_mode
    return Statement(_encode(query), [_param(param) for param in params], array_mode)


def _encode(text: str) -> bytes:
    encoded = text.encode()
    # libpq takes C strings and would silently drop the text after a NUL.
    if b"\0" in encoded:
        raise UnsupportedText('invalid byte sequence for encoding "UTF8": 0x00')
    return encoded


def _param(value: Any) -> bytes | None:  # noqa: ANN401 - any JSON value
    if value is None:
        return None
    if type(value) is list:
        return _encode(_array(value))
    return _encode(value if isinstance(value, str) else _json_text(value))


def _array(values: list[Any]) -> str:
    """Return a Postgres array literal (section 8.15.2 of its manual)."""
    return "{" + ",".join(_element(value) for value in values) + "}"


def _element(value: Any) -> str:  # noqa: ANN401 - any JSON value
    if value is None:
        return "NULL"
    if type(value) is list:
        return _array(value)
    if type(value) is bool or type(value) is Number:
        return _json_text(value)
    text = value if type(value) is str else _json_text(value)
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _json_text(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return a value as JSON text; unlike `json.dumps`, write a `Number` as a number."""
    if type(value) is dict:
        return "{" + ",".join(f"{_quote(key)}:{_json_text(item)}" for key, item in value.items()) + "}"
    if type(value) is list:
        return "[" + ",".join(map(_json_text, value)) + "]"
    if type(value) is Number:
        return value
    return _quote(value)


_quote = json.JSONEncoder(ensure_ascii=False).encode
# json.loads() would construct a decoder for each request and accept UTF-16 and UTF-32, which RFC 8259 rules out.
_DECODER = json.JSONDecoder(parse_float=Number, parse_int=Number, parse_constant=_refuse_constant)
