"""Property-based tests of JSON, the fields of a sign-up, the normal form of passwords, and rate limit keys."""

import contextlib
import json
import unicodedata
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from signup.fields.confusables import has_invisible
from signup.fields.email_address import canonical
from signup.fields.models import Rules, SignUpRequest
from signup.guards.rate_limits import client_key
from signup.hashing.password_hasher import normalise_password
from signup.json_codec import encode, parse_object
from signup.problems import MalformedJson, ValidationFailed
from tests.counts import examples
from tests.fakes import ADA

# `make test-long` generates 2000 examples for each test.
few = examples(25)

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
def test_json_round_trips(fields: dict[str, Any]) -> None:
    """The output of `json.dumps` and of `encode` is parsed to the same object."""
    assert parse_object(json.dumps(fields).encode()) == fields
    assert parse_object(encode(fields)) == fields


@few
@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_malformed(data: bytes) -> None:
    """No exception except `MalformedJson` is raised, and the result equals that of `json.loads`."""
    with contextlib.suppress(MalformedJson):
        assert parse_object(data) == json.loads(data)


@few
@given(st.dictionaries(st.sampled_from([*ADA, "x"]), VALUE | TEXT, max_size=4))
def test_any_object_is_a_sign_up_or_validation_failed(fields: dict[str, Any]) -> None:
    """No exception except `ValidationFailed` is raised. An accepted name is in NFC and has no invisible character."""
    try:
        request = SignUpRequest.from_object({**ADA, **fields}, Rules())
    except ValidationFailed:
        return
    assert fields.keys() <= ADA.keys()
    assert unicodedata.is_normalized("NFC", request.name)
    assert not has_invisible(request.name)


@few
@given(st.emails())
def test_canonicalisation_is_idempotent(email: str) -> None:
    """The Unicode normal form of the input does not change the result, whose domain is in ASCII."""
    try:
        address = canonical(email)
    except ValueError:
        return
    assert canonical(address) == address
    assert canonical(unicodedata.normalize("NFD", email)) == address
    assert address.rpartition("@")[2].isascii()


@few
@given(TEXT)
def test_the_normal_form_of_a_password_does_not_matter(password: str) -> None:
    """Composed and decomposed input give the same normalised password."""
    assert normalise_password(unicodedata.normalize("NFD", password)) == normalise_password(password)


@few
@given(st.ip_addresses(v=6))
def test_a_64_network_is_one_client(address: Any) -> None:
    """Adjacent IPv6 addresses of a /64 network have the same key. IPv4-mapped addresses are not tested."""
    if address.ipv4_mapped is None:
        assert client_key(str(address)) == client_key(str(address + (1 if address.packed[15] < 255 else -1)))
