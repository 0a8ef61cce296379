"""Settings: flags, environment, files, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sqlproxy.__main__ import main, parser
from sqlproxy.errors import SettingError
from sqlproxy.operations.settings import read
from sqlproxy.server import serve

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SECRET = "canary-in-a-secret"
GOOD = {"SQLPROXY_DATABASE_URL": f"postgres://u:{SECRET}@db/x", "SQLPROXY_TOKEN": "t" * 16}


def refused(environ: Mapping[str, str], flags: Mapping[str, str | bool] | None = None) -> str:
    """The message for settings that are wrong."""
    with pytest.raises(SettingError) as caught:
        read(flags or {}, environ)
    message = str(caught.value)
    assert "\n" not in message
    assert SECRET not in message
    return message


def test_two_secrets_are_enough() -> None:
    """Everything else has a default, and it listens on loopback alone."""
    settings = read({}, GOOD)
    assert settings.conninfo == {"user": "u", "password": SECRET, "host": "db", "dbname": "x"}
    assert settings.tokens == ("t" * 16,)
    assert (settings.host, settings.port, settings.pool_size) == ("127.0.0.1", 4444, 10)


def test_a_flag_wins_over_its_variable() -> None:
    """And an empty variable counts as none."""
    environ = {**GOOD, "SQLPROXY_PORT": "1", "SQLPROXY_POOL_SIZE": "7", "SQLPROXY_WAIT_TIMEOUT": ""}
    settings = read({"port": "2"}, environ)
    assert (settings.port, settings.pool_size, settings.wait_timeout) == (2, 7, 3.0)


def test_secrets_may_come_from_files(tmp_path: Path) -> None:
    """Their last line feed is not part of them; two tokens may stand on two lines."""
    (tmp_path / "url").write_text(GOOD["SQLPROXY_DATABASE_URL"] + "\n")
    (tmp_path / "token").write_text("a" * 16 + "\n" + "b" * 16 + "\n")
    environ = {"SQLPROXY_DATABASE_URL_FILE": str(tmp_path / "url"), "SQLPROXY_TOKEN_FILE": str(tmp_path / "token")}
    settings = read({}, environ)
    assert settings.conninfo["password"] == SECRET
    assert settings.tokens == ("a" * 16, "b" * 16)


def test_secrets_do_not_show_in_a_repr() -> None:
    """Whoever logs the settings logs no secret."""
    shown = repr(read({}, GOOD))
    assert SECRET not in shown
    assert "t" * 16 not in shown


@pytest.mark.parametrize("missing", ["SQLPROXY_DATABASE_URL", "SQLPROXY_TOKEN"])
def test_a_missing_secret_is_named(missing: str) -> None:
    """With the way to give it."""
    assert f"{missing} is missing (or {missing}_FILE)" in refused({**GOOD, missing: ""})


@pytest.mark.parametrize(
    ("variable", "value", "said"),
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
        ("SQLPROXY_TOKEN", f"{SECRET} {SECRET} {SECRET}", "SQLPROXY_TOKEN holds more than 2"),
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
        ("SQLPROXY_TLS_CERT", "cert.pem", "tls-cert and tls-key belong together"),
        ("SQLPROXY_ALLOW_STATEMENTS", "/nowhere", "allow-statements: cannot read"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(variable: str, value: str, said: str) -> None:
    """It names the setting; a secret's value is not in it."""
    assert said in refused({**GOOD, variable: value})


def test_an_unreadable_secret_file_is_named() -> None:
    """By the variable and the path, not by what is in it."""
    environ = {"SQLPROXY_TOKEN_FILE": "/nowhere/token", "SQLPROXY_DATABASE_URL": GOOD["SQLPROXY_DATABASE_URL"]}
    assert refused(environ) == "SQLPROXY_TOKEN_FILE: cannot read /nowhere/token: FileNotFoundError"


def test_a_flag_is_named_as_a_flag() -> None:
    """So that the reader looks in the right place."""
    assert refused(GOOD, {"port": "x"}).startswith("--port must be")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_word(host: str) -> None:
    """Nobody else is on the way."""
    assert read({}, {**GOOD, "SQLPROXY_HOST": host}).host == host


def test_elsewhere_needs_tls_or_a_word(tmp_path: Path) -> None:
    """Either a certificate, or the flag that says what it means."""
    (tmp_path / "pem").write_text("")
    pem = str(tmp_path / "pem")
    environ = {**GOOD, "SQLPROXY_HOST": "0.0.0.0"}  # noqa: S104 - it is what is tested
    assert read({"insecure_listen": True}, environ).insecure_listen
    assert read({}, {**environ, "SQLPROXY_INSECURE_LISTEN": "true"}).insecure_listen
    assert not read({"tls_cert": pem, "tls_key": pem}, {**environ, "SQLPROXY_INSECURE_LISTEN": "no"}).insecure_listen


def test_a_missing_certificate_is_named() -> None:
    """Before the server starts."""
    assert "tls-cert: there is no file /nowhere" in refused(GOOD, {"tls_cert": "/nowhere", "tls_key": "/nowhere"})


def test_the_allow_list_is_a_json_array_of_strings(tmp_path: Path) -> None:
    """Anything else is refused rather than taken for an empty list."""
    path = tmp_path / "statements.json"
    environ = {**GOOD, "SQLPROXY_ALLOW_STATEMENTS": str(path)}
    path.write_text('["SELECT 1"]')
    assert read({}, environ).allowed == frozenset({"SELECT 1"})
    path.write_text('{"SELECT 1": true}')
    assert "must hold a JSON array of strings" in refused(environ)
    path.write_text("[1]")
    assert "must hold a JSON array of strings" in refused(environ)


def test_help_tells_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    """Every flag with its variable, and the secrets, which have none."""
    with pytest.raises(SystemExit) as caught:
        main(["--help"], {})
    assert caught.value.code == 0
    shown = capsys.readouterr().out
    flags = [option for action in parser()._actions for option in action.option_strings if option != "-h"]  # noqa: SLF001 - argparse has no other way
    assert len(flags) > 20
    for flag in flags:
        assert flag in shown
        if flag != "--help":
            assert "SQLPROXY_" + flag.removeprefix("--").replace("-", "_").upper() in shown
    assert "SQLPROXY_DATABASE_URL " in shown
    assert "SQLPROXY_TOKEN " in shown
    assert not {"--token", "--database-url"} & set(flags)


def test_a_wrong_setting_ends_with_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    """And one line on stderr."""
    assert main(["--port", "x"], GOOD) == 2
    assert capsys.readouterr().err == "sqlproxy: --port must be a whole number, not 'x'\n"


TEXTS = st.text(st.characters(), max_size=80)


@given(
    st.fixed_dictionaries({}, optional=dict.fromkeys(("DATABASE_URL", "TOKEN", "PORT", "WAIT_TIMEOUT", "HOST"), TEXTS))
)
@example({"DATABASE_URL": "postgres://u:p@\udcff/x"})
@example({"DATABASE_URL": "postgres://u:p%00@h/x"})
@example({"DATABASE_URL": f"postgres://u:p@{'a' * 70}.example/x"})
@example({"TOKEN_FILE": "\0"})
@example({"WAIT_TIMEOUT": "nan"})
@example({"PORT": "9" * 5000})
def test_any_text_is_a_setting_or_a_settings_error(changes: dict[str, str]) -> None:
    """Whatever the environment holds; and the error quotes no secret."""
    environ = {**GOOD, **{f"SQLPROXY_{name}": value for name, value in changes.items()}}
    try:
        read({}, environ)
    except SettingError as exc:
        assert SECRET not in str(exc)  # noqa: PT017 - most of them are settings


@pytest.mark.parametrize("content", [b'["\\ud800"]', b"[" * 100_000, b"\xff", b"[1]", b'"SELECT 1"', b""])
def test_a_list_of_statements_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    """Half of a surrogate pair is no text that a client could send; deep nesting is no crash."""
    path = tmp_path / "statements.json"
    path.write_bytes(content)
    assert "allow-statements" in refused(GOOD, {"allow_statements": str(path)})


@pytest.mark.parametrize("host", ["a" * 70 + ".example", "a..b", "\udcff", "\0"])
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    """Where it listens is a name or an address."""
    with pytest.raises(SettingError, match="cannot listen"):
        serve(read({"host": host, "insecure_listen": True}, GOOD))


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
def test_a_connection_string_that_leads_nowhere_is_refused(url: str) -> None:
    """When it starts, and not as an unreachable database at every attempt."""
    assert "DATABASE_URL" in refused({**GOOD, "SQLPROXY_DATABASE_URL": url})


def test_an_error_gives_a_terminal_no_orders(capsys: pytest.CaptureFixture[str]) -> None:
    """It quotes names from the environment."""
    assert main([], {**GOOD, "SQLPROXY_TOKEN": "", "SQLPROXY_TOKEN_FILE": "/nowhere/\x1b]0;owned\x07"}) == 2
    assert "\\x1b]0;owned\\x07" in capsys.readouterr().err
