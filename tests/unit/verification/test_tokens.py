"""Accepted and refused verification tokens."""

import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from pydantic import SecretBytes

from signup.fields.email_address import canonical
from signup.fields.models import LONGEST_NAME
from signup.problems import BadVerificationToken, VerificationExpired
from signup.verification.names import LONGEST_SHOWN
from signup.verification.tokens import LONGEST_TOKEN, Claims, TokenSigner

NOW = 1_764_500_000
KEY, OLDER, FOREIGN = (SecretBytes(each * 32) for each in (b"k", b"o", b"f"))
CLAIMS = Claims("12", "ada@example.com", NOW + 10, "Ada Löwe", NOW - 60)
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def signer(*keys: SecretBytes, now: float = NOW) -> TokenSigner:
    """Return a signer with a fixed clock."""
    return TokenSigner(keys or (KEY,), lambda: now)


def encoded(data: bytes) -> str:
    """Return data in base64url without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


TOKEN = signer().sign(CLAIMS)
PAYLOAD, SIGNATURE = TOKEN.split(".")


def test_the_format_is_as_documented() -> None:
    """The token has the format and the values that `signed_tokens` and `verification.tokens` document."""
    values = [1, "12", "ada@example.com", NOW + 10, "Ada Löwe", NOW - 60]
    assert json.loads(urlsafe_b64decode(PAYLOAD + "==")) == values
    assert encoded(hmac.digest(b"k" * 32, b"signup verify-email 1\n" + PAYLOAD.encode(), sha256)) == SIGNATURE


def test_a_token_is_valid_until_it_expires() -> None:
    """At the time of its expiry the token is already invalid."""
    assert signer().verify(TOKEN) == CLAIMS
    assert signer(now=CLAIMS.expires_at - 0.001).verify(TOKEN) == CLAIMS
    with pytest.raises(VerificationExpired):
        signer(now=CLAIMS.expires_at).verify(TOKEN)


def test_the_same_claims_have_the_same_token() -> None:
    """A repeated e-mail is therefore identical. A change of any claim changes the token."""
    assert signer().sign(CLAIMS) == TOKEN
    changed: list[dict[str, Any]] = [
        *({"user_id": "13"}, {"email": "eve@example.com"}, {"expires_at": NOW}, {"name": ""}, {"signed_up_at": 1})
    ]
    assert len({signer().sign(replace(CLAIMS, **each)) for each in changed} | {TOKEN}) == len(changed) + 1


def test_rotating_keys_does_not_invalidate_tokens() -> None:
    """The first key signs; tokens of every listed key are valid, and those of a removed key are not."""
    assert signer(KEY, OLDER).sign(CLAIMS) == TOKEN
    assert signer(OLDER, KEY).verify(TOKEN) == CLAIMS
    assert signer(OLDER, KEY).sign(CLAIMS) != TOKEN
    for keys in ((OLDER,), (FOREIGN, OLDER)):
        with pytest.raises(BadVerificationToken):
            signer(*keys).verify(TOKEN)


def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The signature is compared with those of all keys, even after a match."""
    compared: list[bool] = []

    def compare(left: str, right: str) -> bool:
        compared.append(left == right)
        return compared[-1]

    monkeypatch.setattr(hmac, "compare_digest", compare)
    signer(KEY, OLDER).verify(TOKEN)
    with pytest.raises(BadVerificationToken):
        signer(FOREIGN, OLDER).verify(TOKEN)
    assert compared == [True, False, False, False]


def test_a_signature_for_another_purpose_is_refused() -> None:
    """A key may also be used elsewhere, for example as a pepper."""
    signature = encoded(hmac.digest(b"k" * 32, PAYLOAD.encode(), sha256))
    with pytest.raises(BadVerificationToken):
        signer().verify(f"{PAYLOAD}.{signature}")


def test_a_token_has_only_one_valid_encoding() -> None:
    """Padding, the other base64 alphabet, white space, different final bits and changed characters are refused."""
    spellings = {TOKEN[:index] + other + TOKEN[index + 1 :] for index in range(len(TOKEN)) for other in "Ag_-+/.= \n"}
    spellings |= {TOKEN[:-1] + last for last in ALPHABET}
    spellings |= {PAYLOAD[:-1] + last + "." + SIGNATURE for last in ALPHABET}
    spellings |= {
        TOKEN + "=",
        f"{PAYLOAD}==.{SIGNATURE}",
        f" {TOKEN}",
        TOKEN + "\n",
        TOKEN + "\0",
        TOKEN + ".",
        TOKEN * 2,
    }
    spellings |= {
        "",
        ".",
        SIGNATURE,
        f".{SIGNATURE}",
        f"{PAYLOAD}.",
        TOKEN.upper(),
        TOKEN.replace(".", "%2E"),
        TOKEN + "é",
    }
    # Other encodings of the same bytes exist, because 43 characters of base64 have two unused bits.
    last_characters = {
        last
        for last in ALPHABET
        if urlsafe_b64decode(SIGNATURE[:-1] + last + "=") == urlsafe_b64decode(SIGNATURE + "=")
    }
    assert len(last_characters) == 4
    for spelling in spellings - {TOKEN}:
        with pytest.raises(BadVerificationToken):
            signer().verify(spelling)


@pytest.mark.parametrize("payload", [b"{}", b"[]", b"[1]", b'[2,"12","a@b",1,"",1]', b"1", b"\xff", b"[" * 5000])
def test_a_signed_payload_of_another_format_is_refused(payload: bytes) -> None:
    """A later version of this service with the same key may have signed such a payload."""
    encoded_payload = encoded(payload)
    signature = encoded(hmac.digest(b"k" * 32, b"signup verify-email 1\n" + encoded_payload.encode(), sha256))
    with pytest.raises(BadVerificationToken):
        signer().verify(f"{encoded_payload}.{signature}")


def test_the_longest_token_is_within_the_bound_and_a_longer_one_is_refused() -> None:
    """The token has the longest ID, address and name, with four-byte characters where they are allowed."""
    email = canonical("𠀀" * 16 + "@" + ".".join(["a" * 60] * 3) + ".de")
    assert len(email.partition("@")[0].encode()) == 64
    claims = Claims("9" * 36, "𠀀" * 16 + "@" + "d" * (254 - 17), 10**10, "𠀀" * LONGEST_SHOWN, 10**10)
    assert LONGEST_SHOWN < LONGEST_NAME
    assert len(signer().sign(claims)) <= LONGEST_TOKEN
    with pytest.raises(BadVerificationToken):
        signer().verify(signer().sign(replace(claims, name="a" * LONGEST_TOKEN)))


def test_errors_hide_the_token_and_the_repr_of_claims_hides_name_and_address() -> None:
    """Errors and claims can therefore be logged."""
    for now in (NOW, CLAIMS.expires_at):
        with pytest.raises((BadVerificationToken, VerificationExpired)) as caught:
            signer(FOREIGN if now == NOW else KEY, now=now).verify(TOKEN)
        assert PAYLOAD not in f"{caught.value!r} {caught.value.reason}"
    assert "ada" not in repr(CLAIMS).lower()
