"""The settings: each a flag and an environment variable, checked once, before anything starts.

Secrets come from the environment or from a file and have no flag: every user of a machine can read the arguments of its
processes.
"""

from __future__ import annotations

import ipaddress
import os
import re
import socket
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from sqlproxy.errors import SettingError
from sqlproxy.operations.allow_list import load_statements
from sqlproxy.operations.log import LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "UNENCODED", "Option", "Settings", "has_unencoded_credentials", "option_of", "read", "share"]

PREFIX = "SQLPROXY_"
UNENCODED = "has an @ or a / in the user or the password: percent-encode them (@ is %40, / is %2F, ? is %3F, # is %23)"
MIN_TOKEN_LENGTH = 16
_MAX_TOKENS = 2
_KIB = 1024
_DAY = 86_400
_CAN_SHARE = hasattr(os, "fork") and hasattr(socket, "SO_REUSEPORT")


@dataclass(frozen=True)
class Option:
    """How a setting is read: its help text, and the bounds of a number."""

    about: str
    group: str = "limits"
    low: float = 0
    high: float = _DAY
    choices: tuple[str, ...] = ()

    @property
    def bounds(self) -> str:
        """The bounds of a number, in words."""
        return f"{self.low:.15g} to {self.high:.15g}"


def _setting(default: Any, about: str, **option: Any) -> Any:  # noqa: ANN401 - the type of the attribute it describes
    return field(default=default, metadata={"option": Option(about, **option)})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Every setting, checked. Times are in seconds, sizes in bytes."""

    conninfo: Mapping[str, str | int] = field(repr=False)
    tokens: tuple[str, ...] = field(repr=False)
    allowed: frozenset[str] | None = field(default=None, repr=False)

    database_url_file: str = _setting(
        "", "file holding the connection string, instead of the variable", group="secrets"
    )
    token_file: str = _setting("", "file holding the token (or two), instead of the variable", group="secrets")

    host: str = _setting("127.0.0.1", "address to listen on", group="listening")
    port: int = _setting(4444, "port to listen on; 0 chooses a free one", group="listening", high=65_535)
    tls_cert: str = _setting("", "PEM file with the certificate chain: serve https", group="listening")
    tls_key: str = _setting("", "PEM file with the certificate's private key", group="listening")
    insecure_listen: bool = _setting(
        False,
        "listen without TLS on an address that is not loopback: tokens and data are readable on the way there, so only"
        " behind something that terminates TLS",
        group="listening",
    )

    pool_size: int = _setting(10, "most connections to Postgres", group="pool", low=1, high=10_000)
    min_connections: int = _setting(1, "connections kept open when idle", group="pool", high=10_000)
    queue_length: int = _setting(
        1000, "most requests waiting for a connection; one more is answered 503 at once", group="pool", high=1_000_000
    )
    # Below the Worker's PROXY_TIMEOUT of 5 s: it hears "busy" from here before it gives up.
    wait_timeout: float = _setting(3.0, "longest wait for a connection, then 503", group="pool", low=0.01)
    connect_timeout: int = _setting(5, "longest attempt to connect to Postgres", group="pool", low=2, high=600)
    idle_timeout: float = _setting(300.0, "an unused connection is closed after this time", group="pool", low=1)
    max_lifetime: float = _setting(3600.0, "a connection is replaced after this time", group="pool", low=1)
    prepare_threshold: int = _setting(
        5,
        "with --allow-statements, prepare a statement on the server at this call of it; 0 never, for a transaction-mode"
        " pooler in between",
        group="pool",
        high=1_000_000,
    )

    statement_timeout: float = _setting(15.0, "longest statement; Postgres cancels it", low=0.01)
    total_timeout: float = _setting(
        30.0,
        "longest request, with its body, its wait and all its statements; and then again until its answer is read",
        low=0.01,
    )
    head_timeout: float = _setting(10.0, "longest wait for a request's head, then 408", low=0.01)
    head_limit: int = _setting(16 * _KIB, "largest request head, then 431", low=_KIB, high=_KIB * _KIB)
    body_limit: int = _setting(_KIB * _KIB, "largest request body, then 413", low=64, high=_KIB**3)
    answer_limit: int = _setting(10 * _KIB * _KIB, "largest answer, then 507", low=64, high=_KIB**3)
    memory_limit: int = _setting(
        64 * _KIB * _KIB,
        "most bytes of bodies and answers that a process holds at a time, then 503",
        low=_KIB * _KIB,
        high=_KIB**4,
    )
    allow_statements: str = _setting(
        "", "JSON file with an array of statements: only these run, byte for byte; any other is answered 403"
    )

    processes: int = _setting(
        1,
        "worker processes, for when one core is not enough; pool-size, min-connections and queue-length are shared out"
        " among them",
        group="process",
        low=1,
        high=256,
    )
    max_connections: int = _setting(
        2000,
        "most HTTP connections of each process; one more is answered 503 and closed",
        group="process",
        low=1,
        high=1_000_000,
    )
    keep_alive: int = _setting(75, "an idle HTTP connection is closed after this time", group="process", low=1)
    stop_timeout: int = _setting(
        10,
        "after SIGTERM or SIGINT, time for the statements in flight; a second signal ends it",
        group="process",
        low=1,
    )
    log_level: str = _setting("info", "least severe log line", group="process", choices=LEVELS)


def share(settings: Settings, index: int) -> Settings:
    """Return the settings of one process: its share of the totals of all processes.

    Args:
        settings: the settings of the service, with `processes`.
        index: the number of the process, from 0.
    """

    def part(total: int) -> int:
        return total // settings.processes + (index < total % settings.processes)

    return replace(
        settings,
        pool_size=part(settings.pool_size),
        min_connections=part(settings.min_connections),
        queue_length=part(settings.queue_length),
    )


def option_of(name: str) -> Option | None:
    """The option of a setting; None for what is not set by a flag."""
    option = Settings.__dataclass_fields__[name].metadata.get("option")
    return option if isinstance(option, Option) else None


def read(flags: Mapping[str, str | bool], environ: Mapping[str, str]) -> Settings:
    """Reads all settings; a flag wins over its environment variable, an empty variable counts as none.

    Raises:
        SettingError: One is missing or wrong. The message names it; a secret's value is never in it.
    """
    values: dict[str, Any] = {}
    for item in fields(Settings):
        option = option_of(item.name)
        if option is None:
            continue
        given = flags.get(item.name)
        where = "--" + item.name.replace("_", "-")
        if given is None:
            where = PREFIX + item.name.upper()
            given = environ.get(where, "")
        if given != "":
            values[item.name] = _convert(given, type(item.default), option, where)
    settings = Settings(
        conninfo=_conninfo(_secret("database_url", values, environ)),
        tokens=_tokens(_secret("token", values, environ)),
        allowed=load_statements(values["allow_statements"]) if "allow_statements" in values else None,
        **values,
    )
    _check(settings)
    return settings


def _convert(given: str | bool, kind: type, option: Option, where: str) -> object:
    if kind is bool:
        if given in (True, "1", "true", "yes", "on"):
            return True
        if given in ("0", "false", "no", "off"):
            return False
        raise SettingError(f"{where} must be true or false")
    if kind is str:
        if option.choices and given not in option.choices:
            raise SettingError(f"{where} must be one of {', '.join(option.choices)}")
        return given
    what = "a whole number" if kind is int else "a number"
    try:
        number = kind(given)
    except ValueError:
        raise SettingError(f"{where} must be {what}, not {given!r}") from None
    if not option.low <= number <= option.high:
        raise SettingError(f"{where} must be {what} from {option.bounds}, not {given!r}")
    return number


def _secret(name: str, values: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    variable = PREFIX + name.upper()
    secret = environ.get(variable, "")
    path = values.get(f"{name}_file", "")
    if secret and path:
        raise SettingError(f"{variable} and {variable}_FILE are both set: which one?")
    if path:
        try:
            secret = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as exc:
            raise SettingError(f"{variable}_FILE: cannot read {path}: {type(exc).__name__}") from None
    if not secret:
        raise SettingError(f"{variable} is missing (or {variable}_FILE)")
    return secret


def has_unencoded_credentials(url: str) -> bool:
    """Return whether a URL has more than the one @ before the host, or a / before that.

    libpq takes the first @ for the end of the password, and what follows for the host, which messages quote.
    """
    before, at, after = url.partition("://")[2].partition("@")
    return bool(at) and ("/" in before or "@" in after)


def _conninfo(value: str) -> Mapping[str, str | int]:
    variable = f"{PREFIX}DATABASE_URL"
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


def _tokens(secret: str) -> tuple[str, ...]:
    tokens = tuple(secret.split())
    if len(tokens) > _MAX_TOKENS:
        raise SettingError(f"{PREFIX}TOKEN holds more than {_MAX_TOKENS} tokens")
    for token in tokens:
        if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable():
            raise SettingError(f"{PREFIX}TOKEN must be at least {MIN_TOKEN_LENGTH} printable ASCII characters")
    return tokens


def _check(settings: Settings) -> None:
    if settings.min_connections > settings.pool_size:
        raise SettingError("min-connections is larger than pool-size")
    if settings.processes > settings.pool_size:
        raise SettingError("processes is larger than pool-size: each of them needs a connection")
    if settings.processes > 1 and not _CAN_SHARE:
        raise SettingError("processes: this system cannot share a port among several")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise SettingError("tls-cert and tls-key belong together: one of them is missing")
    for name in ("tls_cert", "tls_key"):
        path = getattr(settings, name)
        if path and not Path(path).is_file():
            raise SettingError(f"{name.replace('_', '-')}: there is no file {path}")
    if not (settings.tls_cert or settings.insecure_listen or _is_loopback(settings.host)):
        raise SettingError(
            f"host {settings.host} is not loopback: give --tls-cert and --tls-key, or --insecure-listen behind"
            " something that terminates TLS"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
