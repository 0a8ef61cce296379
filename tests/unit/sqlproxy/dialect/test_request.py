"""Parsing of requests in Neon's dialect."""

from __future__ import annotations

import json

import pytest

from sqlproxy.dialect.request import MAX_PARAMS, Statement, parse
from sqlproxy.errors import MalformedRequest, UnsupportedText


def params_of(params: str) -> list[bytes | None]:
    """Return the parameters that Postgres receives for a JSON array."""
    return parse(f'{{"query":"q","params":{params}}}'.encode(), {}).statements[0].params


def test_a_single_query_has_no_transaction_and_converts_values() -> None:
    """The shortest request has these defaults."""
    request = parse(b'{"query":"SELECT 1"}', {})
    assert request.statements == [Statement(b"SELECT 1", [], array_mode=False)]
    assert request.begin is None
    assert request.raw_text is False


def test_null_params_mean_no_parameters() -> None:
    """Some clients send the member with the value null."""
    assert parse(b'{"query":"SELECT 1","params":null}', {}).statements[0].params == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("null", None),
        ('"text"', b"text"),
        ('""', b""),
        ('"\\u00e9\\ud83d\\ude00"', "é😀".encode()),
        ("true", b"true"),
        ("false", b"false"),
        ("0", b"0"),
        ("-1", b"-1"),
        ("12345678901234567890.12345678901234567890", b"12345678901234567890.12345678901234567890"),
        ("1e400", b"1e400"),
        ('{"a":[1.10,null,true,"x\\"y"],"é":{}}', '{"a":[1.10,null,true,"x\\"y"],"é":{}}'.encode()),
        ("[]", b"{}"),
        ("[1,null,true]", b"{1,NULL,true}"),
        ('["a","NULL","",null]', b'{"a","NULL","",NULL}'),
        ('["a,b","{c}","\\"","\\\\","line\\nfeed"]', b'{"a,b","{c}","\\"","\\\\","line\nfeed"}'),
        ("[[1,2],[3,4]]", b"{{1,2},{3,4}}"),
        ('[{"k":"v"}]', b'{"{\\"k\\":\\"v\\"}"}'),
    ],
)
def test_parameters_are_converted_to_text(value: str, expected: bytes | None) -> None:
    """Postgres reads the text as the same value; numbers keep every digit."""
    assert params_of(f"[{value}]") == [expected]


def test_a_number_of_many_digits_is_accepted() -> None:
    """Numbers are not converted with `int()`, because it accepts only a limited number of digits."""
    digits = "9" * 10_000
    assert params_of(f"[{digits}]") == [digits.encode()]


@pytest.mark.parametrize(
    ("level", "begin"),
    [
        (b"ReadUncommitted", b"BEGIN ISOLATION LEVEL READ UNCOMMITTED"),
        (b"ReadCommitted", b"BEGIN ISOLATION LEVEL READ COMMITTED"),
        (b"RepeatableRead", b"BEGIN ISOLATION LEVEL REPEATABLE READ"),
        (b"Serializable", b"BEGIN ISOLATION LEVEL SERIALIZABLE"),
    ],
)
def test_isolation_levels_are_mapped_to_begin(level: bytes, begin: bytes) -> None:
    """Neon's driver uses these names."""
    assert parse(b'{"queries":[]}', {b"neon-batch-isolation-level": level}).begin == begin


def test_a_batch_can_be_read_only_and_deferrable() -> None:
    """Both flags are added to BEGIN; any value other than `true` is off, as with Neon."""
    on = {b"neon-batch-read-only": b"true", b"neon-batch-deferrable": b"true"}
    off = {b"neon-batch-read-only": b"TRUE", b"neon-batch-deferrable": b"false"}
    assert parse(b'{"queries":[]}', on).begin == b"BEGIN READ ONLY DEFERRABLE"
    assert parse(b'{"queries":[]}', off).begin == b"BEGIN"


def test_a_query_can_override_the_array_mode_of_its_request() -> None:
    """The header applies to every query without its own setting."""
    body = json.dumps({"queries": [{"query": "a"}, {"query": "b", "arrayMode": False}]}).encode()
    request = parse(body, {b"neon-array-mode": b"true", b"neon-raw-text-output": b"true"})
    assert [statement.array_mode for statement in request.statements] == [True, False]
    assert request.raw_text is True


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"query"',
        b"{}",
        b'{"query":1}',
        b'{"query":"q","params":{}}',
        b'{"query":"q","params":[NaN]}',
        b'{"query":"q","params":[Infinity]}',
        b'{"query":"q","arrayMode":"true"}',
        b'{"queries":{}}',
        b'{"queries":["q"]}',
        b'{"queries":[{"params":[]}]}',
        b"\xff\xfe\xfd",
        '{"query":"q"}'.encode("utf-16"),
        b"[" * 100_000,
        b'{"query":"q","params":[' + b"[" * 3_000 + b"]" * 3_000 + b"]}" * 2,
    ],
)
def test_an_invalid_body_is_rejected(body: bytes) -> None:
    """Malformed JSON, wrong types and excessive nesting raise the same error, which has no cause."""
    with pytest.raises(MalformedRequest) as caught:
        parse(body, {})
    assert caught.value.executed is False
    assert caught.value.__cause__ is None


def test_too_many_parameters_are_rejected() -> None:
    """The Postgres protocol counts parameters in 16 bits."""
    assert len(params_of(json.dumps([1] * MAX_PARAMS))) == MAX_PARAMS
    with pytest.raises(MalformedRequest):
        params_of(json.dumps([1] * (MAX_PARAMS + 1)))


def test_an_unknown_isolation_level_is_rejected() -> None:
    """An unknown level must not silently become a weaker one."""
    with pytest.raises(MalformedRequest, match="invalid isolation level"):
        parse(b'{"queries":[]}', {b"neon-batch-isolation-level": b"serializable"})


@pytest.mark.parametrize(
    "body",
    [
        rb'{"query":"SELECT 1\u0000; DROP TABLE t"}',
        rb'{"query":"q","params":["a\u0000b"]}',
        rb'{"query":"q","params":[["a\u0000b"]]}',
        rb'{"query":"q","params":["\ud800"]}',
        rb'{"query":"q","params":[{"\udfff":1}]}',
    ],
)
def test_text_that_postgres_cannot_store_is_rejected(body: bytes) -> None:
    """Libpq would truncate text at a NUL; a lone surrogate has no UTF-8 form. The error has no cause."""
    with pytest.raises(UnsupportedText) as caught:
        parse(body, {})
    assert caught.value.code == "22021"
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


def test_a_nul_in_a_json_object_stays_escaped() -> None:
    r"""Postgres accepts \u0000 in json and rejects it in jsonb."""
    assert params_of(r'[{"a":"\u0000"}]') == [rb'{"a":"\u0000"}']
