"""Secret keys in settings. Each has a name, so that keys can be rotated."""

import re
from base64 import b64decode
from dataclasses import dataclass

from pydantic import SecretBytes

from signup.problems import Misconfigured

# A key's name: characters that the PHC string format allows in a value, up to the maximum length of Argon2's keyid.
KEY_ID = r"[A-Za-z0-9+/.-]{1,11}"
# The minimum length of a key in bytes, which is the length of a SHA-256 digest.
SHORTEST_KEY = 32

_KEY = re.compile(rf"({KEY_ID}):([A-Za-z0-9+/]+={{0,2}})")


@dataclass(frozen=True, slots=True)
class NamedKey:
    """A secret key.

    Args:
        key_id: the name, which is public.
        key: the key, at least 32 bytes long.
    """

    key_id: str
    key: SecretBytes


def parse_key(setting: str, text: str) -> NamedKey:
    """Return the key in a text such as `2026a:BASE64`.

    Raises:
        Misconfigured: the key is malformed or too short; the message names the setting without its value.
    """
    match = _KEY.fullmatch(text)
    try:
        key = b64decode(match[2], validate=True) if match else b""
    except ValueError:
        key = b""
    if match is None or len(key) < SHORTEST_KEY:
        form = "KEYID:BASE64, with 1 to 11 of A-Z a-z 0-9 + / . - before the colon and at least 32 bytes after it"
        raise Misconfigured(setting, f"must be {form}")
    return NamedKey(match[1], SecretBytes(key))


def parse_keys(setting: str, text: str) -> tuple[NamedKey, ...]:
    """Return the keys of a comma-separated list, which may be empty.

    Raises:
        Misconfigured: a key is malformed or too short, or two keys have the same name.
    """
    keys = tuple(parse_key(setting, each.strip()) for each in text.split(",")) if text else ()
    if len({key.key_id for key in keys}) < len(keys):
        raise Misconfigured(setting, "has two keys with the same name: a new key needs a new name")
    return keys
