"""Invisible characters and homographs."""

import pytest

from signup.fields import email_address as addresses
from signup.fields.confusables import has_invisible, mixes_scripts
from signup.fields.models import Rules, SignUpRequest
from signup.problems import ValidationFailed
from tests.fakes import ADA

VISIBLE = [
    "Ada Lovelace",
    "Zo\u00eb",
    "\u5c71\u7530\u3000\u592a\u90ce",
    "\u0645\u062d\u0645\u062f",
    "O\u2019Neill",
    # Persian with a non-joiner, a Sinhala conjunct with a joiner after a virama, and Devanagari with none.
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
    "\u0dc1\u0dca\u200d\u0dbb\u0dd3",
    "\u0915\u094d\u200c\u0937",
    "Ada \U0001f469",
]
INVISIBLE = {
    "zero-width space": "A\u200bda",
    "joiner between Latin letters": "A\u200dda",
    "non-joiner between Latin letters": "A\u200cda",
    "joiner at the start": "\u200dAda",
    "joiner between Arabic letters": "\u0645\u200d\u062f",
    "non-joiner after the last letter": "\u0645\u200c",
    "override to the left": "Ada\u202egnp",
    "isolate": "\u2066Ada\u2069",
    "mark": "Ada\u200f",
    "byte order mark": "\ufeffAda",
    "soft hyphen": "A\u00adda",
    "tag": "Ada\U000e0041",
    "line separator": "A\u2028da",
    "private use": "A\ue000da",
    "not assigned": "A\u0378da",
    "Hangul filler": "\u3164",
    "half-width filler": "A\uffa0",
    "grapheme joiner": "A\u034fda",
    "variation selector": "Ada\ufe0f",
    "supplementary variation selector": "Ada\U000e0100",
    "blank Braille": "\u2800",
}


@pytest.mark.parametrize("text", VISIBLE)
def test_what_people_write_is_visible(text: str) -> None:
    """Names of many scripts pass, with the joiners that some of them need."""
    assert not has_invisible(text)
    assert SignUpRequest.from_object({**ADA, "name": text}, Rules()).name


@pytest.mark.parametrize("text", INVISIBLE.values(), ids=INVISIBLE)
def test_what_cannot_be_seen_is_refused(text: str) -> None:
    """Two names that look alike are the same name: none hides a character, nor turns others around."""
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
def test_one_script_is_fine(label: str) -> None:
    """So are those that one language writes together, with Latin letters, digits and hyphens between."""
    assert not mixes_scripts(label)


@pytest.mark.parametrize("label", ["p\u0430ypal", "g\u03bf\u03bfgle", "\u0430pple", "\u03b1\u0431", "\ud55c\u304b"])
def test_homographs_are_refused(label: str) -> None:
    """A Cyrillic or Greek letter among Latin ones is an imitation, as typed and as it is on the wire."""
    assert mixes_scripts(label)
    wire = f"xn--{label.encode('punycode').decode()}"
    for domain in (f"{label}.com", f"{wire}.com", f"mail.{label}.example.com"):
        with pytest.raises(addresses.MixedScriptsError):
            addresses.canonical(f"ada@{domain}")
    with pytest.raises(ValidationFailed) as caught:
        SignUpRequest.from_object({**ADA, "email": f"ada@{label}.com"}, Rules())
    assert caught.value.errors[0].code == "mixed_scripts"


@pytest.mark.parametrize("local", ["p\u0430ypal", "ada.p\u0430ypal", "ada+g\u03bf\u03bfgle", "\u0430dmin"])
def test_homographs_of_a_local_part_are_refused(local: str) -> None:
    """A word of the local part mixes no scripts, as a label of the domain mixes none."""
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
def test_a_local_part_of_one_script_a_word_is_fine(local: str) -> None:
    """Words of different scripts, and those that one language writes together."""
    assert SignUpRequest.from_object({**ADA, "email": f"{local}@example.com"}, Rules()).email == f"{local}@example.com"


@pytest.mark.parametrize(
    "local", ["\ufb01n", "\uff41\uff44\uff41", "\u00aa", "ada\u00b2", "\u0e19\u0e49\u0e33", "\U0001d41a"]
)
def test_compatibility_characters_of_a_local_part_are_refused(local: str) -> None:
    """A ligature or a full-width letter would be a second spelling of an address that looks the same (NFKC)."""
    with pytest.raises(ValidationFailed) as caught:
        SignUpRequest.from_object({**ADA, "email": f"{local}@example.com"}, Rules())
    assert [(error.pointer, error.code) for error in caught.value.errors] == [("/email", "compatibility_character")]


@pytest.mark.parametrize("invisible", ["\ufe0f", "\u034f", "\u200d", "\u3164", "\u00ad"])
def test_a_local_part_hides_no_character(invisible: str) -> None:
    """What cannot be seen is no part of an address."""
    with pytest.raises(ValidationFailed) as caught:
        SignUpRequest.from_object({**ADA, "email": f"a{invisible}da@example.com"}, Rules())
    assert caught.value.errors[0].code in ("not_an_email_address", "compatibility_character")


@pytest.mark.parametrize("name", ["Anna \u0410\u043d\u043d\u0430", "\ufb01n", "\u5c71\u7530 Taro", "\u03a9mega"])
def test_names_may_mix_scripts(name: str) -> None:
    """A name is no identifier: it is not unique, and nothing is looked up by it."""
    assert SignUpRequest.from_object({**ADA, "name": name}, Rules()).name == name


def test_different_scripts_in_different_labels_are_fine() -> None:
    """A label is what somebody registered: a Latin top-level domain below a Cyrillic name is usual."""
    address = addresses.canonical("ada@\u043f\u0440\u0438\u043c\u0435\u0440.com")
    assert address == "ada@xn--e1afmkfd.com"


def test_subaddresses_are_kept_or_refused_as_the_settings_say() -> None:
    """Kept, each is an address of its own, like any spelling with dots: only the mail server knows."""
    for email in ("ada+shop@example.com", "a.d.a@example.com"):
        assert SignUpRequest.from_object({**ADA, "email": email}, Rules()).email == email
    with pytest.raises(ValidationFailed) as caught:
        SignUpRequest.from_object({**ADA, "email": "ada+shop@example.com"}, Rules(subaddressing=False))
    assert caught.value.errors[0].code == "subaddress_refused"
    assert SignUpRequest.from_object(ADA, Rules(subaddressing=False)).email == "ada@example.com"
