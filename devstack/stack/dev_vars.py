"""`.dev.vars`: written when there is none, never touched when there is one, and honoured."""

from __future__ import annotations

import re
import secrets
from base64 import b64encode
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path

# wrangler reads the file with dotenv. These are its expression and its steps, with JavaScript's notions of white space
# and of the ends of a line; a contract test compares the two.
_S = "[\\t\\n\\v\\f\\r \\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000\\ufeff]"
_WHITE_SPACE = (
    "\t\n\v\f\r \u00a0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_BEGIN, _END = r"(?<![^\n\r\u2028\u2029])", r"(?![^\n\r\u2028\u2029])"
_LINE = re.compile(
    rf"""{_BEGIN}{_S}*(?:export{_S}+)?([\w.-]+)(?:{_S}*={_S}*?|:{_S}+?)"""
    rf"""({_S}*'(?:\\'|[^'])*'|{_S}*"(?:\\"|[^"])*"|{_S}*`(?:\\`|[^`])*`|[^#\r\n]+)?"""
    rf"""{_S}*(?:\#[^\n\r\u2028\u2029]*)?{_END}""",
    re.ASCII,
)
_QUOTED = re.compile(rf"""{_BEGIN}(['"`])([\s\S]*)\1{_END}""")

TEMPLATE = """\
# Written by `make dev` for its own database, and never changed by it. What else can be set: .dev.vars.example
DATABASE_URL="{url}"
"""
# Verification, with the binding whose mails `wrangler dev` captures.
VERIFICATION = """\
EMAIL_VERIFICATION="on"
VERIFICATION_SECRET="dev:{key}"
MAIL_URL="cloudflare:"
MAIL_FROM="signup <signup@example.com>"
PUBLIC_URL="http://localhost:{worker_port}"
"""


class DevVarsError(Exception):
    """There is a `.dev.vars`, and it cannot be read, or does not say which database."""


class Target(NamedTuple):
    """What DATABASE_URL leads to: the stack's own sqlproxy at `port`, or something else (`port` is None)."""

    url: str
    token: str
    port: int | None


def local_url(token: str, port: int) -> str:
    """Return the URL of a sqlproxy on this machine."""
    return f"sql+http://{token}@127.0.0.1:{port}/"


def parse(text: str) -> dict[str, str]:
    """Return the variables of a file as wrangler reads them: of two with one name, the last."""
    found = {}
    for name, written in _LINE.findall(text.replace("\r\n", "\n").replace("\r", "\n")):
        value = written.strip(_WHITE_SPACE)
        is_double_quoted = value.startswith('"')
        value = _QUOTED.sub(r"\2", value)
        if is_double_quoted:
            value = value.replace("\\n", "\n").replace("\\r", "\r")
        found[name] = value
    return found


def as_env_file(text: str) -> str:
    """Return the text of a file whose variables `wrangler dev --env-file` reads as it reads those of `.dev.vars`.

    Of an `--env-file` it takes `$NAME` for another variable.
    """
    return text.replace("$", "\\$")


def target(dev_vars: Path, token_file: Path, free_port: int, worker_port: int = 0) -> Target:
    """Read the file, writing it for `free_port` with a new random token if there is none.

    A file that is written turns verification on for a Worker at `worker_port`, unless that is 0.

    The stack knows its own URL again by the token, which it keeps a copy of in `token_file`.

    Raises:
        DevVarsError: the file has no DATABASE_URL, or is no text file of this user's.
    """
    if not dev_vars.exists():
        token = token_file.read_text() if token_file.exists() else secrets.token_urlsafe(32)
        _write_private(token_file, token)
        text = TEMPLATE.format(url=local_url(token, free_port))
        if worker_port:
            key = b64encode(secrets.token_bytes(32)).decode()
            text += VERIFICATION.format(key=key, worker_port=worker_port)
        _write_private(dev_vars, text)
    try:
        text = dev_vars.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        # Without what the exception says of bytes: they are secrets.
        raise DevVarsError(f"{dev_vars.name} cannot be read ({getattr(exc, 'strerror', '') or 'not UTF-8'})") from None
    url = parse(text).get("DATABASE_URL", "")
    if not url:
        raise DevVarsError(f"{dev_vars.name} has no DATABASE_URL: add it as in .dev.vars.example, or delete the file")
    token = token_file.read_text() if token_file.exists() else ""
    port = _port(url)
    return Target(url, token, port if token and url == local_url(token, port or 0) else None)


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return None  # no URL: the Worker says so


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
