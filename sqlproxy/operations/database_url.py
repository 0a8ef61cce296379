"""Connection strings of Postgres: what libpq would misread, and no message that quotes one."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import psycopg
from psycopg.conninfo import conninfo_to_dict

from sqlproxy.errors import SettingError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["UNENCODED", "has_unencoded_credentials", "parse_conninfo"]

UNENCODED = "has an @ or a / in the user or the password: percent-encode them (@ is %40, / is %2F, ? is %3F, # is %23)"


def has_unencoded_credentials(url: str) -> bool:
    """Return whether a URL has more than the one @ before the host, or a / before that.

    libpq takes the first @ for the end of the password, and what follows for the host, which messages quote.
    """
    before, at, after = url.partition("://")[2].partition("@")
    return bool(at) and ("/" in before or "@" in after)


def parse_conninfo(variable: str, value: str) -> Mapping[str, str]:
    """Return the parameters of a connection string: a URL, or libpq's `name=value` form.

    Args:
        variable: Its name, for messages.
        value: The string.

    Raises:
        SettingError: It cannot be used. The message never quotes it.
    """
    if value.startswith(("postgres://", "postgresql://")) and has_unencoded_credentials(value):
        raise SettingError(f"{variable} {UNENCODED}")
    try:
        given = conninfo_to_dict(value)
    except (psycopg.ProgrammingError, UnicodeError):
        # Its text quotes the string.
        raise SettingError(f"{variable} is not a Postgres connection string") from None
    params = {name: str(value) for name, value in given.items() if value is not None}
    if any("\0" in value for value in params.values()):
        raise SettingError(f"{variable} has a NUL character")
    if not all(map(_can_be_looked_up, params.get("host", "").split(","))):
        raise SettingError(f"{variable} has a host name that cannot be looked up")
    if not all(re.fullmatch("[0-9]{0,5}", port) for port in params.get("port", "").split(",")):
        raise SettingError(f"{variable} has a port that is not a number from 1 to 65535")
    if not re.fullmatch("-?[0-9]{1,9}", params.get("connect_timeout", "0")):
        raise SettingError(f"{variable} has a connect_timeout that is not a whole number")
    return params


def _can_be_looked_up(host: str) -> bool:
    """Return whether a host name can be encoded for the look-up: its labels have 1 to 63 characters."""
    try:
        host.encode("idna")
    except UnicodeError:
        # The folder of a socket, or an abstract socket, is not looked up.
        return host.startswith(("/", "@"))
    return True
