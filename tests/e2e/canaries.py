"""Search the output of a stack, and the responses to its client, for personal data and secrets.

`tests.e2e.conftest.run_checked` searches every stack that it runs. A stack receives names, addresses, passwords and
idempotency keys, and has credentials of its own.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from devstack.stack.stack import Stack

# Patterns of the data that the end-to-end tests send. Addresses, and the idempotency keys derived from them, contain
# example.com; the example address in an error message is excluded. Every stored hash begins with one of the prefixes.
PERSONAL = {
    "address": r"(?<! ada)@example\.com",
    "name": r"\bAda\b",
    "canary": "canary(name|address|password)",
}
SECRET = {"password": "correct horse battery staple|canarypassword", "hash": r"\$argon2id\$v|\$scrypt\$"}
# The token of a signed link begins with the base64url of `[1,"`.
TOKEN = {"verification token": r"\bWzEsI[A-Za-z0-9_-]{20}"}
# `wrangler dev` prints the head of each e-mail that it captures.
CAPTURED = re.compile(r"^wrangler \| (?:From|To|Subject|Text|HTML): ")
# The attributes of an `<input>` up to and including its value.
FIELD_VALUE = re.compile(r'(?<=<input )[^<>]* value="[^"]*"')


class LeakError(AssertionError):
    """Personal data or a secret leaked; the message names its kind and place, and quotes the line."""


def search(lines: Iterable[str], where: str, patterns: dict[str, str]) -> None:
    """Search lines of text for patterns.

    Raises:
        LeakError: a line matches a pattern.
    """
    for line in lines:
        for kind, pattern in patterns.items():
            if re.search(pattern, line):
                raise LeakError(f"{kind} in {where}: {line}")


def credentials(stack: Stack) -> dict[str, str]:
    """Return patterns for the stack's own secrets, such as the proxy's token and the passwords of the database users.

    Words of at most eight characters, such as `postgres` and `sqlproxy`, are not secrets.
    """
    options = stack.options
    urls = [stack.database_url, stack.login_url, *re.findall(r'DATABASE_URL="([^"]+)"', options.dev_vars.read_text())]
    parts = [urlsplit(url) for url in urls if url]
    words = {word for part in parts for word in (part.username, part.password) if word and len(word) > len("postgres")}
    return {f"credential {number}": re.escape(word) for number, word in enumerate(sorted(words - {"sqlproxy"}))}


def search_stack(stack: Stack, lines: list[str]) -> None:
    """Search the output of all processes, including Postgres' failed statements, and wrangler's log files.

    The lines in which wrangler shows a captured e-mail are excluded.

    Raises:
        LeakError: personal data or a secret was found.
    """
    patterns = {**PERSONAL, **SECRET, **TOKEN, **credentials(stack)}
    search((line for line in lines if not CAPTURED.match(line)), "the stack's output", patterns)
    for file in sorted(Path(stack.options.state, "config").rglob("*.log")):
        log_lines = file.read_text(errors="replace").splitlines()
        search((line for line in log_lines if not CAPTURED.match(f"wrangler | {line}")), file.name, patterns)


def search_responses(stack: Stack) -> Callable[[httpx.Response], None]:
    """Return a response hook that searches each response.

    The user's own name and address may appear in a 201, and in the form fields of a page.
    """

    def search_response(response: httpx.Response) -> None:
        response.read()
        is_page = response.headers.get("content-type", "").startswith("text/html")
        headers = [f"{name}: {value}" for name, value in response.headers.items()]
        search([response.text, *headers], "a response", {**SECRET, **credentials(stack)})
        if response.status_code != httpx.codes.CREATED:
            text = FIELD_VALUE.sub("", response.text) if is_page else response.text
            search([text, *headers], "a response", PERSONAL)

    return search_response
