"""The password policy: refuses easily guessed passwords of any length.

NIST SP 800-63B-4, section 3.1.1.2, requires a blocklist of commonly used, expected or compromised passwords, with
"context-specific words, such as the name of the service, the username, and derivatives thereof". It forbids
composition rules, so there are none.

Words of the context, common words and rows of keys are removed from a password, and repetitions are collapsed:

    password               remainder            result
    Ada-Lovelace-1843!!    "1843"               built_from_name
    ada likes strong tea   "likesstrongtea"     accepted

A password is accepted if the weight of its remainder, counted in letters, is above `PADDING`. So a long passphrase may
contain a name if it has enough other letters. A password without words of the context is also accepted if its remainder
is longer than half of the password.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from signup.fields.common_passwords import ROWS, WORDS

# The highest weight of a remainder that is not enough by itself: four letters, eight digits (a date), or a mixture.
PADDING = 4
# The number of different symbols without weight, such as separators and an appended exclamation mark.
FREE_SYMBOLS = 3
# The minimum length of a word, in bytes of UTF-8: two Cyrillic letters or one ideograph are a word, "de" is not.
SHORTEST_WORD = 3
# The minimum length of a run of adjacent keys, in characters.
SHORTEST_RUN = 4

# Replaces removed text, so that the parts around it do not form a word.
_GAP = "\0"


_REPEATED = re.compile(r"(.{1,16}?)\1+", re.DOTALL)
_LEET = {"0": "o", "3": "e", "4": "a", "5": "s", "7": "t", "8": "b", "@": "a", "$": "s"}
_LEET_SPEAK = re.compile(r"[\d@$!]")
_LEET_I, _LEET_L = (str.maketrans({**_LEET, "1": letter, "!": letter}) for letter in "il")
_ASCII_SYMBOLS = "".join(character for character in map(chr, range(128)) if not character.isalnum())
_NO_SYMBOLS = str.maketrans("", "", _ASCII_SYMBOLS.replace(_GAP, ""))
_WORD = re.compile(r"[^\W\d_]+")
_YEAR = re.compile(r"\d{3,}")
_LAST_SYMBOLS = re.compile(r"[\W_]+$")
_SYMBOLS = re.compile(rf"[^\w{_GAP}]|_")
_ROWS = (*ROWS, *(row[::-1] for row in ROWS))
_RUNS = frozenset(row[start : start + SHORTEST_RUN] for row in _ROWS for start in range(len(row) - SHORTEST_RUN + 1))


# The error code of a refused password.
Weakness = Literal["built_from_name", "built_from_email", "built_from_service_name", "too_common"]
NAME: Weakness = "built_from_name"
EMAIL: Weakness = "built_from_email"
SERVICE: Weakness = "built_from_service_name"
COMMON: Weakness = "too_common"


@dataclass(slots=True)
class Context:
    """Words that an attacker may know; "" if unknown.

    Args:
        name: the name of the user.
        email: the address of the user in canonical form.
        service_name: the name of the service.
    """

    name: str = ""
    email: str = ""
    service_name: str = ""


def find_weakness(password: str, context: Context) -> Weakness | None:
    """Return the error code of a password, or None if it is accepted.

    The password is compared in lower case and NFKC, without accents and symbols. It is also compared with letters in
    place of the digits and symbols that may stand for them (such as 3 for e). The password itself is neither changed
    nor stored.
    """
    text = _skeleton(password)
    # Remove rows of keys first: with digits read as letters, 12345678 would not be a row.
    without_rows, _ = _remove_words(text, {})
    symbols = len(set(_SYMBOLS.findall(without_rows)))
    context_words = [(_forms(word), code) for word, code in _words(context).items()]
    judged_readings: list[tuple[str, dict[str, Weakness | None]]] = []
    for index, reading in enumerate(_forms(without_rows)):
        words: dict[str, Weakness | None] = {word: None for word in WORDS if word in reading}
        for forms, code in context_words:
            form = forms[index]
            if form in reading and len(form.encode()) >= SHORTEST_WORD:
                words[form] = code
        # Skip a reading that equals an earlier one.
        if (reading, words) in judged_readings:
            continue
        judged_readings.append((reading, words))
        remainder, removed = _remove_words(reading, words)
        if (refused := _judge_remainder(max(len(text), len(password)), remainder, symbols, removed)) is not None:
            return refused
    return None


def _forms(text: str) -> tuple[str, ...]:
    """Return the text in each of `_READINGS`. If no digit or symbol may stand for a letter, the results are equal."""
    if _LEET_SPEAK.search(text):
        return tuple(read(text) for read in _READINGS)
    return (_stripped(text),) * len(_READINGS)


def _judge_remainder(length: int, remainder: str, symbols: int, removed: dict[str, Weakness | None]) -> Weakness | None:
    # Collapsing repetitions does not change the number of different letters.
    if len(set(filter(str.isalpha, remainder))) > PADDING:
        return None
    collapsed = _REPEATED.sub(r"\1", remainder)
    letters = sum(map(str.isalpha, collapsed))
    digits = sum(map(str.isdigit, collapsed))
    common = sum(code is None for code in removed.values())
    weight = letters + (digits + 1) // 2 + common + max(0, symbols - FREE_SYMBOLS)
    if weight > PADDING:
        return None
    context = {word: code for word, code in removed.items() if code is not None}
    if context:
        return context[max(context, key=len)]
    return COMMON if 2 * (letters + digits) <= length else None


def _remove_words(text: str, words: dict[str, Weakness | None]) -> tuple[str, dict[str, Weakness | None]]:
    """Return the text with a gap for each of these words and for each run of adjacent keys, and the removed words."""
    if not words and _RUNS.isdisjoint(text[start : start + SHORTEST_RUN] for start in range(len(text))):
        return text, {}
    kept: list[str] = []
    removed: dict[str, Weakness | None] = {}
    position = 0
    while position < len(text):
        word = max((word for word in words if text.startswith(word, position)), key=len, default="")
        run_length = _run_length(text, position)
        if word and len(word) >= run_length:
            removed[word] = words[word]
        length = max(len(word), run_length)
        kept.append(_GAP if length else text[position])
        position += length or 1
    return "".join(kept), removed


def _run_length(text: str, start: int) -> int:
    """Return the length of the run of adjacent keys that starts here, or 0 if it is too short."""
    end = start + SHORTEST_RUN
    if text[start:end] not in _RUNS:
        return 0
    rows = [row for row in _ROWS if text[start:end] in row]
    while end < len(text) and (rows := [row for row in rows if text[start : end + 1] in row]):
        end += 1
    return end - start


def _words(context: Context) -> dict[str, Weakness]:
    """Return the words of the context in both directions, each with its error code.

    Trailing symbols are removed from a word. If a word has several codes, the most specific one wins: the name's code
    overrides the address's, which overrides the service's.
    """
    local, _, domain = context.email.partition("@")
    labels = domain.split(".")
    # The parts of the address are words too. Punycode labels are decoded first.
    punycode_labels = [label for label in labels if label.startswith("xn--")]
    words: dict[str, Weakness] = {}
    for code, text, parts in (
        (SERVICE, context.service_name, ()),
        (EMAIL, context.email, (local, domain, *(label for label in labels if label not in punycode_labels))),
        *((EMAIL, _unicode(label), ()) for label in punycode_labels),
        (NAME, context.name, ()),
    ):
        folded = _skeleton(text)
        for word in (*_WORD.findall(folded), folded, *map(_skeleton, parts)):
            for spelling in (word, word[::-1]):
                words[_trimmed(spelling)] = code
    return words


def _unicode(label: str) -> str:
    return label.removeprefix("xn--").encode().decode("punycode")


def _skeleton(text: str) -> str:
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(c for c in unicodedata.normalize("NFKD", folded) if not unicodedata.combining(c))


def _trimmed(text: str) -> str:
    return text.rstrip(_ASCII_SYMBOLS) if text.isascii() else _LAST_SYMBOLS.sub("", text)


def _stripped(text: str) -> str:
    return text.translate(_NO_SYMBOLS) if text.isascii() else _SYMBOLS.sub("", text)


def _leet(table: dict[int, str], *, years: bool) -> Callable[[str], str]:
    """Return a function that reads digits and symbols as letters. Without `years` it keeps runs of 3 or more digits."""

    def read(text: str) -> str:
        # A trailing ! is punctuation, not a letter.
        text = _trimmed(text)
        if years or not _YEAR.search(text):
            return _stripped(text.translate(table))
        kept = zip([*_YEAR.findall(text), ""], _YEAR.split(text), strict=True)
        return _stripped("".join(part.translate(table) + digits for digits, part in kept))

    return read


_READINGS: tuple[Callable[[str], str], ...] = (
    _stripped,
    *(_leet(table, years=years) for table in (_LEET_I, _LEET_L) for years in (False, True)),
)
