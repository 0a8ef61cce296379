"""Users as records in JSON, without secrets: what `find` shows and `export` writes.

Columns of other applications are included, because a user who asks for their data means all of it. Columns with secrets
are left out by their names, and values that are hashes are replaced (`devstack.migrate.stored_passwords` knows them).
"""

from __future__ import annotations

import json
import re
import unicodedata

from devstack.migrate.stored_passwords import Action, classify

REMOVED = '"[removed]"'
# No hash is shorter.
_SHORTEST_HASH = 20

# Words of a column's name, such as `passwordHash`, `reset_token` and `idempotency_key`.
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")
_SECRET_WORDS = frozenset({
    *("password", "passwords", "passwd", "passphrase", "passcode", "pass", "pwd", "pw", "hash", "hashes", "hashed"),
    *("salt", "pepper", "secret", "secrets", "token", "tokens", "key", "keys", "otp", "totp", "mfa", "pin"),
})  # fmt: skip
_SECRET_PART = re.compile(r"passw|secret|token|hash$", re.IGNORECASE)
# A string of JSON that may be a hash: without spaces, which would be clear text.
_STRING = re.compile(rf'"(?:[^"\\ ]|\\.){{{_SHORTEST_HASH},}}"')


def is_secret(column: str) -> bool:
    """Return whether a column holds a secret, by its name."""
    words = {word.lower() for word in _WORD.findall(column)}
    return bool(words & _SECRET_WORDS) or _SECRET_PART.search(column) is not None


def clean(record: str) -> str:
    """Return a record without hashes, and with characters that a terminal obeys or hides in JSON's escapes.

    Args:
        record: a JSON object as Postgres writes it, in one line.
    """
    return "".join(map(_escape, _STRING.sub(_without_hash, record)))


def _without_hash(string: re.Match[str]) -> str:
    shape = classify(json.loads(string[0]))
    return REMOVED if shape.action is Action.LEAVE or shape.name == "unknown-dollar" else string[0]


def _escape(character: str) -> str:
    # Outside of ASCII there are only characters of strings, and Postgres has escaped the controls of ASCII.
    if character.isascii() and character != "\x7f":
        return character
    if unicodedata.category(character)[0] not in "CZ":
        return character
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
