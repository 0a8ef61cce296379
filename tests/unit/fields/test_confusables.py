"""Invisible characters and homographs."""

import pytest

from signup.fields import email_address as addresses
from signup.fields.confusables import has_invisible, mixes_scripts
from signup.fields.models import Rules, SignUpRequest
from signup.problems import ValidationFailed
from tests.fakes import ADA

ACCEPTED_NAMES = {
    "Latin": "Ada Lovelace",
    "an accent": "Zo\u00eb",
    "Japanese, with an ideographic space": "\u5c71\u7530\u3000\u592a\u90ce",
    "Arabic": "\u0645\u062d\u0645\u062f",
    "an apostrophe": "O\u2019Neill",
    "Persian, with a non-joiner": "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "Persian, with a non-joiner that has no effect": "\u0645\u062d\u0645\u062f\u200c\u0631\u0636\u0627",
    "Persian, with a non-joiner after a mark": "\u0645\u062d\u0645\u0651\u200c\u0631\u0636\u0627",
    "Persian, with a non-joiner before a space": "\u0639\u0644\u06cc\u200c \u0631\u0636\u0627",
    "Persian, with a joiner that shapes an initial": "\u0647\u200d. \u0633\u0627\u06cc\u0647",
    "N'Ko, with a joiner": "\u07ca\u200d\u07ca",
    "Bengali and Assamese, with a joiner before the virama": "\u09b0\u200d\u09cd\u09af\u09be",
    "Kannada, with a joiner before the virama": "\u0cb0\u200d\u0ccd\u0c95",
    "Sinhala, with a joiner after the virama": "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "Devanagari, with a non-joiner after the virama": "\u0915\u094d\u200c\u0937",
    "Nepali, with a non-joiner after a mark": "\u0938\u093f\u0902\u200c\u0916\u0921\u093e",
    "Malayalam, with a joiner at the end": "\u0d30\u0d3e\u0d1c\u0d28\u0d4d\u200d",
    "Khmer, with a non-joiner before a register shifter": "\u1780\u200c\u17ca",
    "Khmer, with a zero-width space": "\u179f\u17bb\u1781\u200b\u1785\u17b6\u1793\u17cb",
    "Thai, with a zero-width space": "\u0e2a\u0e21\u200b\u0e0a\u0e32\u0e22",
    "Lao, with a zero-width space": "\u0eaa\u0ebb\u0ea1\u200b\u0e9e\u0ead\u0e99",
    "Burmese, with a zero-width space": "\u1021\u1031\u102c\u1004\u103a\u200b\u1006\u1014\u103a\u1038",
    "Mongolian, with a vowel separator": "\u1834\u1820\u1836\u180e\u1820",
    "Mongolian, with a variation selector": "\u182a\u1820\u180b\u1822",
    "Japanese, with an ideographic variation sequence": "\u845b\U000e0100\u57ce",
    "Japanese, with a standardised variation sequence": "\u795e\ufe00\u8c37",
    "an emoji": "Ada \U0001f469",
    "an emoji with a variation selector": "Ada \u2764\ufe0f",
    "an emoji sequence": "Ada \U0001f469\U0001f3fd\u200d\u2764\ufe0f\u200d\U0001f468",
    "a keycap": "1\ufe0f\u20e3",
    "the flag of a region": "\U0001f3f4\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
}
REFUSED_NAMES = {
    "zero-width space": "A\u200bda",
    "joiner between Latin letters": "A\u200dda",
    "non-joiner between Latin letters": "A\u200cda",
    "joiner at the start": "\u200dAda",
    "non-joiner in a Latin word beside a Persian one": "A\u200cda \u0639\u0644\u06cc",
    "zero-width space between Arabic letters": "\u0645\u200b\u062f",
    "joiner in a Latin word beside a Thai one": "A\u200dda \u0e2a\u0e21",
    "right-to-left override": "Ada\u202egnp",
    "direction mark": "A\u200fda",
    "soft hyphen": "A\u00adda",
    "word joiner": "A\u2060da",
    "tag": "Ada\U000e0041",
    "tags that name no region": "\U0001f3f4" + "\U000e0061" * 30,
    "line separator": "A\u2028da",
    "line separator at the end": "Ada\u2028",
    "private use": "A\ue000da",
    "unassigned": "A\u0378da",
    "Hangul filler": "\u3164",
    "half-width filler": "A\uffa0",
    "grapheme joiner": "A\u034fda",
    "variation selector": "Ada\ufe0f",
    "two selectors of one emoji": "\u2764\ufe0f\ufe0f",
    "joiner at the end of an emoji": "\U0001f469\u200d",
    "supplementary variation selector": "Ada\U000e0100",
    "ideographic variation selector apart from its ideograph": "\u845bA\U000e0100",
    "Mongolian variation selector": "A\u180bda",
    "blank Braille": "\u2800",
}


@pytest.mark.parametrize("text", ACCEPTED_NAMES.values(), ids=ACCEPTED_NAMES)
def test_names_in_many_scripts_are_accepted(text: str) -> None:
    """Invisible characters that a script needs are accepted, and the names are stored unchanged."""
    assert not has_invisible(text)
    assert SignUpRequest.from_object({**ADA, "name": text}, Rules()).name == text


@pytest.mark.parametrize(
    "padding", ["\u200f", "\u200e", "\u200b", "\ufeff", "\u200c", "\u2067", "\u00a0", " \u200b \u200f"]
)
def test_invisible_format_characters_are_trimmed_from_the_ends(padding: str) -> None:
    """Direction marks, zero-width spaces and byte order marks often come with pasted text."""
    for first, last in ((padding, ""), ("", padding), (padding, "\u2069" + padding)):
        fields = {**ADA, **{name: f"{first}{ADA[name]}{last}" for name in ("name", "email")}}
        request = SignUpRequest.from_object(fields, Rules())
        assert (request.name, request.email) == (ADA["name"], ADA["email"])


@pytest.mark.parametrize("edge", ["\x1f", "\n", "\r\n", "\t", "\x85", "\u2028", "\u2029"])
def test_controls_and_line_breaks_are_not_trimmed(edge: str) -> None:
    """These characters are refused even at the ends of a name or an address."""
    name_codes = {"control_character", "invisible_character"}
    for field, codes in (("name", name_codes), ("email", name_codes | {"not_an_email_address"})):
        for text in (ADA[field] + edge, edge + ADA[field]):
            with pytest.raises(ValidationFailed) as caught:
                SignUpRequest.from_object({**ADA, field: text}, Rules())
            assert [(error.pointer, error.code in codes) for error in caught.value.errors] == [(f"/{field}", True)]


@pytest.mark.parametrize("text", REFUSED_NAMES.values(), ids=REFUSED_NAMES)
def test_invisible_characters_are_refused(text: str) -> None:
    """With invisible characters, different names can look alike, and some characters reorder the text around them."""
    assert has_invisible(text)
    with pytest.raises(ValidationFailed) as caught:
        SignUpRequest.from_object({**ADA, "name": text}, Rules())
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/name", "invisible_character")]


@pytest.mark.parametrize(
    "label",
    [
        "example",
        "b\u00fccher",
        "\u043f\u0440\u0438\u043c\u0435\u0440",
        "\u4f8b\u3048",
        "\u30c6\u30b9\u30c8\u6771\u4eactokyo",
        "\ud55c\uad6d\u6f22",
        "a1-2",
        "\u0645\u062b\u0627\u0644",
        "\u4eba\u3005",
        "\u30b9\u30fc",
    ],
)
def test_a_label_in_one_script_is_accepted(label: str) -> None:
    """Scripts that are written together count as one; digits and hyphens belong to every script."""
    assert not mixes_scripts(label)


@pytest.mark.parametrize("label", ["p\u0430ypal", "g\u03bf\u03bfgle", "\u0430pple", "\u03b1\u0431", "\ud55c\u304b"])
def test_homographs_in_a_domain_are_refused(label: str) -> None:
    """Labels that mix scripts, such as Latin and Cyrillic, are refused, in Unicode and in Punycode."""
    assert mixes_scripts(label)
    punycode = f"xn--{label.encode('punycode').decode()}"
    for domain in (f"{label}.com", f"{punycode}.com", f"mail.{label}.example.com"):
        with pytest.raises(addresses.AddressError, match="scripts"):
            addresses.canonical(f"ada@{domain}")
    with pytest.raises(ValidationFailed) as caught:
        SignUpRequest.from_object({**ADA, "email": f"ada@{label}.com"}, Rules())
    assert caught.value.errors[0].code == "mixed_scripts"


@pytest.mark.parametrize("local", ["p\u0430ypal", "ada.p\u0430ypal", "ada+g\u03bf\u03bfgle", "\u0430dmin"])
def test_homographs_in_a_local_part_are_refused(local: str) -> None:
    """As in a label of the domain, a word of the local part must not mix scripts."""
    with pytest.raises(ValidationFailed) as caught:
        SignUpRequest.from_object({**ADA, "email": f"{local}@example.com"}, Rules())
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/email", "mixed_scripts")]


@pytest.mark.parametrize(
    "local",
    [
        "\u0438\u0432\u0430\u043d.smith",
        "\u5c71\u7530taro",
        "\u0438\u0432\u0430\u043d+news",
        "zo\u00eb",
        "\u0e2a\u0e21\u0e0a\u0e32\u0e22",
    ],
)
def test_a_local_part_may_have_a_script_per_word(local: str) -> None:
    """Different words may have different scripts; scripts that are written together are accepted."""
    assert SignUpRequest.from_object({**ADA, "email": f"{local}@example.com"}, Rules()).email == f"{local}@example.com"


@pytest.mark.parametrize(
    "local", ["\ufb01n", "\uff41\uff44\uff41", "\u00aa", "ada\u00b2", "\u0e19\u0e49\u0e33", "\U0001d41a"]
)
def test_compatibility_characters_in_a_local_part_are_refused(local: str) -> None:
    """Characters with a compatibility form (NFKC), such as ligatures, would make similar but different addresses."""
    with pytest.raises(ValidationFailed) as caught:
        SignUpRequest.from_object({**ADA, "email": f"{local}@example.com"}, Rules())
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/email", "compatibility_character")]


@pytest.mark.parametrize(
    "local",
    [
        *(f"a{each}da" for each in "\ufe0f\u034f\u180b\u200d\u200b\u3164\u2800\u00ad\u202e"),
        # These are accepted in a name. In a local part they would make a different address that looks the same.
        *("\u845b\U000e0100", "\u2764\ufe0f", "\u0639\u0644\u06cc\u200c\u0631\u0636\u0627", "\u0e2a\u200b\u0e21"),
    ],
)
def test_invisible_characters_in_a_local_part_are_refused(local: str) -> None:
    """Even the invisible characters that a script needs in a name are refused."""
    with pytest.raises(ValidationFailed) as caught:
        SignUpRequest.from_object({**ADA, "email": f"{local}@example.com"}, Rules())
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/email", "invisible_character")]


@pytest.mark.parametrize("name", ["Anna \u0410\u043d\u043d\u0430", "\ufb01n", "\u5c71\u7530 Taro", "\u03a9mega"])
def test_names_may_mix_scripts(name: str) -> None:
    """A name is not an identifier: it is neither unique nor looked up."""
    assert SignUpRequest.from_object({**ADA, "name": name}, Rules()).name == name


def test_labels_may_have_different_scripts() -> None:
    """Cyrillic names below a Latin top-level domain are common."""
    address = addresses.canonical("ada@\u043f\u0440\u0438\u043c\u0435\u0440.com")
    assert address == "ada@xn--e1afmkfd.com"


def test_the_setting_decides_whether_subaddresses_are_accepted() -> None:
    """A subaddress is distinct from the plain address, and dots are significant."""
    for email in ("ada+shop@example.com", "a.d.a@example.com"):
        assert SignUpRequest.from_object({**ADA, "email": email}, Rules()).email == email
    with pytest.raises(ValidationFailed) as caught:
        SignUpRequest.from_object({**ADA, "email": "ada+shop@example.com"}, Rules(subaddressing=False))
    assert caught.value.errors[0].code == "subaddress_refused"
    assert SignUpRequest.from_object(ADA, Rules(subaddressing=False)).email == "ada@example.com"
