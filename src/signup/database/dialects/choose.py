"""Choose the data proxy for a DATABASE_URL."""

import time
from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import SplitResult, unquote

from pydantic import SecretStr

from signup.database.dialects import accelerate, hyperdrive, neon, prisma_postgres, sqlproxy
from signup.database.dialects.connection_string import SETTING, read
from signup.database.proxy import DataProxy
from signup.http_client import Http
from signup.log import Warn
from signup.problems import Misconfigured

POSTGRES = ("postgres", "postgresql")
PRISMA = ("prisma", "prisma+postgres")

Connect = Callable[[Http], DataProxy]


class Form(NamedTuple):
    """A form of DATABASE_URL.

    Args:
        example: an example of the URL.
        description: the data proxy, in Markdown, for docs/settings.md.
        schemes: the URL schemes of this form.
        host: the domain of the host; "" for any.
        parse: checks the URL and returns a factory of its proxy; raises `Misconfigured`. None for Hyperdrive.
        notice: a notice for the operator, as the predicate of a sentence about the setting; "" for none.
        retired: the time at which the service ends, in seconds since the epoch; None if it continues. From then on the
            URL is refused with the notice.
    """

    example: str
    description: str
    schemes: tuple[str, ...]
    host: str
    parse: Callable[[SplitResult], Connect] | None
    notice: str = ""
    retired: float | None = None


# The first matching form is used.
FORMS = (
    Form(
        "sql+https://TOKEN@host/",
        "`sqlproxy`, in front of your own Postgres (`sql+http://` on loopback)",
        ("sql+https", "sql+http"),
        "",
        sqlproxy.parse,
    ),
    Form("postgres://user:password@....neon.tech/db", "Neon", POSTGRES, neon.NEON, neon.parse_neon),
    Form(
        "postgres://user:password@....pg.psdb.cloud/db",
        "PlanetScale Postgres",
        POSTGRES,
        neon.PLANETSCALE,
        neon.parse_planetscale,
    ),
    Form("postgres://user:password@....xata.tech/db", "Xata", POSTGRES, neon.XATA, neon.parse_xata),
    Form(
        "postgres://ID:KEY@db.prisma.io:5432/postgres",
        "Prisma Postgres, over its serverless HTTP",
        POSTGRES,
        prisma_postgres.DOMAIN,
        prisma_postgres.parse,
    ),
    Form(
        "prisma://.../?api_key=KEY",
        "the hosted Prisma Accelerate, refused from 2026-12-01 on",
        PRISMA,
        accelerate.HOSTED,
        accelerate.parse,
        accelerate.RETIREMENT,
        accelerate.RETIRED,
    ),
    Form(
        "prisma+postgres://host/?api_key=KEY",
        "Prisma Accelerate's protocol: `npx prisma dev`, or a query plan executor of your own",
        PRISMA,
        "",
        accelerate.parse,
    ),
    Form(hyperdrive.URL, "Cloudflare Hyperdrive, through the binding `HYPERDRIVE`", ("hyperdrive",), "", None),
)


class Dialect(NamedTuple):
    """The dialect of a DATABASE_URL.

    Args:
        connect: the factory of its proxy. None for Hyperdrive, whose proxy needs the binding.
        notice: the notice of its `Form`; "" for none.
    """

    connect: Connect | None
    notice: str


def find_dialect(database_url: SecretStr, clock: Callable[[], float] = time.time) -> Dialect:
    """Check a DATABASE_URL and return its dialect.

    Args:
        database_url: the setting.
        clock: returns the time, in seconds since the epoch.

    Raises:
        Misconfigured: the URL is malformed, has an unknown form, or belongs to a retired service. The message does not
            quote the URL.
    """
    if database_url.get_secret_value() == hyperdrive.URL:
        return Dialect(None, "")
    url = read(database_url.get_secret_value())
    host = str(url.hostname).removesuffix(".")
    try:
        unquote(url.geturl(), errors="strict")
    except UnicodeDecodeError:
        raise Misconfigured(SETTING, "has percent-escapes that are not UTF-8") from None
    for form in FORMS:
        if form.parse and url.scheme in form.schemes and (not form.host or f".{host}".endswith(f".{form.host}")):
            if form.retired is not None and clock() >= form.retired:
                raise Misconfigured(SETTING, form.notice)
            return Dialect(form.parse(url), form.notice)
    examples = ", ".join(form.example for form in FORMS)
    alternative = "; any other Postgres is reached through sqlproxy, or Hyperdrive" if url.scheme in POSTGRES else ""
    raise Misconfigured(SETTING, f"has an unknown form; known forms are {examples}{alternative}")


_UNBOUND = partial(hyperdrive.connect, None, 0)


def choose(
    database_url: SecretStr,
    http: Http,
    warn: Warn,
    clock: Callable[[], float] = time.time,
    connect_hyperdrive: Callable[[], DataProxy] = _UNBOUND,
) -> DataProxy:
    """Return the proxy of a DATABASE_URL.

    Args:
        database_url: the setting.
        http: sends the proxy's requests.
        warn: logs the notice of the URL's form.
        clock: returns the time, in seconds since the epoch.
        connect_hyperdrive: returns the proxy over Hyperdrive, or raises `Misconfigured` if Hyperdrive is not bound.

    Raises:
        Misconfigured: see `find_dialect`.
    """
    dialect = find_dialect(database_url, clock)
    if dialect.notice:
        warn("data_proxy_retired", setting=SETTING, reason=f"{SETTING} {dialect.notice}")
    return dialect.connect(http) if dialect.connect else connect_hyperdrive()
