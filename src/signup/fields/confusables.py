"""Invisible characters, and letters that look like letters of another script."""

import re
import unicodedata
from functools import cache

from idna import valid_contextj

_ZERO_WIDTH_NON_JOINER = "\u200c"
_ZERO_WIDTH_JOINER = "\u200d"
_ZERO_WIDTH_SPACE = "\u200b"
JOINERS = frozenset({_ZERO_WIDTH_NON_JOINER, _ZERO_WIDTH_JOINER})
# Trimmed from both ends: spaces (category Zs), and the invisible format controls of the first plane (category Cf in
# Default_Ignorable_Code_Point), except the zero-width joiner, which changes the shape of the letter before it.
_PADDING = (
    " \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
    "\u00ad\u061c\u180e\u200b\u200c\u200e\u200f\u202a\u202b\u202c\u202d\u202e"
    "\u2060\u2061\u2062\u2063\u2064\u2066\u2067\u2068\u2069\u206a\u206b\u206c\u206d\u206e\u206f\ufeff"
)

# Letters and marks with Default_Ignorable_Code_Point: fillers, inherent vowels, the grapheme joiner, Mongolian and
# variation selectors. The set also has the Braille blank, which Unicode classifies as a symbol.
_MONGOLIAN_SELECTORS = frozenset("\u180b\u180c\u180d\u180e\u180f")
_VARIATION_SELECTORS = frozenset(map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0))))
_EMOJI_SELECTORS = frozenset("\ufe0e\ufe0f")
_BLANK = _MONGOLIAN_SELECTORS | _VARIATION_SELECTORS | set("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
# Categories of format controls (including bidi), surrogates, private use, unassigned code points, and separators of
# lines and paragraphs.
_UNSEEN = frozenset({"Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Canonical combining class of the virama, the sign of Indic scripts that suppresses a consonant's vowel.
_VIRAMA = 9
# An Arabic letter that joins on both sides.
_BEH = "\u0628"
# Scripts without spaces between words, whose lines break at a zero-width space (UAX 14, class SA).
_WITHOUT_SPACES = frozenset({"AHOM", "KHMER", "LAO", "MYANMAR", "NEW", "TAI", "THAI"})
# Scripts with variants in StandardizedVariants.txt or the Ideographic Variation Database.
_WITH_VARIANTS = frozenset({"CJK", "MYANMAR", "PHAGS"})
# Flags of regions (UTS 51), and emoji whose category is not a symbol.
_REGION_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{3,6}\U000e007f")
_PUNCTUATION_EMOJI = frozenset("\u203c\u2049\u2139\u3030\u303d")
_KEYCAP = "\u20e3"

# Scripts that may be mixed: Japanese, Chinese with Bopomofo, Korean, each with Latin (UTS 39, "highly restrictive").
_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)


def trim(text: str) -> str:
    """Return a text without spaces and invisible format controls at its ends. Control characters are not removed."""
    return text.strip(_PADDING)


def is_invisible(character: str) -> bool:
    """Return whether a character is invisible or has no defined appearance.

    Such characters are blanks, format controls, separators of lines and paragraphs, surrogates, and code points that
    are unassigned or for private use.
    """
    return character in _BLANK or unicodedata.category(character) in _UNSEEN


def has_invisible(text: str) -> bool:
    """Return whether a text has an invisible character. This includes controls of the writing direction.

    Characters that the script of their word needs are allowed: joiner and non-joiner in a word with joining letters or
    of a script with a virama, the zero-width space in scripts without spaces, Mongolian selectors in Mongolian, and
    variation selectors after a character of a script with variants. The parts of an emoji (UTS 51) are allowed too.
    """
    if text.isascii():
        return False
    words = _REGION_FLAG.sub("", text).split(" ")
    return any(
        is_invisible(character) and not _is_needed(character, index, word)
        for word in words
        for index, character in enumerate(word)
    )


def _is_needed(character: str, index: int, word: str) -> bool:
    """Return whether the script of a word, or an emoji, needs the invisible character at this index."""
    before, after = word[index - 1] if index else "", word[index + 1 : index + 2]
    if character in _EMOJI_SELECTORS:
        return _is_symbol(before) or before in _PUNCTUATION_EMOJI or after == _KEYCAP
    if character in _VARIATION_SELECTORS:
        return bool(before) and _script(before) in _WITH_VARIANTS
    if character == _ZERO_WIDTH_JOINER and _is_symbol(after) and (_is_symbol(before) or before in _EMOJI_SELECTORS):
        return True
    letters = list(filter(str.isalpha, word))
    scripts = set(map(_script, letters))
    if character in JOINERS:
        return not scripts.isdisjoint(_scripts_with_virama()) or any(map(_joins, letters))
    if character == _ZERO_WIDTH_SPACE:
        return not scripts.isdisjoint(_WITHOUT_SPACES)
    return character in _MONGOLIAN_SELECTORS and "MONGOLIAN" in scripts


def _is_symbol(character: str) -> bool:
    return bool(character) and unicodedata.category(character).startswith("S")


def _joins(letter: str) -> bool:
    """Return whether a letter joins its neighbours, as Arabic letters do, according to idna's table of Joining_Type."""
    pairs = (f"{_BEH}{_ZERO_WIDTH_NON_JOINER}{letter}", f"{letter}{_ZERO_WIDTH_NON_JOINER}{_BEH}")
    return any(valid_contextj(pair, 1) for pair in pairs)


@cache
def _scripts_with_virama() -> frozenset[str]:
    """Return the scripts that have a virama."""
    signs = map(chr, range(0x900, 0x12000))
    return frozenset(_script(sign) for sign in signs if unicodedata.combining(sign) == _VIRAMA)


def mixes_scripts(part: str) -> bool:
    """Return whether a part of an address mixes scripts that are not written together, as homographs do.

    A part in a single script is accepted, whatever the script.
    """
    if part.isascii():
        return False
    scripts = {_script(character) for character in part if unicodedata.category(character).startswith("L")} - {""}
    return len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER)


def _script(letter: str) -> str:
    """Return the script: the first word of the letter's Unicode name. Return "" for letters used in several scripts."""
    word = unicodedata.name(letter, "").replace("-", " ").partition(" ")[0]
    # The ideographic iteration mark, and modifier letters, which occur in any script.
    return {"IDEOGRAPHIC": "CJK", "MODIFIER": "", "MIDDLE": "", "": "UNKNOWN"}.get(word, word)
