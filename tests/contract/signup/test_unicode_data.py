"""The tables of invisible characters, compared with V8's Unicode data."""

import json
import subprocess
import unicodedata
from functools import cache

from devstack.setup.bootstrap import BIN, ROOT
from signup.fields.confusables import is_invisible, trim

SCRIPT = """\
const codes = Array.from({ length: 0x110000 }, (_, code) => code);
const ignorable = codes.filter((code) => /\\p{Default_Ignorable_Code_Point}/u.test(String.fromCodePoint(code)));
console.log(JSON.stringify(ignorable));
"""


@cache
def default_ignorable() -> set[str]:
    """Return the characters with the Unicode property Default_Ignorable_Code_Point."""
    done = subprocess.run([BIN / "node", "--eval", SCRIPT], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(map(chr, json.loads(done.stdout)))


def test_default_ignorable_characters_are_invisible() -> None:
    """Of the other letters, marks, numbers, punctuation and symbols, only the blank Braille pattern is invisible."""
    ignorable = default_ignorable()
    assert len(ignorable) > 4000
    invisible = {chr(code) for code in range(0x110000) if is_invisible(chr(code))}
    assert ignorable <= invisible
    graphic = {each for each in invisible - ignorable if unicodedata.category(each)[0] in "LMNPS"}
    assert graphic == {"\u2800"}


def test_spaces_and_invisible_format_characters_are_trimmed() -> None:
    """The test covers the Basic Multilingual Plane; the zero width joiner is kept."""
    plane = set(map(chr, range(0x10000)))
    formats = {each for each in plane & default_ignorable() if unicodedata.category(each) == "Cf"}
    spaces = {each for each in plane if unicodedata.category(each) == "Zs"}
    assert {each for each in plane if not trim(each)} == spaces | formats - {"\u200d"}
