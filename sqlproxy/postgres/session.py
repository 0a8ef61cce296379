"""Parameters and settings of sessions, and the log of the database's reachability."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING

from sqlproxy.operations import log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlproxy.errors import DatabaseUnreachable
    from sqlproxy.operations.settings import Settings

__all__ = ["StateLog", "connection_params", "scrub", "session_settings"]

_MAX_CHARACTERS = 300
_SHORT_VALUE_LENGTH = 3
_HIDDEN_PARAMS = ("password", "sslpassword", "scram_client_key", "scram_server_key", "oauth_client_secret")
_SECRET_PARAMS = (*_HIDDEN_PARAMS, "user", "host", "hostaddr", "dbname", "options", "passfile", "service")


def connection_params(settings: Settings) -> dict[str, str | int]:
    """Return libpq's parameters. The connection string overrides all of them except `client_encoding`.

    With the default timeouts, the kernel detects a broken network connection after about 15 s.
    """
    defaults: dict[str, str | int] = {
        "application_name": "sqlproxy",
        "connect_timeout": settings.connect_timeout,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 15_000,
    }
    # Neon's protocol uses UTF-8, whatever the encoding of the database.
    return defaults | dict(settings.conninfo) | {"client_encoding": "UTF8"}


def session_settings(settings: Settings) -> dict[str, str]:
    """Return Postgres' settings for each session; `Connection.open` skips those that a server does not have."""
    milliseconds = str(max(1, round(settings.statement_timeout * 1000)))
    return {
        "statement_timeout": milliseconds,
        # A transaction is idle only until sqlproxy sends its next statement.
        "idle_in_transaction_session_timeout": str(round((settings.total_timeout + 1) * 1000)),
        # If this process is killed, its running statements end about a second later (Postgres 14 or newer on Linux, 15
        # or newer on macOS).
        "client_connection_check_interval": "1000",
    }


class StateLog:
    """Logs when Postgres becomes unreachable or reachable again, rather than every attempt to connect.

    Args:
        params: libpq's parameters, whose secret and identifying values are removed from the log.
    """

    def __init__(self, params: Mapping[str, str | int]) -> None:
        self._params = params
        self._down = False

    def __call__(self, error: DatabaseUnreachable | None) -> None:
        """Log the outcome of an attempt to connect if it differs from that of the last attempt."""
        if error is not None and not self._down:
            cause = scrub(str(error.__cause__), self._params)
            log.event(logging.ERROR, "database_unreachable", cause=cause)
        elif error is None and self._down:
            log.event(logging.INFO, "database_reachable")
        self._down = error is not None


def scrub(text: str, params: Mapping[str, str | int]) -> str:
    """Replace the values of secret and identifying parameters in libpq's message about a failed connection.

    Each value is replaced with the name of its parameter. Values other than passwords and keys are replaced only where
    they are whole words. A value of one or two characters is replaced only in quotes or parentheses, where libpq puts
    the names of users, databases and hosts, because it also occurs as an ordinary word. libpq does not quote passwords;
    as a precaution, a password of three or more characters is replaced wherever it occurs.

    Returns:
        One line of at most 300 characters.
    """
    param_names = {
        value: name
        for name in reversed(_SECRET_PARAMS)
        # If several hosts are given, a message names one of them.
        for value in (str(params.get(name, "")), *str(params.get(name, "")).split(","))
        if value
    }
    patterns = []
    for value in sorted(param_names, key=len, reverse=True):
        lookbehind, lookahead = ("", "") if param_names[value] in _HIDDEN_PARAMS else (r"(?<!\w)", r"(?!\w)")
        if len(value) < _SHORT_VALUE_LENGTH:
            lookbehind, lookahead = r"(?<=[\"'(])", r"(?=[\"')])"
        patterns.append(lookbehind + re.escape(value) + lookahead)
    # Replace in one pass, so that replacements are not searched.
    if patterns:
        text = re.sub("|".join(patterns), lambda match: f"<{param_names[match[0]]}>", text)
    return " ".join(text.split())[:_MAX_CHARACTERS]
