"""The settings, checked once at start-up. Each has an environment variable and, unless it is a secret, a flag.

Secrets come from the environment or from a file and have no flag, because every user of a machine can read the
arguments of its processes.
"""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlproxy import connection_string
from sqlproxy.connection_string import ConnectionString, ConnectionStringError
from sqlproxy.errors import SettingError
from sqlproxy.operations.allow_list import WORKER_STATEMENTS, load_statements
from sqlproxy.operations.log import LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "Option", "Settings", "option_of", "read", "share"]

PREFIX = "SQLPROXY_"
MIN_TOKEN_LENGTH = 16
_MAX_TOKENS = 2
_KIB = 1024
_DAY = 86_400
# The fix for each of Prisma's connection pool parameters.
_POOL_SETTINGS = {
    "connection_limit": "use --pool-size",
    "pool_timeout": "use --wait-timeout",
    "socket_timeout": "use --statement-timeout",
    "statement_cache_size": "use --prepare-threshold",
    "single_use_connections": "remove it",
    "max_connection_lifetime": "use --max-lifetime",
    "max_idle_connection_lifetime": "use --idle-timeout",
}
_CAN_SHARE = hasattr(os, "fork") and hasattr(socket, "SO_REUSEPORT")


@dataclass(frozen=True)
class Option:
    """The declaration of a setting: its help text, its group in the help, and the allowed values."""

    about: str
    group: str = "limits"
    low: float = 0
    high: float = _DAY
    choices: tuple[str, ...] = ()

    @property
    def bounds(self) -> str:
        """The bounds of a number as text."""
        return f"{self.low:.15g} to {self.high:.15g}"


def _setting(default: Any, about: str, **option: Any) -> Any:  # noqa: ANN401 - each setting has its own type
    return field(default=default, metadata={"option": Option(about, **option)})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings. Times are in seconds, sizes in bytes."""

    conninfo: Mapping[str, str] = field(repr=False)
    tokens: tuple[str, ...] = field(repr=False)
    allowed: frozenset[bytes] | None = field(default=None, repr=False)
    trusted: frozenset[bytes] = field(default=frozenset(), repr=False)

    database_url_file: str = _setting(
        "", f"file that contains the connection string, instead of {PREFIX}DATABASE_URL", group="secrets"
    )
    token_file: str = _setting(
        "", f"file that contains the token (or two tokens), instead of {PREFIX}TOKEN", group="secrets"
    )

    host: str = _setting("127.0.0.1", "address to listen on", group="listening")
    port: int = _setting(4444, "port to listen on; 0 chooses a free one", group="listening", high=65_535)
    tls_cert: str = _setting("", "PEM file with the certificate chain; enables HTTPS", group="listening")
    tls_key: str = _setting("", "PEM file with the certificate's private key", group="listening")
    insecure_listen: bool = _setting(
        False,
        "listen without TLS on an address that is not loopback: tokens and data are sent unencrypted; use it only"
        " behind a proxy that terminates TLS",
        group="listening",
    )

    pool_size: int = _setting(10, "maximum number of connections to Postgres", group="pool", low=1, high=10_000)
    min_connections: int = _setting(1, "connections kept open when idle", group="pool", high=10_000)
    queue_length: int = _setting(
        1000,
        "maximum number of requests that wait for a connection; further requests get 503 at once",
        group="pool",
        high=1_000_000,
    )
    # The default is less than the Worker's PROXY_TIMEOUT of 5 s, so that the Worker gets the 503 before its timeout.
    wait_timeout: float = _setting(
        3.0, "maximum wait for a connection; then the request gets 503", group="pool", low=0.01
    )
    connect_timeout: int = _setting(5, "timeout of connecting to Postgres", group="pool", low=2, high=600)
    idle_timeout: float = _setting(300.0, "an unused connection is closed after this time", group="pool", low=1)
    max_lifetime: float = _setting(3600.0, "a connection is replaced after this time", group="pool", low=1)
    prepare_threshold: int = _setting(
        5,
        "prepare a statement of the Worker, or of --allow-statements, when a connection runs it for the Nth time;"
        " 0 prepares none, as a pooler in transaction mode requires",
        group="pool",
        high=1_000_000,
    )

    statement_timeout: float = _setting(15.0, "maximum duration of a statement; then Postgres cancels it", low=0.01)
    total_timeout: float = _setting(
        30.0,
        "maximum duration of a request, including its body, the wait for a connection and all statements; also the"
        " maximum time until the client has read the response",
        low=0.01,
    )
    head_timeout: float = _setting(10.0, "maximum wait for a request's head; then it gets 408", low=0.01)
    head_limit: int = _setting(
        16 * _KIB, "maximum size of a request's head; a larger one gets 431", low=_KIB, high=_KIB * _KIB
    )
    body_limit: int = _setting(
        _KIB * _KIB, "maximum size of a request's body; a larger one gets 413", low=64, high=_KIB**3
    )
    answer_limit: int = _setting(
        10 * _KIB * _KIB, "maximum size of a response; for a larger one the request gets 507", low=64, high=_KIB**3
    )
    memory_limit: int = _setting(
        64 * _KIB * _KIB,
        "maximum memory of a process for the bodies of requests and responses; further requests get 503",
        low=_KIB * _KIB,
        high=_KIB**4,
    )
    allow_statements: str = _setting(
        "",
        "JSON file with an array of statements; a request with any other statement, byte for byte, gets 403",
    )

    processes: int = _setting(
        1,
        "worker processes, to use several cores; pool-size, min-connections and queue-length are divided among them",
        group="process",
        low=1,
        high=256,
    )
    max_connections: int = _setting(
        2000,
        "maximum number of HTTP connections of each process; a further one replaces an idle connection without a"
        " token, or gets 503 and is closed",
        group="process",
        low=1,
        high=1_000_000,
    )
    keep_alive: int = _setting(75, "an idle HTTP connection is closed after this time", group="process", low=1)
    stop_timeout: int = _setting(
        10,
        "after SIGTERM or SIGINT, time for statements in flight; a second signal ends them",
        group="process",
        low=1,
    )
    log_level: str = _setting("info", "minimum level of log lines", group="process", choices=LEVELS)


def share(settings: Settings, index: int) -> Settings:
    """Return the settings of one process, with its share of the totals.

    Args:
        settings: the settings for all processes together.
        index: the number of the process, from 0.
    """

    def divide(total: int) -> int:
        return total // settings.processes + (index < total % settings.processes)

    return replace(
        settings,
        pool_size=divide(settings.pool_size),
        min_connections=divide(settings.min_connections),
        queue_length=divide(settings.queue_length),
    )


def option_of(name: str) -> Option | None:
    """Return the option of a setting; None for a setting without a flag."""
    option = Settings.__dataclass_fields__[name].metadata.get("option")
    return option if isinstance(option, Option) else None


def read(flags: Mapping[str, str | bool], environ: Mapping[str, str]) -> Settings:
    """Read all settings. A flag overrides its environment variable; an empty value selects the default.

    Raises:
        SettingError: a setting is missing or wrong. The message names it and never contains a secret.
    """
    values: dict[str, Any] = {}
    for item in fields(Settings):
        option = option_of(item.name)
        if option is None:
            continue
        raw_value = flags.get(item.name)
        source = "--" + item.name.replace("_", "-")
        if raw_value is None:
            source = PREFIX + item.name.upper()
            raw_value = environ.get(source, "")
        if raw_value != "":
            values[item.name] = _convert(raw_value, type(item.default), option, source)
    database = _connection_string(_secret("database_url", values, environ))
    if database.pgbouncer:
        values["prepare_threshold"] = 0
    allowed = load_statements(values["allow_statements"]) if "allow_statements" in values else None
    settings = Settings(
        conninfo=database.parameters,
        tokens=_tokens(_secret("token", values, environ)),
        allowed=allowed,
        trusted=load_statements(WORKER_STATEMENTS) if allowed is None else allowed,
        **values,
    )
    _check_combinations(settings)
    return settings


def _convert(raw_value: str | bool, kind: type, option: Option, source: str) -> object:
    if kind is bool:
        if raw_value in (True, "1", "true", "yes", "on"):
            return True
        if raw_value in ("0", "false", "no", "off"):
            return False
        raise SettingError(f"{source} must be true or false")
    if kind is str:
        if option.choices and raw_value not in option.choices:
            raise SettingError(f"{source} must be one of {', '.join(option.choices)}")
        return raw_value
    expected = "a whole number" if kind is int else "a number"
    try:
        number = kind(raw_value)
    except ValueError:
        raise SettingError(f"{source} must be {expected}, not {raw_value!r}") from None
    if not option.low <= number <= option.high:
        raise SettingError(f"{source} must be {expected} from {option.bounds}, not {raw_value!r}")
    return number


def _secret(name: str, values: Mapping[str, Any], environ: Mapping[str, str]) -> str:
    variable = PREFIX + name.upper()
    secret = environ.get(variable, "")
    path = values.get(f"{name}_file", "")
    if secret and path:
        raise SettingError(f"{variable} and {variable}_FILE are both set: remove one")
    if path:
        try:
            secret = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError) as exc:
            raise SettingError(f"{variable}_FILE: cannot read {path}: {type(exc).__name__}") from None
    if not secret:
        raise SettingError(f"{variable} is missing: set it or {variable}_FILE")
    return secret


def _connection_string(value: str) -> ConnectionString:
    variable = f"{PREFIX}DATABASE_URL"
    try:
        parsed = connection_string.parse(value)
    except ConnectionStringError as exc:
        raise SettingError(f"{variable} {exc}") from None
    for name in parsed.pool:
        raise SettingError(f"{variable} has a {name}, which is for clients with a pool: {_POOL_SETTINGS[name]}")
    if parsed.schema != "public":
        raise SettingError(f"{variable} has a schema: write options=-csearch_path%3DNAME instead")
    return parsed


def _tokens(secret: str) -> tuple[str, ...]:
    tokens = tuple(secret.split())
    if len(tokens) > _MAX_TOKENS:
        raise SettingError(f"{PREFIX}TOKEN has more than {_MAX_TOKENS} tokens")
    for token in tokens:
        if len(token) < MIN_TOKEN_LENGTH or not token.isascii() or not token.isprintable():
            raise SettingError(f"{PREFIX}TOKEN must be at least {MIN_TOKEN_LENGTH} printable ASCII characters")
    return tokens


def _check_combinations(settings: Settings) -> None:
    if settings.min_connections > settings.pool_size:
        raise SettingError("min-connections is larger than pool-size")
    if settings.processes > settings.pool_size:
        raise SettingError("processes is larger than pool-size: each process needs a connection")
    if settings.processes > 1 and not _CAN_SHARE:
        raise SettingError("processes: this system cannot share a port among processes")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        raise SettingError("tls-cert and tls-key must both be set: one is missing")
    for name in ("tls_cert", "tls_key"):
        path = getattr(settings, name)
        if path and not Path(path).is_file():
            raise SettingError(f"{name.replace('_', '-')}: there is no file {path}")
    if not (settings.tls_cert or settings.insecure_listen or _is_loopback(settings.host)):
        raise SettingError(
            f"host {settings.host} is not loopback: set --tls-cert and --tls-key, or --insecure-listen behind"
            " a proxy that terminates TLS"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
