"""The domains of disposable e-mail addresses. The list is read only if `DISPOSABLE_EMAIL` is `refuse`.

The list is disposable_domains.txt beside this file, which `make docs` writes from the PyPI package
`disposable-email-domains`: one domain per line, sorted by bytes. The bytes of the file are searched by bisection,
because a set of the domains would take ten times the memory.
"""

from functools import cache
from pathlib import Path

from signup.fields.email_domains import parents

LIST = Path(__file__).with_name("disposable_domains.txt")


def is_disposable(domain: str) -> bool:
    """Return whether a domain or one of its parent domains is listed."""
    content = _read()
    return any(has_line(content, each.encode()) for each in (domain, *parents(domain)))


@cache
def _read() -> bytes:
    return LIST.read_bytes()


def has_line(content: bytes, line: bytes) -> bool:
    """Return whether the sorted lines, each ending in a line feed, include this line."""
    # `low` and `high` are offsets of line starts, or of the end of `content`.
    low, high = 0, len(content)
    while low < high:
        begin = content.rfind(b"\n", low, (low + high) // 2) + 1 or low
        end = content.index(b"\n", begin)
        candidate = content[begin:end]
        if candidate == line:
            return True
        if candidate < line:
            low = end + 1
        else:
            high = begin
    return False
