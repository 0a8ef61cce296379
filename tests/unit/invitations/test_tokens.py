"""Invitation tokens: their contents, their verification, and the addresses that they admit."""

import hmac
from base64 import urlsafe_b64encode
from dataclasses import replace
from hashlib import sha256

import pytest
from pydantic import SecretBytes

from signup.fields.email_address import canonical
from signup.invitations.tokens import LONGEST_TOKEN, Invitation, InvitationTokens
from signup.problems import BadInvitation
from signup.verification.tokens import Claims, TokenSigner

NOW = 1_764_500_000
KEY, OLDER = SecretBytes(b"k" * 32), SecretBytes(b"o" * 32)
INVITATION = Invitation("0123456789abcdefABCDEF", "ada@example.com", 1, NOW + 10)


def tokens(*keys: SecretBytes, now: float = NOW) -> InvitationTokens:
    """Return an `InvitationTokens` with a fixed clock."""
    return InvitationTokens(keys or (KEY,), lambda: now)


TOKEN = tokens().sign(INVITATION)


def test_a_token_is_verified_until_it_expires() -> None:
    """`make invite` can read an expired token, to show how often the invitation was used. Keys can be rotated."""
    for invitation in (INVITATION, replace(INVITATION, invited="*.example.com", uses=20)):
        assert tokens(KEY, OLDER).verify(tokens(OLDER).sign(invitation)) == invitation
    assert tokens(now=INVITATION.expires_at - 0.001).verify(TOKEN) == INVITATION
    expired = tokens(now=INVITATION.expires_at)
    assert expired.read(TOKEN) == INVITATION
    with pytest.raises(BadInvitation, match="invitation_expired"):
        expired.verify(TOKEN)


def signed(payload: bytes, purpose: bytes = b"signup invitation 1\n", key: bytes = b"k" * 32) -> str:
    """Return a token with this payload."""
    text, signature = (
        urlsafe_b64encode(data).rstrip(b"=")
        for data in (payload, hmac.digest(key, purpose + urlsafe_b64encode(payload).rstrip(b"="), sha256))
    )
    return f"{text.decode()}.{signature.decode()}"


PAYLOAD = f'[1,"{INVITATION.id}","ada@example.com",1,{NOW + 10},false]'.encode()


def test_the_format_is_the_documented_one() -> None:
    """The token has the format and the values that `signed_tokens` and `invitations.tokens` document."""
    assert signed(PAYLOAD) == TOKEN


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (signed(PAYLOAD, key=b"x" * 32), "invalid_signature"),
        (signed(PAYLOAD, b""), "invalid_signature"),
        (signed(PAYLOAD, b"signup verify-email 1\n"), "invalid_signature"),
        (TokenSigner([KEY]).sign(Claims("1", "ada@example.com", NOW + 10, "Ada", NOW)), "invalid_signature"),
        (TOKEN.replace(".", "A."), "invalid_signature"),
        (TOKEN[:-1], "invalid_token"),
        (TOKEN[1:], "invalid_signature"),
        (TOKEN.partition(".")[0], "invalid_token"),
        (f"{TOKEN}=", "invalid_token"),
        (f"{TOKEN}\n", "invalid_token"),
        (f" {TOKEN}", "invalid_token"),
        ("é", "invalid_token"),
        ("A" * 10_240, "invalid_token"),
        (signed(b"[1," + b" " * 7_000 + PAYLOAD[3:]), "invalid_token"),
        (signed(b'[2,"a","ada@example.com",1,9999999999,true]'), "invalid_token"),
        (signed(b'[1,"a","ada@example.com"]'), "invalid_token"),
        (signed(b"{}"), "invalid_token"),
        (signed(PAYLOAD.replace(b"false", b"0")), "invalid_token"),
        (signed(PAYLOAD.replace(b",1,", b',"1",')), "invalid_token"),
        (signed(PAYLOAD.replace(b"ada@example.com", b"example.com").replace(b"false", b"true")), "invalid_token"),
    ],
    ids=range(20),
)
def test_an_invalid_token_is_refused(token: str, reason: str) -> None:
    """The tokens are forged, truncated or too long, or have another key, purpose or format.

    The last token marks every address of a domain as verified.
    """
    with pytest.raises(BadInvitation) as caught:
        tokens().verify(token)
    assert caught.value.reason == reason
    assert "ada" not in repr(INVITATION).lower()


@pytest.mark.parametrize(
    ("invited", "admitted", "refused"),
    [
        (
            "ada@example.com",
            ("ada@example.com", " ADA@Example.COM ", "ada@EXAMPLE.com"),
            ("ada+x@example.com", "eve@example.com", "ada@sub.example.com", "ada@example.com.de", "a.da@example.com"),
        ),
        ("ada+x@example.com", ("Ada+X@example.com",), ("ada@example.com", "ada+y@example.com")),
        (
            "straße@b\u00fccher.example",
            ("STRASSE@b\u00fccher.example".replace("SS", "\u1e9e"), "straße@xn--bcher-kva.example"),
            ("strasse@b\u00fccher.example", "straße@bucher.example"),
        ),
        ("*.a@example.com", ("*.a@example.com",), ("b.a@example.com", "x@b.a.example.com")),
        (
            "example.com",
            ("ada@example.com", "Eve+1@EXAMPLE.COM"),
            ("ada@sub.example.com", "ada@badexample.com", "example.com@example.org"),
        ),
        (
            "*.b\u00fccher.example",
            ("ada@a.xn--bcher-kva.example", "ada@A.b.B\u00dcCHER.example"),
            ("ada@b\u00fccher.example", "ada@ab\u00fccher.example", "ada@a.bucher.example"),
        ),
    ],
)
def test_an_invitation_admits_its_address_or_domain(
    invited: str, admitted: tuple[str, ...], refused: tuple[str, ...]
) -> None:
    """Letter case and Unicode form do not matter; a subaddress is a different address."""
    # `canonical` accepts only addresses, so put a local part before a domain, and remove it from the result.
    canonical_form = canonical(invited) if "@" in invited else canonical(f"a@{invited.removeprefix('*.')}")[2:]
    invitation = replace(INVITATION, invited=("*." if invited.startswith("*.b") else "") + canonical_form)
    assert invitation.address == (canonical_form if "@" in invited else None)
    assert [typed for typed in admitted if not invitation.admits(canonical(typed))] == []
    assert [typed for typed in refused if invitation.admits(canonical(typed))] == []


def test_the_longest_token_is_within_the_bound() -> None:
    """The address is the longest one, and the numbers are larger than `make invite` allows."""
    address = canonical("\U00020000" * 16 + "@" + ".".join(["a" * 60] * 3) + ".de")
    longest = Invitation("a" * 22, "\U00020000" * 16 + "@" + "d" * (254 - 17), 10**9, 10**11, verifies=True)
    assert len(address) <= len(longest.invited)
    assert len(tokens().sign(longest)) <= LONGEST_TOKEN
