"""Characters that cannot be seen, and letters of one script that pass for those of another."""

import unicodedata

_ZERO_WIDTH_NON_JOINER = "\u200c"
_ZERO_WIDTH_JOINER = "\u200d"
# Canonical combining class of the sign that takes a consonant's vowel away, in the scripts of India.
_VIRAMA = 9

# What is never seen although Unicode counts it among letters, marks and symbols (Default_Ignorable_Code_Point, and the
# blank of Braille): fillers, inherent vowels, the grapheme joiner, variation selectors.
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_VARIATION_SELECTORS = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
# Format controls, bidi's among them; surrogates; private use; not assigned; line and paragraph separators.
_UNSEEN = frozenset({"Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# Scripts that are written together: Japanese, Chinese with Bopomofo, Korean, each with Latin (UTS 39, "highly
# restrictive").
_TOGETHER = (
    frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA"}),
    frozenset({"LATIN", "CJK", "BOPOMOFO"}),
    frozenset({"LATIN", "CJK", "HANGUL"}),
)


def has_invisible(text: str) -> bool:
    """Say whether there is a character that cannot be seen, or that turns others around.

    Zero-width joiner and non-joiner are right where a script needs them: after a virama, and the non-joiner between
    Arabic letters (RFC 5892, appendix A; the second rule in short, since Python knows no joining types).
    """
    return not text.isascii() and any(_unseen(text, at) for at in range(len(text)))


def _unseen(text: str, at: int) -> bool:
    character = text[at]
    if character in (_ZERO_WIDTH_JOINER, _ZERO_WIDTH_NON_JOINER):
        before, after = text[at - 1 : at], text[at + 1 : at + 2]
        arabic = bool(before and after) and {unicodedata.bidirectional(each) for each in before + after} == {"AL"}
        virama = bool(before) and unicodedata.combining(before) == _VIRAMA
        return not virama and not (arabic and character == _ZERO_WIDTH_NON_JOINER)
    if character in _BLANK or any(ord(character) in each for each in _VARIATION_SELECTORS):
        return True
    return unicodedata.category(character) in _UNSEEN


def mixes_scripts(label: str) -> bool:
    """Say whether a label of a domain has letters of scripts that nobody writes together, as homographs do.

    One that is of another script throughout is somebody's language, and is not refused.
    """
    if label.isascii():
        return False
    scripts = {_script(character) for character in label if unicodedata.category(character).startswith("L")} - {""}
    return len(scripts) > 1 and not any(scripts <= together for together in _TOGETHER)


def _script(letter: str) -> str:
    """Return the script, which is the first word of a letter's name in Unicode; "" for those of many scripts."""
    word = unicodedata.name(letter, "").replace("-", " ").partition(" ")[0]
    # The sign that repeats the character before it, and letters that modify those of any script.
    return {"IDEOGRAPHIC": "CJK", "MODIFIER": "", "MIDDLE": "", "": "UNKNOWN"}.get(word, word)
