"""What holds of every input, searched for counter-examples."""

import contextlib
import json
import unicodedata
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signup.fields.confusables import has_invisible
from signup.fields.email_address import canonical
from signup.fields.models import Rules, SignUpRequest
from signup.guards.rate_limits import client_key
from signup.hashing.password_hasher import normalised
from signup.json_codec import encode, parse_object
from signup.problems import MalformedJson, ValidationFailed
from tests.fakes import ADA

# The same ones each time, and few: `make fuzz` has the many.
few = settings(max_examples=60, deadline=None, derandomize=True, database=None)

TEXT = st.text(max_size=130)
VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@few
@given(st.dictionaries(st.text(max_size=10), VALUE, max_size=5))
def test_json_comes_back_as_it_was(fields: dict[str, Any]) -> None:
    """An object that Python's own writer wrote is read as it was, and what we write is read the same."""
    assert parse_object(json.dumps(fields).encode()) == fields
    assert parse_object(encode(fields)) == fields


@few
@given(st.binary(max_size=200))
def test_bytes_are_an_object_or_malformed(data: bytes) -> None:
    """No other exception leaves the parser, and what it takes Python's own takes too."""
    with contextlib.suppress(MalformedJson):
        assert parse_object(data) == json.loads(data)


@few
@given(st.dictionaries(st.sampled_from([*ADA, "x"]), VALUE | TEXT, max_size=4))
def test_a_body_is_a_sign_up_or_a_problem(fields: dict[str, Any]) -> None:
    """Whatever the values are, the answer is a list of failing fields or a request."""
    try:
        request = SignUpRequest.from_object({**ADA, **fields}, Rules())
    except ValidationFailed:
        return
    assert fields.keys() <= ADA.keys()
    assert unicodedata.is_normalized("NFC", request.name)
    assert not has_invisible(request.name)


@few
@given(st.emails())
def test_a_canonical_address_is_its_own(email: str) -> None:
    """To canonicalise twice changes nothing, and neither case nor normal form makes another address."""
    try:
        address = canonical(email)
    except ValueError:
        return
    assert canonical(address) == address
    assert canonical(unicodedata.normalize("NFD", email)) == address
    assert address.rpartition("@")[2].isascii()


@few
@given(TEXT)
def test_a_password_is_what_it_looks_like(password: str) -> None:
    """Whichever way a keyboard composes it, the bytes that are hashed are the same."""
    assert normalised(unicodedata.normalize("NFD", password)) == normalised(password)


@few
@given(st.ip_addresses(v=6))
def test_a_64_is_one_client(address: Any) -> None:
    """The last 64 bits of an IPv6 address make no other client, unless they are an IPv4 address'."""
    if address.ipv4_mapped is None:
        assert client_key(str(address)) == client_key(str(address + (1 if address.packed[15] < 255 else -1)))


@pytest.mark.parametrize("depth", [1, 10, 100])
def test_depth_is_bounded(depth: int) -> None:
    """Nested arrays are read or refused, and never overflow a stack."""
    try:
        assert parse_object(b'{"a":' + b"[" * depth + b"]" * depth + b"}")
    except MalformedJson:
        assert depth > 1
