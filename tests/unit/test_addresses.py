"""The canonical form of e-mail addresses."""

import pytest

from signup.addresses import canonical


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada@Example.COM ", "ada@example.com"),
        ("ada+news@example.com", "ada+news@example.com"),
        # Composed and decomposed, upper and lower case, of the same letters.
        ("JOS\u00c9@example.com", "jos\u00e9@example.com"),
        ("JOSE\u0301@example.com", "jos\u00e9@example.com"),
        # A Unicode domain and its ASCII form (IDNA 2008).
        ("ada@B\u00fccher.example.com", "ada@xn--bcher-kva.example.com"),
        ("ada@XN--BCHER-KVA.example.com", "ada@xn--bcher-kva.example.com"),
        # A full stop of another script is a full stop (UTS 46).
        ("ada@example\u3002com", "ada@example.com"),
        # Its lower case is two code points, which NFC leaves as they are.
        ("\u0130da@example.com", "i\u0307da@example.com"),
    ],
)
def test_the_same_address_has_one_form(typed: str, stored: str) -> None:
    """Case, Unicode form, IDNA form and surrounding space do not make another address; and the form is stable."""
    assert canonical(typed) == stored
    assert canonical(stored) == stored


@pytest.mark.parametrize(
    "typed",
    [
        *("", "ada", "ada@", "@example.com", "ada@example", "ada@@example.com", "ada@localhost"),
        *("a da@example.com", "ada@exa mple.com", "ada@-example.com", ".ada@example.com", "ada..l@example.com"),
        *("ada@example.com\u0000", "ada\r\nBcc: eve@example.com", "Ada <ada@example.com>", "ada@[127.0.0.1]"),
        *('"ada lovelace"@example.com', "ada@xn--\u00fc.com", "ada@example.test"),
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    """A wrong address raises ValueError, whose message does not repeat it."""
    with pytest.raises(ValueError, match=r"^must be an e-mail address, such as ada@example\.com$"):
        canonical(typed)


def test_an_address_may_have_254_characters() -> None:
    """254 are accepted, 255 refused (RFC 5321), and so is a domain that gets too long by becoming ASCII."""
    labels = ".".join(["a" * 60] * 3)
    fits = f"{'l' * 64}@{labels}.{'a' * (254 - 64 - 2 - len(labels) - 4)}.com"
    assert len(fits) == 254
    assert canonical(fits) == fits
    with pytest.raises(ValueError, match="at most 254"):
        canonical("x" + fits)
    with pytest.raises(ValueError, match="must be"):
        canonical("l" * 60 + "@" + ".".join(["\u00fc" * 30] * 6) + ".com")
