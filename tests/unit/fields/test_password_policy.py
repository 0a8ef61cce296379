"""Which passwords are refused whatever their length, and which are not."""

import random

import pytest

from signup.fields.common_passwords import ROWS, WORDS
from signup.fields.password_policy import Context, objection

ADA = Context("Ada Lovelace", "ada.king1815@b\u00fccher-post.example.com", "Acme Sign-Up")


def code(password: str, context: Context = ADA) -> str | None:
    """Return the code of the objection, if there is one."""
    return objection(password, context)


@pytest.mark.parametrize(
    "password",
    [
        "adalovelace",
        "Ada Lovelace",
        "ADA LOVELACE 1843",
        "adaadaadaadaada",
        "Ada-Lovelace-10.12.1843",
        "a.d.a.l.o.v.e.l.a.c.e",
        "ecalevol ada 2001",
        "4d4l0v3l4c3!!",
        "4da1ove1ace4da1ove1ace",
        "4d4l0v3l4c31984!",
        "adapassword1234",
        "ada qwertyuiop ada",
        "\uff41\uff44\uff41\uff4c\uff4f\uff56\uff45\uff4c\uff41\uff43\uff45 2024",
        "a\u0301da\u0300 l\u00f3velac\u00e9 xyz",
        "\U0001d400\U0001d403\U0001d400 \U0001d400\U0001d403\U0001d400 2024",
    ],
)
def test_built_from_the_name(password: str) -> None:
    """In whatever case, width, accents, order of letters, leetspeak, with separators, repeated, or with padding."""
    assert code(password) == "built_from_name"


@pytest.mark.parametrize(
    "password",
    [
        "ada.king1815@b\u00fccher-post.example.com",
        "ada.king1815ada.king1815",
        "King King King 12",
        "adaking18151815",
        "b\u00fccher-post-2024",
        "bucherpost2024!!",
        "example.com12345",
        "4d4k1ng18154d4k1ng1815",
    ],
)
def test_built_from_the_address(password: str) -> None:
    """The whole of it, its local part, that part's words, and its domain's labels, which count in Unicode."""
    address = Context("Grace", "ada.king1815@xn--bcher-post-9db.example.com", "Acme")
    assert code(password, address) == "built_from_email"


def test_accents_do_not_part_a_word() -> None:
    """Each word of a name counts by itself, whose letters have accents or not."""
    name = Context("J\u00f6rg M\u00fcller")
    for password in ("J\u00f6rgJ\u00f6rgJ\u00f6rg 84", "mullermullermuller"):
        assert code(password, name) == "built_from_name"


@pytest.mark.parametrize("password", ["AcmeSignUp2024!", "acme acme acme 1", "4cm3-5ign-up", "pungis emca"])
def test_built_from_the_services_name(password: str) -> None:
    """As the user's name."""
    assert code(password) == "built_from_service_name"


@pytest.mark.parametrize(
    "password",
    [
        "xxxxxxxxxxxxxxx",
        "!!!!!!!!!!!!!!!",
        "               ",
        "abcabcabcabcabc",
        "x7k9x7k9x7k9x7k9",
        "123456789012345",
        "9876543210987654",
        "1-2-3-4-5-6-7-8-9-0",
        "qwertyuiopasdfghjkl",
        "!@#$%^&*()_+!@#",
        "1qaz2wsx3edc4rfv",
        "abcdefghijklmnop",
        "Password12345678",
        "P@ssw0rd1984!!!!",
        "passwordpassword",
        "Welcome-Admin-2024",
        "iloveyouiloveyou",
        "\u674e\u674e\u674e\u674e\u674e\u674e\u674e\u674e",
    ],
)
def test_too_common(password: str) -> None:
    """One character, a short unit repeated, rows of keys, common words, and mixtures of these with padding."""
    assert code(password) == "too_common"


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery staple",
        "ada likes strong tea",
        "signup for the acme newsletter, ada",
        "my password is a secret of admiralty",
        "Ada 8734 8273 9911 2883",
        "ada&*^%$#@!)(_+=?",
        "739201847362514",
        "\u5929\u5730\u7384\u9ec4\u5b87\u5b99\u6d2a\u8352",
        "m7 vqzfj",
        "secret dragon sunshine cheese monkey",
        "pass1234wordvzk",
    ],
)
def test_what_holds_more_than_that_is_accepted(password: str) -> None:
    """A name, a common word or a row may be in a password, as long as enough is left without it."""
    assert code(password) is None


def test_no_passphrase_is_refused_for_a_name_in_it() -> None:
    """Four words of five letters or more around a short name are accepted, whichever they are and wherever it is."""
    drawn = random.Random(1)  # noqa: S311 - the same passphrases in every run
    syllables = [first + vowel for first in "bdfgklmnprstvz" for vowel in "aeiou"]
    for _ in range(500):
        words = ["".join(drawn.choices(syllables, k=3)) for _ in range(4)]
        words.insert(drawn.randrange(5), "ada")
        assert code(drawn.choice(["", " ", "-"]).join(words)) is None, words


@pytest.mark.parametrize(("length", "expected"), [(4, "built_from_name"), (5, None)])
def test_four_letters_are_padding_and_five_are_not(length: int, expected: str | None) -> None:
    """The bound between a name with padding and a password of its own, in letters; two digits weigh one."""
    assert code("adalovelace" + "vzkjx"[:length]) == expected
    assert code("adalovelace" + "7392018463"[: 2 * length]) == expected


def test_a_short_word_is_no_word() -> None:
    """Two letters of a name, or a country's domain, are in many passwords by chance."""
    assert code("li7dex4q", Context("Li", "li@example.de")) is None


def test_without_a_context_only_the_common_is_refused() -> None:
    """Empty names are no words, that would be in every password."""
    assert code("adalovelace1843", Context()) is None
    assert code("passwordpassword", Context()) == "too_common"


def test_the_list_is_folded_as_passwords_are() -> None:
    """Every word of it can be found: lower case, in ASCII, and no row twice."""
    assert all(word.isascii() and word.isalnum() and word == word.lower() for word in WORDS)
    assert len(set(ROWS)) == len(ROWS)
    for word in sorted(WORDS):
        assert code(word * 4, Context()) == "too_common", word
    for row in ROWS:
        assert code(row, Context()) == "too_common", row
        assert code(row[::-1], Context()) == "too_common", row
