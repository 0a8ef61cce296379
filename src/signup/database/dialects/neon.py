"""Neon: `postgres://user:password@ep-….region.aws.neon.tech/db`, over its SQL-over-HTTP endpoint."""

from urllib.parse import SplitResult

from pydantic import SecretStr

from signup.database.dialects.sql_over_http import SqlOverHttp
from signup.http_client import Http
from signup.problems import Misconfigured

DOMAIN = "neon.tech"


def build(http: Http, url: SplitResult) -> SqlOverHttp:
    """Return the proxy of a Neon connection string.

    Neon's driver posts to `api.` and the host without its first label, the endpoint's id. That goes in a header
    together with the credentials: the connection string itself, direct and `-pooler` hosts alike. HTTP goes through
    Neon's own pool in any case; `-pooler` adds its PgBouncer.

    Raises:
        Misconfigured: endpoint, user, password or database is missing.
    """
    _, _, region = str(url.hostname).removesuffix(".").partition(".")
    if not url.username or not url.password or url.path in ("", "/") or not f".{region}".endswith(f".{DOMAIN}"):
        raise Misconfigured(
            "DATABASE_URL", "needs a user, a password, an endpoint and a database: postgres://user:password@host/db"
        )
    return SqlOverHttp(http, f"https://api.{region}/sql", {"neon-connection-string": SecretStr(url.geturl())})
