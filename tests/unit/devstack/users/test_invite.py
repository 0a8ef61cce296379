"""The command that creates invitations, without a database."""

from __future__ import annotations

import os
import time
from base64 import b64decode
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretBytes

from devstack.users import invite
from signup.invitations.tokens import LONGEST_TOKEN, Invitation, InvitationTokens

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

KEY = "canary" + "A" * 37 + "="
SECRET = f"2026a:{KEY}"
TOKENS = InvitationTokens([SecretBytes(b64decode(KEY))])


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Return a function that runs the command line in an empty checkout, and returns status, stdout and stderr."""
    monkeypatch.setattr(invite, "ROOT", tmp_path)
    for name in ("INVITATION_SECRET", "PUBLIC_URL", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)

    def run_command(*arguments: str, **environment: str) -> tuple[int, str, str]:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            try:
                status = invite.main(arguments)
            except SystemExit as exc:
                status = int(str(exc.code))
        printed = capsys.readouterr()
        assert "canary" not in printed.out + printed.err
        return status, printed.out, printed.err

    return run_command


ENVIRONMENT = {"INVITATION_SECRET": SECRET, "PUBLIC_URL": "https://signup.example.com"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("ADA@Example.com", Invitation("", "ada@example.com", 1, 7 * 86400)),
        ("ada@b\u00fccher.example --expires 5m", Invitation("", "ada@xn--bcher-kva.example", 1, 300)),
        ("ada@example.com --verifies-address --expires 365d", Invitation("", "ada@example.com", 1, 365 * 86400, True)),
        ("--domain Example.com --uses 20 --expires 12h", Invitation("", "example.com", 20, 12 * 3600)),
        ("--domain *.B\u00dcCHER.example", Invitation("", "*.xn--bcher-kva.example", 1, 7 * 86400)),
    ],
)
def test_the_link_contains_the_invitation(run: Run, arguments: str, expected: Invitation) -> None:
    """Standard output has only the link. Each invitation has its own ID."""
    ids = set()
    for _ in range(2):
        status, out, err = run(*arguments.split(), **ENVIRONMENT)
        beginning, _, token = out.rstrip("\n").partition("?invitation=")
        assert (status, beginning, out.count("\n")) == (0, "https://signup.example.com/", 1)
        invitation = TOKENS.verify(token)
        seconds = invitation.expires_at - time.time()
        assert replace(invitation, id="", expires_at=expected.expires_at) == expected
        assert expected.expires_at - 60 < seconds <= expected.expires_at
        assert expected.invited in err
        assert ("by e-mail, and nowhere else" in err) is expected.verifies
        ids.add(invitation.id)
    assert len(ids) == 2
    assert len(ids.pop()) == 22


def test_key_and_url_come_from_the_same_source(run: Run, tmp_path: Path) -> None:
    """A key from .dev.vars and a URL from the environment are not combined. The option --url replaces the URL."""
    file = tmp_path / ".dev.vars"
    file.write_text(f'INVITATION_SECRET="{SECRET}"\nPUBLIC_URL="http://localhost:8787"\n')
    out = run("ada@example.com", PUBLIC_URL="https://signup.example.com")[1]
    assert out.startswith("http://localhost:8787/?invitation=")
    status, _, err = run("ada@example.com", INVITATION_SECRET=f"b:{'B' * 43}=")
    assert (status, "set PUBLIC_URL where INVITATION_SECRET is set" in err) == (2, True)
    assert run("ada@example.com", "--url", "https://a.example")[1].startswith("https://a.example/?")
    file.write_bytes(b"\xff canary")
    status, _, err = run("ada@example.com")
    assert (status, err.endswith(".dev.vars cannot be read\n")) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "environment", "message"),
    [
        ((), {}, "give either an address or --domain"),
        (("ada@example.com", "--domain", "example.com"), {}, "give either an address or --domain"),
        (("ada",), {}, "this e-mail address cannot sign up (not_an_email_address)"),
        (("p\u0430ypal@example.com",), {}, "(mixed_scripts)"),
        ((os.fsdecode(b"\xff@example.com"),), {}, "not in UTF-8"),
        (("ada@example.com", "--uses", "2"), {}, "--uses needs --domain"),
        (("--domain", "example.com", "--uses", "0"), {}, "--uses must be from 1 to 100000"),
        (("--domain", "example.com", "--uses", "100001"), {}, "--uses must be from 1 to 100000"),
        (("--domain", "example.com", "--verifies-address"), {}, "--verifies-address needs an address"),
        *(
            (("--domain", domain), {}, "--domain must be one domain")
            for domain in ("", "@example.com", "a.example,b.example", "localhost", "*", "p\u0430ypal.com")
        ),
        *(
            (("ada@example.com", "--expires", expires), {}, "--expires must be a duration such as 30m, 12h or 7d")
            for expires in ("4m", "366d", "7", "1w", "\u0667d", "1000000d")
        ),
        (("ada@example.com",), {}, "INVITATION_SECRET is set neither in the environment nor in .dev.vars"),
        (("ada@example.com",), {"INVITATION_SECRET": "canary"}, "INVITATION_SECRET must be KEYID:BASE64"),
        (("ada@example.com",), {"INVITATION_SECRET": SECRET}, "or give --url"),
        (("ada@example.com", "--url", "http://a.example"), ENVIRONMENT, "PUBLIC_URL must be"),
        (("ada@example.com", "--url", "https://a.example/?x"), ENVIRONMENT, "PUBLIC_URL must be"),
        (("uses",), ENVIRONMENT, "required: LINK"),
        (("uses", "https://a.example/?invitation=x"), ENVIRONMENT, "LINK is not an invitation"),
        (("revoke", "https://[canary"), ENVIRONMENT, "LINK is not an invitation"),
    ],
)
def test_usage_errors_are_reported(
    run: Run, arguments: tuple[str, ...], environment: dict[str, str], message: str
) -> None:
    """The status is 2, and nothing is written to standard output."""
    status, out, err = run(*arguments, **environment)
    assert (status, out) == (2, "")
    assert message in " ".join(err.split())


def test_only_a_valid_link_needs_the_database(run: Run) -> None:
    """A link that another key signed is refused first; a valid link or token requires DATABASE_URL."""
    _, out, _ = run("ada@example.com", **ENVIRONMENT)
    link = out.strip()
    for argument, environment, message in (
        (link, {"INVITATION_SECRET": f"b:{'B' * 43}="}, "no key in INVITATION_SECRET signed this invitation"),
        (link, ENVIRONMENT, "DATABASE_URL "),
        (link.partition("=")[2], ENVIRONMENT, "DATABASE_URL "),
    ):
        status, out, err = run("revoke", argument, **environment)
        assert (status, out, message in err) == (2, "", True)


def test_the_token_of_a_long_address_is_accepted(run: Run) -> None:
    """The address has 64 bytes before the @, and the invitation has the longest lifetime."""
    address = "\U00020000" * 16 + "@" + ".".join(["a" * 60] * 3) + ".de"
    _, out, _ = run(address, "--expires", "365d", **ENVIRONMENT)
    token = out.strip().partition("=")[2]
    assert len(token) <= LONGEST_TOKEN
    assert TOKENS.verify(token).admits(address)
