"""Everything that a stack prints and answers is searched for what the tests give it to keep to itself.

Whatever a test is about, and whichever fault it injects: its stack was told a name, an address, a password, perhaps an
idempotency key, and has credentials of its own.
"""

import re
from collections.abc import Callable, Iterable
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from devstack.stack.stack import Stack

# What the end-to-end tests sign up with: each address and each key made of one ends like this (an error shows another,
# to show what one looks like), the passwords are these, and a hash, of whatever password, begins like this.
PERSONAL = {
    "address": r"(?<! ada)@example\.com",
    "name": r"\bAda\b",
    "canary": "canary(name|address|password)",
}
SECRET = {"password": "correct horse battery staple|canarypassword", "hash": r"\$argon2id\$v|\$scrypt\$"}
# What a page says that a field holds.
FIELD_VALUE = re.compile(r'(?<=<input )[^<>]* value="[^"]*"')


class LeakError(AssertionError):
    """A secret got out; the message says which kind and where, and shows the line."""


def search(lines: Iterable[str], where: str, patterns: dict[str, str]) -> None:
    """Search lines of text.

    Raises:
        LeakError: one of them holds what it must not.
    """
    for line in lines:
        for kind, pattern in patterns.items():
            if re.search(pattern, line):
                raise LeakError(f"{kind} in {where}: {line}")


def credentials(stack: Stack) -> dict[str, str]:
    """Return the stack's own secrets: the token, and the passwords of the database's users."""
    options = stack.options
    urls = [stack.database_url, stack.login_url, *re.findall(r'DATABASE_URL="([^"]+)"', options.dev_vars.read_text())]
    parts = [urlsplit(url) for url in urls if url]
    words = {word for part in parts for word in (part.username, part.password) if word and len(word) > len("postgres")}
    return {f"credential {number}": re.escape(word) for number, word in enumerate(sorted(words - {"sqlproxy"}))}


def search_stack(stack: Stack, lines: list[str]) -> None:
    """Search what the parts printed, Postgres and its statements in error included, and wrangler's files of logs.

    Raises:
        LeakError: a secret is there.
    """
    patterns = {**PERSONAL, **SECRET, **credentials(stack)}
    search(lines, "what the stack printed", patterns)
    for file in sorted(Path(stack.options.state, "config").rglob("*.log")):
        search(file.read_text(errors="replace").splitlines(), file.name, patterns)


def search_answers(stack: Stack) -> Callable[[httpx.Response], None]:
    """Return what searches each answer.

    The user's own name and address may stand in a 201, and in the fields of a form that is to be corrected.
    """

    def search_answer(answer: httpx.Response) -> None:
        answer.read()
        page = answer.headers.get("content-type", "").startswith("text/html")
        headers = [f"{name}: {value}" for name, value in answer.headers.items()]
        search([answer.text, *headers], "an answer", {**SECRET, **credentials(stack)})
        if answer.status_code != httpx.codes.CREATED:
            text = FIELD_VALUE.sub("", answer.text) if page else answer.text
            search([text, *headers], "an answer", PERSONAL)

    return search_answer
