"""Variants of wrangler.toml for tests."""

import re

from devstack.setup.bootstrap import ROOT
from devstack.stack.stack import with_mail_binding

# More requests than any test sends.
UNLIMITED = 1_000_000


def limited(**limits: int) -> str:
    """Return wrangler.toml with these limits by binding, in requests per 10 s; other bindings never limit a test."""
    text = (ROOT / "wrangler.toml").read_text(encoding="utf-8")

    def replace_limit(match: re.Match[str]) -> str:
        return f"{match[1]}simple = {{ limit = {limits.get(match[2], UNLIMITED)}, period = 10 }}"

    changed, count = re.subn(r'(name = "(\w+)"\nnamespace_id = "\d+"\n)simple = .*', replace_limit, text)
    assert count
    return changed


def with_mails() -> str:
    """Return wrangler.toml without rate limits and with the binding EMAIL, whose e-mails `wrangler dev` captures."""
    return with_mail_binding(limited())
