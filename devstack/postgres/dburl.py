"""Parse the database URLs of the operator's commands, and keep their passwords out of messages."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlproxy import connection_string
from sqlproxy.connection_string import ConnectionStringError

# A secret with fewer characters may also be part of an ordinary word.
_MIN_UNUSUAL_LENGTH = 4


class UrlError(ValueError):
    """The URL cannot be used; the message states the reason and does not quote the URL."""


@dataclass(frozen=True)
class Target:
    """The target of a connection.

    Attributes:
        parameters: libpq's connection parameters.
        schema: the schema of the tables.
        secrets: strings that `redact` replaces in messages.
    """

    parameters: Mapping[str, str] = field(repr=False)
    schema: str
    secrets: tuple[str, ...] = field(repr=False)

    def redact(self, message: str) -> str:
        """Return the message with secrets replaced. A short secret is replaced only where it is a whole word."""
        for secret in self.secrets:
            pattern = re.escape(secret)
            is_short = len(secret) < _MIN_UNUSUAL_LENGTH
            message = re.sub(rf"(?<!\w){pattern}(?!\w)" if is_short else pattern, "***", message)
        return message


def parse(url: str) -> Target:
    """Parse a `postgres://` or `postgresql://` URL in libpq's or Prisma's form.

    Prisma's parameters for connection pools are ignored, because each command uses a single connection.

    Raises:
        UrlError: the URL is malformed, has an unknown parameter, or points to a pooler in transaction mode, which does
            not support the session-level lock of migrations.
    """
    try:
        parsed = connection_string.parse(url)
    except ConnectionStringError as exc:
        raise UrlError(str(exc)) from None
    if not parsed.is_url:
        raise UrlError("needs a postgres:// URL" if url else "is empty or not set: it needs a postgres:// URL")
    if parsed.is_pooler:
        raise UrlError(
            "points to a connection pooler: use the direct URL (Neon, Xata: the host without -pooler; PlanetScale, "
            "Supabase: port 5432; Prisma Postgres: db.prisma.io), without pgbouncer=true"
        )
    secrets = tuple(value for name, value in parsed.parameters.items() if "password" in name and value)
    return Target(parsed.parameters, parsed.schema, secrets)
