"""Convert Postgres connection strings, as users paste them, to libpq's parameters.

Prisma's URLs have parameters that libpq refuses (`schema`, `connection_limit`, …; prisma.io/docs, page "PostgreSQL",
"Connection URL"). libpq's own parameters are listed in the PostgreSQL manual, section 32.1.2.
docs/connection-strings.md describes how each parameter is handled.
"""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass, field
from ipaddress import ip_address
from os import environ
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ConnectionString", "ConnectionStringError", "parse"]

SCHEMES = ("postgres://", "postgresql://")

# Prisma's parameters for a connection pool in the client.
_POOL_PARAMETERS = (
    *("connection_limit", "pool_timeout", "socket_timeout", "statement_cache_size", "single_use_connections"),
    *("max_connection_lifetime", "max_idle_connection_lifetime"),
)

_ALLOWED_VALUES = {
    "sslmode": ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"),
    "channel_binding": ("disable", "prefer", "require"),
}
# Names that are not in the public domain name system (RFC 6761, 6762, 8375, and ICANN's `internal`).
_PRIVATE_DOMAINS = (".localhost", ".local", ".internal", ".home.arpa", ".test")

_UNENCODED_CREDENTIALS = (
    "has an @ or a / in the user or the password: percent-encode them (@ is %40, / is %2F, ? is %3F, # is %23)"
)


class ConnectionStringError(ValueError):
    """The connection string cannot be used. The message states the reason, and contains no credentials."""


@dataclass(frozen=True)
class ConnectionString:
    """The parts of a connection string.

    Attributes:
        parameters: libpq's connection parameters.
        schema: the schema of the tables (Prisma's parameter `schema`).
        pool: Prisma's parameters for a connection pool in the client.
        pgbouncer: whether the server is a pooler in transaction mode (Prisma's parameter `pgbouncer`).
        is_url: whether the string is a URL.
    """

    parameters: Mapping[str, str] = field(repr=False)
    schema: str = "public"
    pool: Mapping[str, str] = field(default_factory=dict)
    pgbouncer: bool = False
    is_url: bool = True

    @property
    def is_pooler(self) -> bool:
        """Whether the server is a pooler in transaction mode, according to `pgbouncer` or a provider's address."""
        hosts = self.parameters.get("host", "").lower().split(",")
        return self.pgbouncer or any(_is_pooler(host, self.parameters.get("port", "")) for host in hosts)


def parse(text: str) -> ConnectionString:
    """Parse a URL in libpq's or Prisma's form, or libpq's `name=value` form.

    White space and a pair of quotes around the string are removed.

    Raises:
        ConnectionStringError: the string is malformed, or has a part that is not supported.
    """
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`":
        text = text[1:-1].strip()
    if not text.startswith(SCHEMES):
        if "://" in text:
            raise ConnectionStringError(
                "needs a postgres:// URL of the database itself, not of an HTTP proxy, without other text around it"
            )
        return ConnectionString(_check_parameters(_parse_with_libpq(text)), is_url=False)
    if _has_unencoded_credentials(text):
        raise ConnectionStringError(_UNENCODED_CREDENTIALS)
    if re.search("%(?![0-9A-Fa-f]{2})", text):
        raise ConnectionStringError("has a % that is not part of a percent-escape: write it as %25")
    # libpq accepts every character except @ and / in a password, so a ? before the @ does not start a query.
    query_at = text.find("?", text.find("@") + 1)
    base, query = (text, "") if query_at < 0 else (text[:query_at], text[query_at + 1 :])
    # Decode only the names: libpq decodes the values of its own parameters. Like libpq, keep a plus as a plus.
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    if not all(equals for _, equals, _ in pairs):
        raise ConnectionStringError("has a parameter without a value")
    query_parameters = {unquote(name): value for name, _, value in pairs}
    if len(query_parameters) < len(pairs):
        raise ConnectionStringError("has a parameter twice: keep one of them")
    schema = unquote(query_parameters.pop("schema", "")) or "public"
    pool = {name: query_parameters.pop(name) for name in _POOL_PARAMETERS if name in query_parameters}
    pgbouncer = query_parameters.pop("pgbouncer", "false")
    if pgbouncer not in ("true", "false"):
        raise ConnectionStringError("has a parameter pgbouncer that is neither true nor false")
    _translate_foreign_parameters(query_parameters)
    libpq_names = {option.keyword.decode() for option in pq.Conninfo.get_defaults()}
    if unknown_names := sorted(query_parameters.keys() - libpq_names):
        raise ConnectionStringError(_describe_unknown_parameters(unknown_names))
    libpq_query = "&".join(f"{name}={value}" for name, value in query_parameters.items())
    parameters = _check_parameters(_parse_with_libpq(f"{base}?{libpq_query}" if libpq_query else base))
    return ConnectionString(parameters, schema, pool, pgbouncer == "true")


def _describe_unknown_parameters(names: list[str]) -> str:
    listed_names = ", ".join(name for name in names if re.fullmatch("[A-Za-z_]{1,40}", name))
    if not listed_names:
        return "has unknown parameters with unusual names, which are not shown"
    return f"has unknown parameters: {listed_names}"


def _has_unencoded_credentials(url: str) -> bool:
    """Return whether a URL has a second @, or a / before the first @.

    libpq ends the password at the first @ and takes the text after it as the host name, which its error messages quote.
    """
    before, at, after = url.partition("://")[2].partition("@")
    return bool(at) and ("/" in before or "@" in after)


def _translate_foreign_parameters(parameters: dict[str, str]) -> None:
    """Replace the TLS parameters of Prisma and other drivers with libpq's, and remove a search path of `public`."""
    accept = parameters.pop("sslaccept", "accept_invalid_certs")
    if accept == "strict":
        parameters["sslmode"] = "verify-full"
    elif accept != "accept_invalid_certs":
        raise ConnectionStringError("has a parameter sslaccept that is neither strict nor accept_invalid_certs")
    if "ssl" in parameters:
        if parameters.pop("ssl") != "true":
            raise ConnectionStringError("has a parameter ssl that is not true: write sslmode, such as sslmode=require")
        # libpq treats ssl=true as sslmode=require, which after sslmode=verify-full would disable verification.
        if parameters.get("sslmode", "disable") in ("disable", "allow", "prefer"):
            parameters["sslmode"] = "require"
    for name in ("search_path", "currentSchema"):
        if parameters.get(name) == "public":
            del parameters[name]
        elif name in parameters:
            raise ConnectionStringError(f"has a {name}, which libpq does not know: write schema=NAME")


def _parse_with_libpq(text: str) -> dict[str, str]:
    try:
        parsed = conninfo_to_dict(text)
    except (psycopg.ProgrammingError, UnicodeError):
        # libpq's message quotes the string with its password; `from None` also keeps it out of tracebacks.
        raise ConnectionStringError(
            "is not a Postgres connection string, such as postgres://user:password@host:5432/database "
            "(is every special character percent-encoded?)"
        ) from None
    return {name: str(value) for name, value in parsed.items() if value is not None}


def _check_parameters(parameters: dict[str, str]) -> dict[str, str]:
    """Check libpq's parameters at start-up, not at each connection, and add root certificates if they are needed."""
    if any("\0" in value for value in parameters.values()):
        # libpq would end the value at the NUL.
        raise ConnectionStringError("has a NUL character")
    hosts = parameters.get("host", "").split(",")
    if not all(map(_is_valid_host, hosts)):
        raise ConnectionStringError("has an invalid host name (is a label empty or longer than 63 characters?)")
    if not all(re.fullmatch("[0-9]{0,5}", port) for port in parameters.get("port", "").split(",")):
        # The message does not quote the port: if the @ is missing, a part of the password is read as the port.
        raise ConnectionStringError("has a port that is not a number from 1 to 65535")
    if not re.fullmatch("-?[0-9]{1,9}", parameters.get("connect_timeout", "0")):
        raise ConnectionStringError("has a connect_timeout that is not a whole number")
    for name, values in _ALLOWED_VALUES.items():
        if parameters.get(name, values[0]) not in values:
            raise ConnectionStringError(f"has a {name} that is not one of {', '.join(values)}")
    mode = parameters.get("sslmode", "prefer")
    addresses = parameters.get("hostaddr", "").split(",") if "hostaddr" in parameters else hosts
    if mode in ("disable", "allow") and any(map(_is_public, addresses)):
        raise ConnectionStringError(
            f"has sslmode={mode} and a public host: passwords and data would be sent unencrypted; write "
            "sslmode=require, or verify-full"
        )
    return parameters | _root_certificates(mode, parameters)


def _root_certificates(mode: str, parameters: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters that verify the server with the system's root certificates, or no parameters.

    The system's certificates are used with `sslrootcert=system`, and with `verify-full` if neither `sslrootcert` nor
    PGSSLROOTCERT is set and libpq's default file does not exist. This file rarely exists, and the OpenSSL in psycopg's
    binary wheel does not know where the system's certificates are. Python's OpenSSL does.

    Raises:
        ConnectionStringError: `verify-ca` is requested, but there is no file with root certificates.
    """
    root_file = parameters.get("sslrootcert") or environ.get("PGSSLROOTCERT", "")
    if root_file == "system" or (mode == "verify-full" and not root_file and not _default_root_certificate().exists()):
        return {"sslmode": "verify-full", "sslrootcert": ssl.get_default_verify_paths().cafile or "system"}
    if mode == "verify-ca" and not root_file and not _default_root_certificate().exists():
        raise ConnectionStringError("has sslmode=verify-ca without sslrootcert=FILE: add it, or write verify-full")
    return {}


def _default_root_certificate() -> Path:
    return Path(environ.get("HOME", "/")) / ".postgresql" / "root.crt"


def _is_valid_host(host: str) -> bool:
    """Return whether a host is a socket, an address, or a name whose labels have 1 to 63 characters."""
    try:
        host.encode("idna")
    except UnicodeError:
        # The path of a socket and the name of an abstract socket are not host names.
        return host.startswith(("/", "@"))
    return True


def _is_public(host: str) -> bool:
    """Return whether a host is public: not a socket, a private address or name, or a name without a dot."""
    if not host or host.startswith(("/", "@")):
        return False
    try:
        return ip_address(host).is_global
    except ValueError:
        name = host.lower().removesuffix(".")
        return "." in name and not name.endswith(_PRIVATE_DOMAINS)


def _is_pooler(host: str, port: str) -> bool:
    return (
        # In this order: Neon and Xata, Prisma Postgres, PlanetScale, Supabase.
        host.partition(".")[0].endswith("-pooler")
        or host == "pooled.db.prisma.io"
        or (host.endswith(".pg.psdb.cloud") and port == "6432")
        or (host.endswith((".pooler.supabase.com", ".supabase.co")) and port == "6543")
    )
