"""Read `.dev.vars`, and write it if it does not exist. An existing file is never changed."""

import re
import secrets
from base64 import b64encode
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

# wrangler reads the file with dotenv. This is dotenv's regular expression, with JavaScript's white space and line
# terminators. A contract test compares the results of `parse` with wrangler's.
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
# Written once by `make dev`, for its own database. All settings: .dev.vars.example
DATABASE_URL="{url}"
"""
# Settings for e-mail verification. `wrangler dev` captures the e-mails instead of sending them.
VERIFICATION = """\
EMAIL_VERIFICATION="on"
VERIFICATION_SECRET="dev:{key}"
MAIL_URL="cloudflare:"
MAIL_FROM="signup <signup@example.com>"
PUBLIC_URL="http://localhost:{worker_port}"
"""


class DevVarsError(Exception):
    """The file `.dev.vars` cannot be read, or has no DATABASE_URL."""


class Target(NamedTuple):
    """The target of DATABASE_URL: the stack's own sqlproxy at `port`, or another data proxy if `port` is None."""

    url: str
    token: str
    port: int | None


def local_url(token: str, port: int) -> str:
    """Return the URL of a sqlproxy on this machine."""
    return f"sql+http://{token}@127.0.0.1:{port}/"


def parse(text: str) -> dict[str, str]:
    """Return the variables of a file as wrangler reads them. If a name occurs twice, its last value wins."""
    variables = {}
    for name, raw in _LINE.findall(text.replace("\r\n", "\n").replace("\r", "\n")):
        value = raw.strip(_WHITE_SPACE)
        is_double_quoted = value.startswith('"')
        value = _QUOTED.sub(r"\2", value)
        if is_double_quoted:
            value = value.replace("\\n", "\n").replace("\\r", "\r")
        variables[name] = value
    return variables


def as_env_file(text: str) -> str:
    """Return the text of a file for `wrangler dev --env-file` with the same variables as `.dev.vars`.

    Each `$` is escaped, because wrangler expands `$NAME` in an `--env-file`.
    """
    return text.replace("$", "\\$")


def target(dev_vars: Path, token_file: Path, free_port: int, worker_port: int = 0) -> Target:
    """Return the target in `.dev.vars`. If the file does not exist, first write it for a sqlproxy at `free_port`.

    A new file turns e-mail verification on for a Worker at `worker_port`, unless that is 0.

    The stack recognises its own URL by the random token in it, of which `token_file` has a copy.

    Raises:
        DevVarsError: the file has no DATABASE_URL, or is not a readable text file.
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
        # A UnicodeDecodeError is not chained, because it contains the bytes of the file, and thus secrets.
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
        return None  # the Worker reports the invalid URL


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(text)
