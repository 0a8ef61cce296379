"""The tables of what cannot be seen, held against the Unicode data that V8 has."""

import json
import subprocess
import unicodedata
from functools import cache

from devstack.setup.bootstrap import BIN, ROOT
from signup.fields.confusables import is_invisible, trimmed

LISTED = """\
const codes = Array.from({ length: 0x110000 }, (_, code) => code);
const found = codes.filter((code) => /\\p{Default_Ignorable_Code_Point}/u.test(String.fromCodePoint(code)));
console.log(JSON.stringify(found));
"""


@cache
def default_ignorable() -> set[str]:
    """Return the characters that Unicode calls default ignorable."""
    done = subprocess.run([BIN / "node", "--eval", LISTED], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(map(chr, json.loads(done.stdout)))


def test_what_unicode_ignores_is_invisible() -> None:
    """All of Default_Ignorable_Code_Point; beyond it no letter, mark, number or punctuation, and one symbol."""
    ignorable = default_ignorable()
    assert len(ignorable) > 4000
    invisible = {chr(code) for code in range(0x110000) if is_invisible(chr(code))}
    assert ignorable <= invisible
    seen_by_unicode = {each for each in invisible - ignorable if unicodedata.category(each)[0] in "LMNPS"}
    assert seen_by_unicode == {"\u2800"}


def test_what_is_trimmed_are_spaces_and_invisible_format_controls() -> None:
    """Of the first plane, without the joiner."""
    plane = set(map(chr, range(0x10000)))
    formats = {each for each in plane & default_ignorable() if unicodedata.category(each) == "Cf"}
    spaces = {each for each in plane if unicodedata.category(each) == "Zs"}
    assert {each for each in plane if not trimmed(each)} == spaces | formats - {"\u200d"}
