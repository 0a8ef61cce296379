"""`.dev.vars` is created once and then only read."""

from pathlib import Path

import pytest

from devstack.stack.dev_vars import DevVarsError, Target, local_url, parse, target
from signup.settings import Settings


def read(tmp_path: Path, text: str | None, token: str | None = None) -> Target:
    """Return the target of a `.dev.vars` with this text, in a stack with this token."""
    dev_vars, token_file = tmp_path / ".dev.vars", tmp_path / "state" / "token"
    if text is not None:
        dev_vars.write_text(text)
    if token is not None:
        token_file.parent.mkdir()
        token_file.write_text(token)
    return target(dev_vars, token_file, 4321)


def test_a_missing_file_is_created(tmp_path: Path) -> None:
    """The new file has the URL of the stack's own sqlproxy with a random token, and only its owner can read it."""
    first = read(tmp_path, None)
    assert (first.url, first.port) == (local_url(first.token, 4321), 4321)
    assert len(first.token) >= 32
    for file in (tmp_path / ".dev.vars", tmp_path / "state" / "token"):
        assert file.stat().st_mode & 0o777 == 0o600
    written = (tmp_path / ".dev.vars").read_text()
    assert target(tmp_path / ".dev.vars", tmp_path / "state" / "token", 9999) == first
    assert (tmp_path / ".dev.vars").read_text() == written


def test_the_file_of_make_dev_turns_verification_on(tmp_path: Path) -> None:
    """The settings are valid: a random key, captured e-mails, and links to the Worker's port.

    Without a port of the Worker, verification stays off.
    """
    target(tmp_path / ".dev.vars", tmp_path / "token", 4321, 8787)
    settings = Settings.from_bindings(parse((tmp_path / ".dev.vars").read_text()).get)
    assert (settings.verifies, settings.public_url) == (True, "http://localhost:8787/")
    assert settings.mail_url.get_secret_value() == "cloudflare:"
    assert len(settings.verification_keys[0].key) == 32
    target(tmp_path / "other", tmp_path / "token", 4321, 8787)
    assert (tmp_path / ".dev.vars").read_text() != (tmp_path / "other").read_text()
    target(tmp_path / "off", tmp_path / "token", 4321)
    assert not Settings.from_bindings(parse((tmp_path / "off").read_text()).get).verifies


def test_a_recreated_file_has_the_same_token(tmp_path: Path) -> None:
    """The token is stored separately."""
    first = read(tmp_path, None)
    (tmp_path / ".dev.vars").unlink()
    assert target(tmp_path / ".dev.vars", tmp_path / "state" / "token", 4321) == first


@pytest.mark.parametrize(
    "line",
    [
        "DATABASE_URL={}",
        'DATABASE_URL="{}"',
        "DATABASE_URL='{}'",
        "DATABASE_URL=`{}`",
        "  export DATABASE_URL = {}  # ours",
        'OTHER="1"\nDATABASE_URL="{}"\nMORE=2',
    ],
)
def test_quotes_white_space_and_comments_are_read(tmp_path: Path, line: str) -> None:
    """The stack's own URL is recognised by its token."""
    url = local_url("t0ken", 1234)
    assert read(tmp_path, line.format(url), "t0ken") == Target(url, "t0ken", 1234)


@pytest.mark.parametrize(
    ("url", "token"),
    [
        ("postgres://user:password@ep-x.eu-central-1.aws.neon.tech/db", "t0ken"),
        ("sql+http://another@127.0.0.1:1234/", "t0ken"),
        ("sql+https://t0ken@proxy.example.com/", "t0ken"),
        ("sql+http://t0ken@127.0.0.1:1234/", None),
    ],
)
def test_no_proxy_is_started_for_another_url(tmp_path: Path, url: str, token: str | None) -> None:
    """Only the stack's own URL has a port to start a proxy on. The URL of another local sqlproxy has none."""
    assert read(tmp_path, f'DATABASE_URL="{url}"\n', token).port is None


@pytest.mark.parametrize("text", ["", "# DATABASE_URL=x", "DATABASE_URL=", 'DATABASE_URL=""', "MY_DATABASE_URL=x"])
def test_a_file_without_database_url_is_an_error(tmp_path: Path, text: str) -> None:
    """The file is left unchanged."""
    with pytest.raises(DevVarsError, match="has no DATABASE_URL"):
        read(tmp_path, text)
    assert (tmp_path / ".dev.vars").read_text() == text
