"""Neon: `postgres://user:password@ep-….region.aws.neon.tech/db`, over its SQL-over-HTTP endpoint."""

from collections.abc import Callable
from functools import partial
from urllib.parse import SplitResult

from pydantic import SecretStr

from signup.database.dialects.sql_over_http import SqlOverHttp
from signup.http_client import Http
from signup.problems import Misconfigured

DOMAIN = "neon.tech"


def parse(url: SplitResult) -> Callable[[Http], SqlOverHttp]:
    """Check a Neon connection string, and return a factory of its proxy.

    As Neon's driver does, requests go to `api.` and the host without its first label, the endpoint's id. The whole
    connection string, with endpoint and credentials, is sent in a header. HTTP always uses Neon's own pool; a `-pooler`
    host also works, and adds PgBouncer.

    Raises:
        Misconfigured: endpoint, user, password or database is missing.
    """
    _, _, region = str(url.hostname).removesuffix(".").partition(".")
    if not url.username or not url.password or url.path in ("", "/") or not f".{region}".endswith(f".{DOMAIN}"):
        raise Misconfigured(
            "DATABASE_URL", "needs a user, a password, an endpoint and a database: postgres://user:password@host/db"
        )
    credentials = {"neon-connection-string": SecretStr(url.geturl())}
    return partial(SqlOverHttp, url=f"https://api.{region}/sql", credentials=credentials)
