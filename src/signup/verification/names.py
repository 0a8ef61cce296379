"""Names in e-mails. They are untrusted: a sign-up could use the name to send a message or a link to another person."""

import re
import unicodedata

from signup.fields.confusables import JOINERS

# The maximum number of code points: enough for a name, too few for a message.
LONGEST_SHOWN = 50
_PUNCTUATION = frozenset(" '\u2019-\u2010\u00b7")
# A full stop at the end of a word. Mail programs may take a full stop inside a word for part of a host name, and make a
# link.
_STOP = re.compile(r"\.(?= |$)")


def shown_name(name: str) -> str:
    """Return a name as shown in an e-mail: letters, marks, and the punctuation of names.

    All other characters are replaced by spaces. A mail program could turn some of them into a link: full stops inside a
    word, slashes, colons, at signs, and digits (telephone numbers). A name of more than `LONGEST_SHOWN` code points is
    cut to this length.
    """
    stops = {match.start() for match in _STOP.finditer(name)}
    replaced = "".join(
        character
        if character in _PUNCTUATION or character in JOINERS or index in stops or _is_letter_or_mark(character)
        else " "
        for index, character in enumerate(name)
    )
    line = " ".join(replaced.split())
    return line if len(line) <= LONGEST_SHOWN else f"{line[: LONGEST_SHOWN - 1].rstrip()}…"


def _is_letter_or_mark(character: str) -> bool:
    return unicodedata.category(character)[0] in "LM"
