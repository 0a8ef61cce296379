"""sqlproxy's settings, which are read from flags, environment variables and files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sqlproxy.__main__ import main, parser
from sqlproxy.errors import SettingError
from sqlproxy.operations.allow_list import WORKER_STATEMENTS
from sqlproxy.operations.settings import read
from sqlproxy.server import serve
from tests.counts import examples

if TYPE_CHECKING:
    from collections.abc import Mapping

SECRET = "canary-in-a-secret"
VALID = {"SQLPROXY_DATABASE_URL": f"postgres://u:{SECRET}@db/x", "SQLPROXY_TOKEN": "t" * 16}


def rejected(environ: Mapping[str, str], flags: Mapping[str, str | bool] | None = None) -> str:
    """Return the message of the `SettingError` for these settings."""
    with pytest.raises(SettingError) as caught:
        read(flags or {}, environ)
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    return message


def test_only_the_two_secrets_are_required() -> None:
    """The default host is loopback."""
    settings = read({}, VALID)
    assert settings.conninfo == {"user": "u", "password": SECRET, "host": "db", "dbname": "x"}
    assert settings.tokens == ("t" * 16,)
    assert (settings.host, settings.port, settings.pool_size) == ("127.0.0.1", 4444, 10)


def test_a_flag_overrides_its_variable() -> None:
    """An empty variable counts as unset."""
    environ = {**VALID, "SQLPROXY_PORT": "1", "SQLPROXY_POOL_SIZE": "7", "SQLPROXY_WAIT_TIMEOUT": ""}
    settings = read({"port": "2"}, environ)
    assert (settings.port, settings.pool_size, settings.wait_timeout) == (2, 7, 3.0)


def test_secrets_can_be_read_from_files(tmp_path: Path) -> None:
    """The final line feed is removed; two tokens may be on two lines."""
    (tmp_path / "url").write_text(VALID["SQLPROXY_DATABASE_URL"] + "\n")
    (tmp_path / "token").write_text("a" * 16 + "\n" + "b" * 16 + "\n")
    environ = {"SQLPROXY_DATABASE_URL_FILE": str(tmp_path / "url"), "SQLPROXY_TOKEN_FILE": str(tmp_path / "token")}
    settings = read({}, environ)
    assert settings.conninfo["password"] == SECRET
    assert settings.tokens == ("a" * 16, "b" * 16)


def test_the_repr_contains_no_secrets() -> None:
    """Logged settings therefore reveal no secret."""
    text = repr(read({}, VALID))
    assert SECRET not in text
    assert "t" * 16 not in text


@pytest.mark.parametrize("missing", ["SQLPROXY_DATABASE_URL", "SQLPROXY_TOKEN"])
def test_a_missing_secret_is_named(missing: str) -> None:
    """The message also names the variable for a file with the secret."""
    assert f"{missing} is missing: set it or {missing}_FILE" in rejected({**VALID, missing: ""})


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        (
            "SQLPROXY_DATABASE_URL",
            f"postgres://u:p@{SECRET}@db/x",
            "SQLPROXY_DATABASE_URL has an @ or a / in the user or the password: percent-encode them",
        ),
        (
            "SQLPROXY_DATABASE_URL",
            f"postgres://u:p/{SECRET}@db/x",
            "SQLPROXY_DATABASE_URL has an @ or a / in the user or the password: percent-encode them",
        ),
        ("SQLPROXY_DATABASE_URL", f"postgres://u:{SECRET}", "has a port that is not a number"),
        ("SQLPROXY_DATABASE_URL", f"nonsense {SECRET}", "SQLPROXY_DATABASE_URL is not a Postgres connection string"),
        ("SQLPROXY_TOKEN", "short", "SQLPROXY_TOKEN must be at least 16"),
        ("SQLPROXY_TOKEN", SECRET + "é", "SQLPROXY_TOKEN must be at least 16"),
        ("SQLPROXY_TOKEN", f"{SECRET} {SECRET} {SECRET}", "SQLPROXY_TOKEN has more than 2"),
        ("SQLPROXY_TOKEN_FILE", "/nowhere", "both set"),
        ("SQLPROXY_PORT", "http", "SQLPROXY_PORT must be a whole number, not 'http'"),
        ("SQLPROXY_PORT", "65536", "SQLPROXY_PORT must be a whole number from 0 to 65535, not '65536'"),
        ("SQLPROXY_POOL_SIZE", "0", "SQLPROXY_POOL_SIZE must be"),
        ("SQLPROXY_WAIT_TIMEOUT", "soon", "SQLPROXY_WAIT_TIMEOUT must be a number, not 'soon'"),
        ("SQLPROXY_WAIT_TIMEOUT", "nan", "SQLPROXY_WAIT_TIMEOUT must be a number from"),
        ("SQLPROXY_LOG_LEVEL", "loud", "SQLPROXY_LOG_LEVEL must be one of debug, info, warning, error"),
        ("SQLPROXY_INSECURE_LISTEN", "perhaps", "SQLPROXY_INSECURE_LISTEN must be true or false"),
        ("SQLPROXY_MIN_CONNECTIONS", "11", "min-connections is larger than pool-size"),
        ("SQLPROXY_HOST", "192.0.2.1", "host 192.0.2.1 is not loopback"),
        ("SQLPROXY_HOST", "example.com", "not loopback"),
        ("SQLPROXY_TLS_CERT", "cert.pem", "tls-cert and tls-key must both be set"),
        ("SQLPROXY_ALLOW_STATEMENTS", "/nowhere", "allow-statements: cannot read"),
    ],
)
def test_an_invalid_setting_is_named(variable: str, value: str, message: str) -> None:
    """The message is one line without secret values."""
    assert message in rejected({**VALID, variable: value})


def test_an_unreadable_secret_file_is_named() -> None:
    """The message has the variable and the path."""
    environ = {"SQLPROXY_TOKEN_FILE": "/nowhere/token", "SQLPROXY_DATABASE_URL": VALID["SQLPROXY_DATABASE_URL"]}
    assert rejected(environ) == "SQLPROXY_TOKEN_FILE: cannot read /nowhere/token: FileNotFoundError"


def test_an_invalid_flag_is_named_as_a_flag() -> None:
    """The message does not name the variable."""
    assert rejected(VALID, {"port": "x"}).startswith("--port must be")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_tls(host: str) -> None:
    """The traffic does not leave the machine."""
    assert read({}, {**VALID, "SQLPROXY_HOST": host}).host == host


def test_another_address_needs_tls_or_insecure_listen(tmp_path: Path) -> None:
    """A certificate makes the flag unnecessary."""
    (tmp_path / "pem").write_text("")
    pem = str(tmp_path / "pem")
    environ = {**VALID, "SQLPROXY_HOST": "0.0.0.0"}  # noqa: S104 - under test
    assert read({"insecure_listen": True}, environ).insecure_listen
    assert read({}, {**environ, "SQLPROXY_INSECURE_LISTEN": "true"}).insecure_listen
    assert not read({"tls_cert": pem, "tls_key": pem}, {**environ, "SQLPROXY_INSECURE_LISTEN": "no"}).insecure_listen


def test_a_missing_certificate_is_named() -> None:
    """The check runs before the server starts."""
    assert "tls-cert: there is no file /nowhere" in rejected(VALID, {"tls_cert": "/nowhere", "tls_key": "/nowhere"})


def test_the_allow_list_is_a_json_array_of_strings(tmp_path: Path) -> None:
    """Other content is an error; it is not read as an empty list."""
    path = tmp_path / "statements.json"
    environ = {**VALID, "SQLPROXY_ALLOW_STATEMENTS": str(path)}
    path.write_text('["SELECT 1"]')
    assert read({}, environ).allowed == read({}, environ).trusted == frozenset({b"SELECT 1"})
    path.write_text('{"SELECT 1": true}')
    assert "must contain a JSON array of strings" in rejected(environ)
    path.write_text("[1]")
    assert "must contain a JSON array of strings" in rejected(environ)


def test_the_workers_statements_are_trusted_without_an_allow_list() -> None:
    """All statements may run, but only the Worker's are known not to change the session."""
    settings = read({}, VALID)
    assert settings.allowed is None
    assert settings.trusted == frozenset(each.encode() for each in json.loads(Path(WORKER_STATEMENTS).read_text()))


def test_help_lists_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """The help has each flag with its variable, and the variables of the secrets, which have no flag."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"], {})
    assert caught.value.code == 0
    printed = capsys.readouterr().out
    flags = [option for action in parser()._actions for option in action.option_strings if option != "-h"]  # noqa: SLF001 - argparse has no other way
    assert len(flags) > 20
    for flag in flags:
        assert flag in printed
        if flag != "--help":
            assert "SQLPROXY_" + flag.removeprefix("--").replace("-", "_").upper() in printed
    assert "SQLPROXY_DATABASE_URL " in printed
    assert "SQLPROXY_TOKEN " in printed
    assert not {"--token", "--database-url"} & set(flags)


def test_an_invalid_setting_exits_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    """The program prints one line to stderr."""
    assert main(["--port", "x"], VALID) == 2
    assert capsys.readouterr().err == "sqlproxy: --port must be a whole number, not 'x'\n"


TEXTS = st.text(st.characters(), max_size=80)


@examples(40)
@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("DATABASE_URL", "TOKEN", "PORT", "WAIT_TIMEOUT", "HOST"), TEXTS))
)
@example({"DATABASE_URL": "postgres://u:p@\udcff/x"})
@example({"DATABASE_URL": "postgres://u:p%00@h/x"})
@example({"DATABASE_URL": f"postgres://u:p@{'a' * 70}.example/x"})
@example({"TOKEN_FILE": "\0"})
@example({"WAIT_TIMEOUT": "nan"})
@example({"PORT": "9" * 5000})
def test_any_text_is_accepted_or_raises_setting_error(changes: dict[str, str]) -> None:
    """No other exception is raised, and the error quotes no secret."""
    environ = {**VALID, **{f"SQLPROXY_{name}": value for name, value in changes.items()}}
    try:
        read({}, environ)
    except SettingError as exc:
        assert SECRET not in str(exc)  # noqa: PT017 - some texts are valid


@pytest.mark.parametrize("content", [b'["\\ud800"]', b"[" * 100_000, b"\xff", b"[1]", b'"SELECT 1"', b""])
def test_an_invalid_allow_list_is_rejected(tmp_path: Path, content: bytes) -> None:
    """Examples are lone surrogates, deep nesting and values that are not strings."""
    path = tmp_path / "statements.json"
    path.write_bytes(content)
    assert "allow-statements" in rejected(VALID, {"allow_statements": str(path)})


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..b", "\udcff", "\0"])
def test_an_invalid_host_is_rejected(host: str) -> None:
    """The host must be a name or an address."""
    with pytest.raises(SettingError, match="cannot listen"):
        serve(read({"host": host, "insecure_listen": True}, VALID))


@pytest.mark.parametrize(
    "url",
    [
        f"postgres://u:{SECRET}@{'a' * 70}.example/x",
        f"postgres://u:{SECRET}@db:123456/x",
        f"postgres://u:{SECRET}@db/x?connect_timeout=soon",
        f"postgres://u:{SECRET}@\udcff/x",
        f"postgres://u:{SECRET}%00@db/x",
    ],
)
def test_an_unusable_connection_string_is_rejected(url: str) -> None:
    """The error is reported at start-up, not later as an unreachable database."""
    assert "DATABASE_URL" in rejected({**VALID, "SQLPROXY_DATABASE_URL": url})


def test_control_characters_in_an_error_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    """The message quotes paths from the environment."""
    assert main([], {**VALID, "SQLPROXY_TOKEN": "", "SQLPROXY_TOKEN_FILE": "/nowhere/\x1b]0;owned\x07"}) == 2
    assert "\\x1b]0;owned\\x07" in capsys.readouterr().err
