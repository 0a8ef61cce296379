"""Users as JSON records without secrets, for `make users`.

Columns of other applications are included, because a request for personal data covers them too. Secret columns are
recognised by their names and left out. In other columns, strings in a known format of hashes, and those that start like
one with `$x$`, are replaced (`devstack.migrate.stored_passwords`).
"""

import json
import re
import unicodedata

from devstack.migrate.stored_passwords import Action, classify

REMOVED = '"[removed]"'
# The length of the shortest hash that is replaced, in characters.
_SHORTEST_HASH = 20

# Words in the names of secret columns, such as `passwordHash`, `reset_token` and `idempotency_key`.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_SECRET_WORDS = frozenset({
    *("password", "passwords", "passwd", "passphrase", "passcode", "pass", "pwd", "pw", "hash", "hashes", "hashed"),
    *("salt", "pepper", "secret", "secrets", "token", "tokens", "key", "keys", "otp", "totp", "mfa", "pin"),
})  # fmt: skip
_SECRET_PART = re.compile(r"passw|secret|token|hash$", re.IGNORECASE)
# A JSON string that may be a hash. Strings with spaces are not hashes.
_STRING = re.compile(rf'"(?:[^"\\ ]|\\.){{{_SHORTEST_HASH},}}"')


def is_secret(column: str) -> bool:
    """Return whether the name of a column indicates that its values are secret."""
    words = {word.lower() for word in _WORD.findall(column)}
    return bool(words & _SECRET_WORDS) or _SECRET_PART.search(column) is not None


def clean(record: str) -> str:
    """Return a one-line JSON object with likely hashes replaced, and with control and invisible characters escaped."""
    return "".join(map(_escape, _STRING.sub(_without_hash, record)))


def _without_hash(string: re.Match[str]) -> str:
    shape = classify(json.loads(string[0]))
    return REMOVED if shape.action is Action.LEAVE or shape.name == "unknown-dollar" else string[0]


def _escape(character: str) -> str:
    # Non-ASCII characters only occur in strings, and Postgres has already escaped ASCII control characters
    # except DEL.
    if character.isascii() and character != "\x7f":
        return character
    if unicodedata.category(character)[0] not in "CZ":
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[start : start + 2].hex()}" for start in range(0, len(units), 2))
