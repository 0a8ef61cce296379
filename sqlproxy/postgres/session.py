"""What the proxy tells Postgres about a session, and its operator about Postgres."""

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
    """The parameters of libpq: those of the connection string, over ours.

    A peer that is gone without a word (a cut network) is noticed after about 15 s by the kernel.
    """
    defaults: dict[str, str | int] = {
        "application_name": "sqlproxy",
        "connect_timeout": settings.connect_timeout,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 2,
        "tcp_user_timeout": 15_000,
    }
    # The dialect is UTF-8 whatever the database's encoding is.
    return defaults | dict(settings.conninfo) | {"client_encoding": "UTF8"}


def session_settings(settings: Settings) -> dict[str, str]:
    """Postgres' settings for each session; those that a server does not know are skipped."""
    milliseconds = str(max(1, round(settings.statement_timeout * 1000)))
    return {
        "statement_timeout": milliseconds,
        # Between two statements of a transaction there is only this process, for moments.
        "idle_in_transaction_session_timeout": str(round((settings.total_timeout + 1) * 1000)),
        # When this process is killed, what it was running ends soon after (Postgres 14, Linux and macOS).
        "client_connection_check_interval": "1000",
    }


class StateLog:
    """Logs when Postgres becomes unreachable and when it is back, rather than every attempt.

    Args:
        params: libpq's parameters, whose values are kept out of the log.
    """

    def __init__(self, params: Mapping[str, str | int]) -> None:
        self._params = params
        self._down = False

    def __call__(self, error: DatabaseUnreachable | None) -> None:
        """Takes the outcome of an attempt to connect."""
        if error is not None and not self._down:
            cause = scrub(str(error.__cause__), self._params)
            log.event(logging.ERROR, "database_unreachable", cause=cause)
        elif error is None and self._down:
            log.event(logging.INFO, "database_reachable")
        self._down = error is not None


def scrub(text: str, params: Mapping[str, str | int]) -> str:
    """Removes from libpq's text about a failed attempt what came out of the connection string.

    A value of one or two characters also occurs in ordinary words, so it is only replaced in quotes or parentheses,
    where libpq puts the names of users, databases and hosts. libpq never writes a password; a longer one is replaced
    wherever it stands all the same.
    """
    found = {
        value: name
        for name in reversed(_SECRET_PARAMS)
        # Of several hosts an error names one.
        for value in (str(params.get(name, "")), *str(params.get(name, "")).split(","))
        if value
    }
    patterns = []
    for value in sorted(found, key=len, reverse=True):
        before, after = ("", "") if found[value] in _HIDDEN_PARAMS else (r"(?<!\w)", r"(?!\w)")
        if len(value) < _SHORT_VALUE_LENGTH:
            before, after = r"(?<=[\"'(])", r"(?=[\"')])"
        patterns.append(before + re.escape(value) + after)
    # In one pass, so that nothing is looked for in what was put in.
    if patterns:
        text = re.sub("|".join(patterns), lambda match: f"<{found[match[0]]}>", text)
    return " ".join(text.split())[:_MAX_CHARACTERS]
