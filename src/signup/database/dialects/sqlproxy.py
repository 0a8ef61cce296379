"""sqlproxy, the self-hosted pooled proxy: `sql+https://TOKEN@host[:port]/`."""

from collections.abc import Callable
from functools import partial
from urllib.parse import SplitResult, unquote

from pydantic import SecretStr

from signup.database.dialects.connection_string import SETTING
from signup.database.dialects.sql_over_http import SqlOverHttp
from signup.http_client import Http
from signup.problems import Misconfigured
from signup.urls import is_loopback


def parse(url: SplitResult) -> Callable[[Http], SqlOverHttp]:
    """Check a `sql+https:` URL, or on loopback a `sql+http:` URL, and return a factory of its proxy.

    The user in the URL is the bearer token.

    Raises:
        Misconfigured: the token is missing or malformed, or would be sent unencrypted over a network, or the URL has a
            password or parameters.
    """
    token = unquote(url.username or "")
    if not token or url.password is not None or not token.isascii() or not token.isprintable():
        raise Misconfigured(SETTING, "needs a token and nothing else before the @: sql+https://TOKEN@host/")
    scheme = url.scheme.removeprefix("sql+")
    if scheme == "http" and not is_loopback(str(url.hostname)):
        raise Misconfigured(
            SETTING, "would send its token unencrypted: sql+http:// is only for loopback, use sql+https://"
        )
    if url.query:
        raise Misconfigured(SETTING, "has parameters: set those of Postgres in the connection string of sqlproxy")
    _, _, location = url.netloc.rpartition("@")
    return partial(
        SqlOverHttp,
        url=f"{scheme}://{location}{url.path.rstrip('/')}/sql",
        credentials={"authorization": SecretStr(f"Bearer {token}")},
    )
