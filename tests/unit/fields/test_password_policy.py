"""The password policy: refused and accepted passwords, regardless of the minimum length."""

import random

import pytest

from signup.fields.common_passwords import ROWS, WORDS
from signup.fields.password_policy import Context, find_weakness

ADA = Context("Ada Lovelace", "ada.king1815@b\u00fccher-post.example.com", "Acme Sign-Up")


def code(password: str, context: Context = ADA) -> str | None:
    """Return the error code of a password, or None if it is accepted."""
    return find_weakness(password, context)


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
def test_a_password_built_from_the_name_is_refused(password: str) -> None:
    """Case, width, accents, reversal, leetspeak, separators, repetition and padding do not matter."""
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
def test_a_password_built_from_the_address_is_refused(password: str) -> None:
    """The password is compared with the address, the local part and its words, the domain and its labels in Unicode."""
    address = Context("Grace", "ada.king1815@xn--bcher-post-9db.example.com", "Acme")
    assert code(password, address) == "built_from_email"


def test_accents_do_not_split_a_word() -> None:
    """Each word of a name is compared separately, with and without accents."""
    name = Context("J\u00f6rg M\u00fcller")
    for password in ("J\u00f6rgJ\u00f6rgJ\u00f6rg 84", "mullermullermuller"):
        assert code(password, name) == "built_from_name"


@pytest.mark.parametrize("password", ["AcmeSignUp2024!", "acme acme acme 1", "4cm3-5ign-up", "pungis emca"])
def test_a_password_built_from_the_service_name_is_refused(password: str) -> None:
    """The same rules apply as for the user's name."""
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
def test_a_common_password_is_refused(password: str) -> None:
    """Examples are repeated characters or groups, keyboard rows, common words, and mixtures of these with padding."""
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
def test_a_password_with_enough_other_characters_is_accepted(password: str) -> None:
    """Such a password may contain a name, a common word or a keyboard row."""
    assert code(password) is None


def test_a_passphrase_may_contain_a_name() -> None:
    """Four words of six letters are accepted, with a short name at any position."""
    rng = random.Random(1)  # noqa: S311 - the same passphrases in every run
    syllables = [first + vowel for first in "bdfgklmnprstvz" for vowel in "aeiou"]
    for _ in range(500):
        words = ["".join(rng.choices(syllables, k=3)) for _ in range(4)]
        words.insert(rng.randrange(5), "ada")
        assert code(rng.choice(["", " ", "-"]).join(words)) is None, words


@pytest.mark.parametrize(("length", "expected"), [(4, "built_from_name"), (5, None)])
def test_four_letters_are_padding_and_five_are_not(length: int, expected: str | None) -> None:
    """Up to four letters or eight digits after a name are padding; two digits count as much as one letter."""
    assert code("adalovelace" + "vzkjx"[:length]) == expected
    assert code("adalovelace" + "7392018463"[: 2 * length]) == expected


def test_very_short_words_are_ignored() -> None:
    """A two-letter name or top-level domain occurs in many passwords by chance."""
    assert code("li7dex4q", Context("Li", "li@example.de")) is None


def test_without_a_context_only_common_passwords_are_refused() -> None:
    """An empty name does not match every password."""
    assert code("adalovelace1843", Context()) is None
    assert code("passwordpassword", Context()) == "too_common"


def test_each_common_word_and_row_is_found() -> None:
    """Words are in lower-case ASCII, the form in which passwords are compared; no row occurs twice."""
    assert all(word.isascii() and word.isalnum() and word == word.lower() for word in WORDS)
    assert len(set(ROWS)) == len(ROWS)
    for word in sorted(WORDS):
        assert code(word * 4, Context()) == "too_common", word
    for row in ROWS:
        assert code(row, Context()) == "too_common", row
        assert code(row[::-1], Context()) == "too_common", row
