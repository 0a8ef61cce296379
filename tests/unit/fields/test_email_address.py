"""The canonical form of e-mail addresses."""

import unicodedata
from collections.abc import Callable

import pytest
from email_validator import SPECIAL_USE_DOMAIN_NAMES
from hypothesis import given
from hypothesis import strategies as st

from signup.fields.confusables import trim
from signup.fields.email_address import LONGEST_ADDRESS, SPECIAL_USE, AddressError, _parsed, canonical, fold_case
from tests.counts import count, examples


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada@Example.COM ", "ada@example.com"),
        ("ada+news@example.com", "ada+news@example.com"),
        # The same letters, composed and decomposed, in upper and lower case.
        ("JOS\u00c9@example.com", "jos\u00e9@example.com"),
        ("JOSE\u0301@example.com", "jos\u00e9@example.com"),
        # A Unicode domain and its ASCII form (IDNA 2008).
        ("ada@B\u00fccher.example.com", "ada@xn--bcher-kva.example.com"),
        ("ada@XN--BCHER-KVA.example.com", "ada@xn--bcher-kva.example.com"),
        # A full stop of another script is a full stop (UTS 46).
        ("ada@example\u3002com", "ada@example.com"),
        # A Persian domain with a non-joiner (RFC 5892, appendix A), in Unicode and in Punycode.
        ("ada@\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.com", "ada@xn--mgba3gch31f060k.com"),
        ("ada@XN--mgba3gch31f060k.com", "ada@xn--mgba3gch31f060k.com"),
        # The lower case of this letter is two code points, which NFC does not compose.
        ("\u0130da@example.com", "i\u0307da@example.com"),
        # Sigma has two lower-case forms; Greek writes the final one at the end of a word.
        ("\u039f\u03a3@example.com", "\u03bf\u03c2@example.com"),
        ("\u03bf\u03c3@example.com", "\u03bf\u03c2@example.com"),
        ("\u03a3\u039f\u03c2.\u03a3\u03c2\u03a3@example.com", "\u03c3\u03bf\u03c2.\u03c3\u03c3\u03c2@example.com"),
        ("x.\u0393\u0391\u03a3.\u0394\u0391@example.com", "x.\u03b3\u03b1\u03c2.\u03b4\u03b1@example.com"),
        # Sharp s has a capital of its own; dotless i is a letter of its own.
        ("STRA\u1e9eE@example.com", "stra\u00dfe@example.com"),
        ("\u0131da@example.com", "\u0131da@example.com"),
        # Long s, Cherokee (whose lower case is in another block), and a titlecase letter.
        ("\u017fa@example.com", "sa@example.com"),
        ("\u13a0@example.com", "\uab70@example.com"),
        ("\u1fbc@example.com", "\u1fb3@example.com"),
    ],
)
def test_each_spelling_of_an_address_has_the_same_canonical_form(typed: str, stored: str) -> None:
    """Case, Unicode form, IDNA form and surrounding space do not matter; the canonical form is stable."""
    assert canonical(typed) == stored
    assert canonical(stored) == stored


@pytest.mark.parametrize(
    "typed",
    [
        *("", "ada", "ada@", "@example.com", "ada@example", "ada@@example.com", "ada@co_m.com"),
        *("a da@example.com", "ada@exa mple.com", "ada@-example.com", ".ada@example.com", "ada..l@example.com"),
        *("ada@example.com\u0000", "ada\r\nBcc: eve@example.com", "Ada <ada@example.com>", "ada@[127.0.0.1]"),
        *('"ada lovelace"@example.com', "ada@xn--\u00fc.com"),
        # A joiner where IDNA 2008 does not allow it, in Unicode and in Punycode.
        *("ada@a\u200cb.com", "ada@xn--ab-j1t.com", "ada@\u0646\u200d\u0627.com"),
    ],
)
def test_a_malformed_address_is_refused(typed: str) -> None:
    """The error does not quote the address."""
    with pytest.raises(ValueError, match=r"^not_an_email_address$"):
        canonical(typed)


@pytest.mark.parametrize(
    ("first", "second"), [("stra\u00dfe", "strasse"), ("\u0131da", "ida"), ("i\u0307da", "ida"), ("jos\u00e9", "jose")]
)
def test_similar_letters_are_different_addresses(first: str, second: str) -> None:
    """Only the mail server knows whether two such addresses lead to the same mailbox."""
    assert canonical(f"{first}@example.com") != canonical(f"{second}@example.com")


def test_all_cases_of_a_letter_fold_to_one_letter() -> None:
    """Dotless i is the only exception. Folding twice equals folding once.

    Cases of several letters, such as SS for sharp s, are not compared.
    """
    letters = filter(str.isalpha, map(chr, range(0x20000)))
    # `make test` tries only some of the letters without case.
    tried = [each for number, each in enumerate(letters) if number % count(20, 1) == 0 or each.upper() != each.lower()]
    for letter in tried:
        folded = fold_case(letter)
        assert fold_case(folded) == folded
        if letter != "\u0131":
            assert {fold_case(each) for each in (letter.upper(), letter.lower(), letter.title()) if len(each) == 1} <= {
                folded
            }


LOCAL = st.text(
    "aAsS\u017f\u00df\u1e9eiI\u0131\u0130\u0307\u03c3\u03c2\u03a3\u03bf\u039f\u0345\u0301.+\u1fbc\u13a0",
    min_size=1,
    max_size=8,
)


@examples(75)
@given(LOCAL)
def test_case_does_not_matter_in_any_local_part(local: str) -> None:
    """The canonical form of a canonical address is the address itself.

    Dotless i, and letters whose other case is several letters, keep their case.
    """
    # Normalise first: Unicode defines case for normalised text, because the capital of one combining mark is a letter.
    composed = unicodedata.normalize("NFC", local)
    swapped = "".join(c if len(c.swapcase()) > 1 or c == "\u0131" else c.swapcase() for c in composed)
    forms = set[str | None]()
    for each in (local, swapped, unicodedata.normalize("NFD", local)):
        try:
            forms.add(canonical(f"{each}@example.com"))
        except ValueError:
            forms.add(None)
    assert len(forms) == 1
    if (form := forms.pop()) is not None:
        assert canonical(form) == form


def test_an_address_may_have_254_characters() -> None:
    """255 characters are refused (RFC 5321), and so is a domain whose ASCII form is too long."""
    labels = ".".join(["a" * 60] * 3)
    fits = f"{'l' * 64}@{labels}.{'a' * (254 - 64 - 2 - len(labels) - 4)}.com"
    assert len(fits) == 254
    for typed in (fits, f" {fits} ", f"\u200e{fits}"):
        assert canonical(typed) == fits
    with pytest.raises(ValueError, match="not_an_email_address"):
        canonical(fits + "x")
    with pytest.raises(ValueError, match="not_an_email_address"):
        canonical("l" * 60 + "@" + ".".join(["\u00fc" * 30] * 6) + ".com")


@pytest.mark.parametrize(
    ("letter", "most"), [("x", 64), ("_", 64), ("!", 64), ("\u00e9", 32), ("\u6f22", 21), ("\u0130", 21)]
)
def test_a_local_part_may_have_64_bytes(letter: str, most: int) -> None:
    """RFC 5321 limits the octets, which are UTF-8 (RFC 6531). The limit applies to the canonical form."""
    assert canonical(f"{letter * most}@example.com")
    for length in (most + 1, 2 * most, 240 if most == 64 else most + 2):
        with pytest.raises(ValueError, match="not_an_email_address"):
            canonical(f"{letter * length}@example.com")


TYPED = st.text("abAZ09_+-.@ \u00e9\u212a", max_size=40)
SHAPED = st.from_regex(r"[a-z.+-]{1,66}@([a-z0-9-]{1,65}\.){1,3}[a-z]{0,9}")


@examples(50)
@given(TYPED | SHAPED)
def test_plain_addresses_have_the_same_result_as_in_the_library(typed: str) -> None:
    """Plain addresses are checked without email-validator, and the result is the same."""

    def outcome(function: Callable[[str], str]) -> str:
        try:
            return function(trim(typed))
        except ValueError as exc:
            return str(exc)

    if len(typed) <= LONGEST_ADDRESS:
        assert outcome(canonical) == outcome(_parsed)


def test_special_use_domains_are_refused_as_reserved() -> None:
    """The list equals that of email-validator; if a new version adds a domain, this test fails."""
    assert set(SPECIAL_USE_DOMAIN_NAMES) == SPECIAL_USE
    for domain in (
        *SPECIAL_USE,
        *(f"example.{name}" for name in SPECIAL_USE),
        "home.arpa",
        "printer.LOCAL",
        "b\u00fc.test",
    ):
        with pytest.raises(AddressError, match="reserved") as caught:
            canonical(f"ada@{domain}")
        assert caught.value.code == "reserved_domain"
