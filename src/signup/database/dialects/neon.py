"""Connection strings of hosts that speak Neon's SQL over HTTP: Neon, PlanetScale Postgres and Xata.

| connection string                                          | endpoint                         |
| ---------------------------------------------------------- | -------------------------------- |
| `postgres://user:password@ep-….REGION.aws.neon.tech/db`    | `https://api.REGION.aws.neon.tech/sql` |
| `postgresql://user:password@REGION.pg.psdb.cloud:5432/db`  | `https://REGION.pg.psdb.cloud/sql` |
| `postgresql://user:password@BRANCH.REGION.xata.tech/db`    | `https://BRANCH.REGION.xata.tech/sql` |

Each host reads the whole connection string, including host and credentials, from a request header. Sources: npm's
@neondatabase/serverless 1.2.0 for Neon; PlanetScale's page "Neon serverless driver", which sets `fetchEndpoint` to the
host's own `/sql`; Xata's OpenAPI document, operation `query`, where the request goes to the host of the connection
string; and xataio/xata, services/gateway/serverless, which accepts headers that begin with `Neon-`.
"""

from collections.abc import Callable
from functools import partial
from urllib.parse import SplitResult, unquote

from pydantic import SecretStr

from signup.database.dialects.connection_string import SETTING, check_parameters
from signup.database.dialects.sql_over_http import SqlOverHttp
from signup.http_client import Http
from signup.problems import Misconfigured

NEON = "neon.tech"
PLANETSCALE = "pg.psdb.cloud"
XATA = "xata.tech"

Connect = Callable[[Http], SqlOverHttp]


def parse_neon(url: SplitResult) -> Connect:
    """Check a Neon connection string, and return a factory of its proxy.

    Like Neon's driver, this replaces the host's first label, the endpoint's id, with `api`. Over HTTP, Neon always uses
    its own pool; a `-pooler` host also works, and adds PgBouncer.

    Raises:
        Misconfigured: endpoint, user, password or database is missing, or a parameter is refused.
    """
    endpoint, _, region = _host(url).partition(".")
    _check_parts(url, f".{region}".endswith(f".{NEON}"))
    check_parameters(url, endpoint.removesuffix("-pooler"))
    return _connect(url, f"api.{region}")


def parse_planetscale(url: SplitResult) -> Connect:
    """Check a connection string of PlanetScale Postgres, and return a factory of its proxy.

    Raises:
        Misconfigured: see `parse_neon`; also if the user contains a `|`: the suffix `|replica` selects a read-only
            server.
    """
    _check_parts(url, _host(url) != PLANETSCALE)
    if "|" in unquote(url.username or ""):
        raise Misconfigured(SETTING, "points to a replica, which is read-only: remove |replica from the user")
    check_parameters(url)
    return _connect(url, _host(url))


def parse_xata(url: SplitResult) -> Connect:
    """Check a Xata connection string, and return a factory of its proxy.

    Xata's pool is used for a branch without a suffix or with `-pooler`. A branch with `-rw` bypasses the pool.

    Raises:
        Misconfigured: see `parse_neon`; also if the host has only read-only servers.
    """
    branch, _, region = _host(url).removesuffix(f".{XATA}").partition(".")
    _check_parts(url, bool(region) and "." not in region)
    if branch.endswith(("-r", "-ro")):
        raise Misconfigured(SETTING, "points to a replica, which is read-only: use the host without -r or -ro")
    check_parameters(url)
    return _connect(url, _host(url))


def _host(url: SplitResult) -> str:
    return str(url.hostname).removesuffix(".")


def _check_parts(url: SplitResult, is_complete_host: bool) -> None:
    if not url.username or not url.password or url.path in ("", "/") or not is_complete_host:
        raise Misconfigured(
            SETTING, "needs a user, a password, an endpoint and a database: postgres://user:password@host/db"
        )


def _connect(url: SplitResult, host: str) -> Connect:
    credentials = {"neon-connection-string": SecretStr(url.geturl())}
    return partial(SqlOverHttp, url=f"https://{host}/sql", credentials=credentials)
