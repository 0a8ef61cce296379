"""Convert Postgres URLs in Prisma's form to libpq's parameters, and keep passwords out of messages.

Prisma's URLs have parameters that libpq refuses (`schema`, `connection_limit`, …; prisma.io/docs, page "PostgreSQL",
"Connection URL"). libpq's own parameters are listed in the PostgreSQL manual, section 32.1.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote

import psycopg
from psycopg import conninfo, pq

from sqlproxy.operations.settings import UNENCODED, has_unencoded_credentials

# Prisma's parameters that do not matter for the single connection of a migration.
_IGNORED = frozenset({
    *("connection_limit", "pool_timeout", "socket_timeout", "statement_cache_size", "single_use_connections"),
    *("max_connection_lifetime", "max_idle_connection_lifetime"),
})  # fmt: skip


# Secrets shorter than this also occur in ordinary words.
_SHORT = 4


class UrlError(ValueError):
    """The URL cannot be used; the message says why and does not quote it."""


@dataclass(frozen=True)
class Target:
    """The target of a connection.

    Attributes:
        parameters: libpq's connection parameters.
        schema: the schema of the tables.
        secrets: the strings that no message may contain.
    """

    parameters: dict[str, str] = field(repr=False)
    schema: str
    secrets: tuple[str, ...] = field(repr=False)

    def redact(self, message: str) -> str:
        """Return the message with secrets replaced; a short secret only as a whole word, to keep others readable."""
        for secret in self.secrets:
            found = re.escape(secret)
            message = re.sub(found if len(secret) >= _SHORT else rf"(?<!\w){found}(?!\w)", "***", message)
        return message


def parse(url: str) -> Target:
    """Parse a `postgres://` or `postgresql://` URL in libpq's or Prisma's form.

    Raises:
        UrlError: the URL is malformed, has an unknown parameter, or leads to a pooler in transaction mode. A migration
            holds a lock, as Prisma's do, and therefore needs one connection throughout.
    """
    if not url.startswith(("postgres://", "postgresql://")):
        raise UrlError("needs a postgres:// URL that leads to the database itself, not to an HTTP proxy")
    if has_unencoded_credentials(url):
        raise UrlError(UNENCODED)
    if "\0" in unquote(url):
        # libpq would end the value there.
        raise UrlError("has a NUL character")
    # As libpq does it: a password may hold any character but @ and /, so a ? before the @ begins no query.
    query_at = url.find("?", url.find("@") + 1)
    base, query = (url, "") if query_at < 0 else (url[:query_at], url[query_at + 1 :])
    # Names are decoded, and values stay as they are written: in libpq's eyes a plus is no space.
    pairs = [pair.partition("=") for pair in query.split("&") if pair]
    if not all(equals for _, equals, _ in pairs):
        raise UrlError("has a parameter without a value")
    given = {unquote(name): value for name, _, value in pairs}
    schema = unquote(given.pop("schema", "")) or "public"
    pooled = given.pop("pgbouncer", "false") == "true"
    if given.pop("sslaccept", None) == "strict":
        # Prisma's parameter for verifying the server's certificate.
        given.update(sslmode="verify-full", sslrootcert=given.get("sslrootcert", "system"))
    given = {name: value for name, value in given.items() if name not in _IGNORED}
    # libpq takes ssl=true for sslmode=require.
    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()} | {"ssl"}
    if unknown := sorted(given.keys() - known):
        raise UrlError(f"has unknown parameters: {', '.join(unknown)}")
    kept = "&".join(f"{name}={value}" for name, value in given.items())
    try:
        parsed = conninfo.conninfo_to_dict(f"{base}?{kept}" if kept else base)
    except (psycopg.ProgrammingError, UnicodeError):
        # The message quotes the URL with its password; `from None` keeps it out of tracebacks too.
        raise UrlError("is not a well-formed postgres:// URL (is every special character percent-encoded?)") from None
    parameters = {name: str(value) for name, value in parsed.items()}
    if not re.fullmatch("[0-9,]*", parameters.get("port", "")):
        # It may be a password without the @ behind it.
        raise UrlError("has a port that is not a number")
    # Neon's pooler has this suffix in its host name.
    if pooled or parameters.get("host", "").partition(".")[0].endswith("-pooler"):
        raise UrlError("leads to a connection pooler: give the direct URL (Neon: the host without -pooler)")
    secrets = tuple(value for name, value in parameters.items() if "password" in name and value)
    return Target(parameters, schema, secrets)
