"""Names in mails: whoever signs up writes them, and may do it to send a message or a link to another person."""

import re
import unicodedata

from signup.fields.confusables import JOINERS

# Code points. A real name is recognised by fewer; a message needs more.
LONGEST_SHOWN = 50
_BETWEEN = frozenset(" '\u2019-\u2010\u00b7")
# A full stop after an initial. Elsewhere mail programs read it as that of a host name, and make a link of it.
_STOP = re.compile(r"\.(?= |$)")


def shown_name(name: str) -> str:
    """Return a name as a mail shows it: letters, marks, and what stands between them in names.

    Everything of which a mail program could make a link is replaced by a space: full stops inside a word, slashes,
    colons, at signs, and digits, of which telephone numbers consist.
    """
    stops = {match.start() for match in _STOP.finditer(name)}
    kept = "".join(
        character if character in _BETWEEN or character in JOINERS or place in stops or _is_letter(character) else " "
        for place, character in enumerate(name)
    )
    line = " ".join(kept.split())
    return line if len(line) <= LONGEST_SHOWN else f"{line[: LONGEST_SHOWN - 1].rstrip()}…"


def _is_letter(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"
