"""The formats of stored passwords: known hashes, possible hashes, and clear text.

Hashing a hash would lose the password. So a value that looks like a hash of an unknown format does not count as clear
text: `make adopt` stops, and the operator states for each such format whether its values are hashes or passwords. The
libraries `passlib` and `libpass` were considered: they test one format at a time, accept any value with a prefix such
as `$2b$`, and do not know the formats of Werkzeug, ASP.NET, Spring, yescrypt or Better Auth. The tests use libpass as a
source of hashes.

A hash without structure, such as the 13 characters of DES crypt, cannot be distinguished from a password, and counts
as clear text.
"""

import re
from collections import Counter
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple


class Action(Enum):
    """The action for stored passwords of a format."""

    HASH = "hashed"
    LEAVE = "kept"
    STOP = "undecided"


class Shape(NamedTuple):
    """A format of stored passwords.

    Attributes:
        name: the name in options and reports.
        action: the default action.
        example: an invented, shortened value for messages.
        pattern: a regular expression for the whole value without surrounding white space; "" for the formats
            that `classify` recognises without a pattern.
    """

    name: str
    action: Action
    example: str
    pattern: str = ""


NULL = Shape("null", Action.LEAVE, "NULL")
EMPTY = Shape("empty", Action.LEAVE, "''")
CLEAR_TEXT = Shape("clear-text", Action.HASH, "a password")

_ALGORITHM = r"(?:pbkdf2|b?scrypt|bcrypt|argon2|ssha|smd5|sha|md5|hmac|pkcs5s2|fshp|crypt)"

# The order matters: the first format that matches is used.
_SHAPES = (
    Shape("bcrypt", Action.LEAVE, "$2b$12$...", r"\$2[abxy]?\$\d\d\$[./A-Za-z0-9]{53}"),
    Shape(
        "argon2",
        Action.LEAVE,
        "$argon2id$v=19$m=19456,t=2,p=1$...",
        r"\$argon2(?:id|i|d)\$(?:v=\d+\$)?m=\d+,t=\d+,p=\d+(?:,\w+=[\w+/.-]+)*\$[\w+/]{11,}\$[\w+/]{16,}",
    ),
    Shape(
        "scrypt",
        Action.LEAVE,
        "$scrypt$ln=14,r=8,p=5$...",
        r"\$scrypt\$ln=\d+,r=\d+,p=\d+(?:,keyid=[\w+/.-]+)?\$[\w+/]{11,}\$[\w+/]{22,}",
    ),
    Shape(
        "crypt",
        Action.LEAVE,
        "$6$salt$...",
        # Formats of crypt(5), phpass, Drupal and passlib.
        r"\$(?:[13567PHSy]|gy|apr1|sha1|md5|bcrypt-sha256|pbkdf2[\w-]*)[$,]\S{20,}",
    ),
    Shape("django", Action.LEAVE, "pbkdf2_sha256$870000$...", rf"{_ALGORITHM}\w*\$\S{{16,}}"),
    Shape("django-unusable", Action.LEAVE, "!...", r"![A-Za-z0-9]{40}"),
    Shape("werkzeug", Action.LEAVE, "scrypt:32768:8:1$salt$...", rf"{_ALGORITHM}\w*(?::[\w-]+)+\$\S{{20,}}"),
    Shape("named", Action.LEAVE, "pbkdf2-sha256$100000$...", rf"(?i:{_ALGORITHM})[\w-]*[$:]\S{{20,}}"),
    Shape(
        "scheme",
        Action.LEAVE,
        "{SSHA}...",
        # Formats of LDAP (RFC 2307), Spring and Atlassian.
        rf"\{{(?:x-)?(?i:{_ALGORITHM}|hex|cta)[\w.@|-]*\}}\S{{16,}}",
    ),
    Shape("database", Action.LEAVE, "SCRAM-SHA-256$...", r"SCRAM-SHA-\d+\$\S{40,}|md5[0-9a-f]{32}|\*[0-9A-F]{40}"),
    Shape("grub", Action.LEAVE, "grub.pbkdf2.sha512...", r"grub\.pbkdf2\.\S{40,}"),
    Shape("asp.net", Action.LEAVE, "AQAAAA...", r"AQAAAA[A-Za-z0-9+/]{40,}={0,2}"),
    Shape(
        "salt-and-hash",
        Action.LEAVE,
        "32 and 128 hexadecimal digits with a colon between",
        r"(?i)(?=.{48})(?=.*[0-9a-f]{32})[0-9a-f]{8,}[:.$|][0-9a-f]{8,}",
    ),
    # SHA-256, SHA-384 and SHA-512. No user chooses a password of this length and alphabet.
    Shape(
        "sha-hex", Action.LEAVE, "64, 96 or 128 hexadecimal digits", r"(?i)(?:[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})"
    ),
    # Possible hashes, which may also be generated passwords.
    Shape("unknown-dollar", Action.STOP, "$x$...", r"\$[\w./=,-]*\$.*"),
    Shape("unknown-braces", Action.STOP, "{x}...", r"\{[^{}\s]+\}.+|\{.*\"[^\"]{16,}\".*\}"),
    Shape(
        "unknown-hex",
        Action.STOP,
        "16 or more hexadecimal digits",
        r"(?i)(?:\\x|0x)?(?:(?=.*\d)(?=.*[a-f])[0-9a-f]{16,}|[0-9a-f]{32,})",
    ),
    Shape(
        "unknown-base64",
        Action.STOP,
        "a digest in base64",
        r"(?=.{24})(?:[\w+/-]{4})+(?:[\w+/-]{2}==|[\w+/-]{3}=)|(?=.*\d)(?=.*[a-z])(?=.*[A-Z])[\w+/.-]{40,}",
    ),
    Shape(
        "unknown-fields",
        Action.STOP,
        "salt:digest",
        # Several fields, one of which is long and hexadecimal or base64.
        r"(?i:(?=.*(?<![0-9a-f])[0-9a-f]{32,}))(?=.*[$:.|,;*#@])\S+"
        r"|(?=.*[$:.|,;*#@])(?=.*\d)(?=.*[a-z])(?=.*[A-Z])(?=.*[\w+/-]{22})\S{32,}",
    ),
)
# The formats that the options `--leave` and `--clear-text` accept.
LEAVABLE = tuple(shape.name for shape in _SHAPES if shape.action is Action.STOP)
HASHABLE = ("sha-hex", *LEAVABLE)

_COMPILED = tuple((re.compile(shape.pattern, re.DOTALL | re.ASCII), shape) for shape in _SHAPES)


def classify(value: str | None) -> Shape:
    """Return the format of a stored password."""
    if value is None:
        return NULL
    if not value:
        return EMPTY
    # An imported file or a column of type CHAR can leave white space after a hash.
    stripped = value.strip()
    return next((shape for pattern, shape in _COMPILED if pattern.fullmatch(stripped)), CLEAR_TEXT)


@dataclass(frozen=True)
class Decisions:
    """The operator's decisions about formats.

    Args:
        leave: names of formats whose values stay unchanged.
        clear_text: names of formats whose values are clear-text passwords.
    """

    leave: frozenset[str] = frozenset()
    clear_text: frozenset[str] = frozenset()

    def action(self, shape: Shape) -> Action:
        """Return the action for stored passwords of this format."""
        if shape.name in self.clear_text:
            return Action.HASH
        return Action.LEAVE if shape.name in self.leave else shape.action


def undecided_message(shapes: list[Shape], counts: Counter[Shape]) -> str:
    """Return the message that asks the operator for a decision about the formats."""
    listed = ", ".join(f"{shape.name} ({counts[shape]}: {shape.example})" for shape in shapes)
    options = " ".join(f"--leave {shape.name}" for shape in shapes)
    return (
        f"stored passwords look like hashes of an unknown kind: {listed}. Nothing was changed, because hashing a hash "
        f"loses the password. Give `{options}` to keep them, or --{CLEAR_TEXT.name} FORMAT if they are passwords"
    )
