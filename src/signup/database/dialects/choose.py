"""Choose the data proxy for a DATABASE_URL."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple
from urllib.parse import SplitResult, unquote

from pydantic import SecretStr

from signup import urls
from signup.database.dialects import accelerate, hyperdrive, neon, prisma_postgres, sqlproxy
from signup.database.proxy import DataProxy
from signup.http_client import Http
from signup.problems import Misconfigured

POSTGRES = ("postgres", "postgresql")
PRISMA = ("prisma", "prisma+postgres")

Connect = Callable[[Http], DataProxy]


class Form(NamedTuple):
    """One form of the URL.

    Args:
        example: an example.
        description: the data proxy, in Markdown, for docs/settings.md.
        schemes: the schemes.
        host: the domain of the host; "" for any.
        parse: checks the URL and returns a factory of its proxy; raises `Misconfigured`. None for Hyperdrive.
        notice: a notice for the operator, as a sentence whose subject is the setting; "" for none.
    """

    example: str
    description: str
    schemes: tuple[str, ...]
    host: str
    parse: Callable[[SplitResult], Connect] | None
    notice: str = ""


# The first matching form is chosen.
FORMS = (
    Form(
        "sql+https://TOKEN@host/",
        "`sqlproxy`, in front of your own Postgres (`sql+http://` on loopback)",
        ("sql+https", "sql+http"),
        "",
        sqlproxy.parse,
    ),
    Form("postgres://user:password@....neon.tech/db", "Neon", POSTGRES, neon.DOMAIN, neon.parse),
    Form(
        "postgres://ID:KEY@db.prisma.io:5432/postgres",
        "Prisma Postgres, over its serverless HTTP",
        POSTGRES,
        prisma_postgres.DOMAIN,
        prisma_postgres.parse,
    ),
    Form(
        "prisma://.../?api_key=KEY",
        "the hosted Prisma Accelerate, retired on 2026-12-01",
        PRISMA,
        accelerate.HOSTED,
        accelerate.parse,
        accelerate.RETIREMENT,
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
        connect: the factory of its proxy. None for Hyperdrive, which has no URL.
        notice: as in `Form`.
    """

    connect: Connect | None
    notice: str


def find_dialect(database_url: SecretStr) -> Dialect:
    """Check a DATABASE_URL and return its dialect.

    Args:
        database_url: the setting.

    Raises:
        Misconfigured: the URL is malformed or has no known form. The message lists these and does not quote the URL.
    """
    text = database_url.get_secret_value()
    if text == hyperdrive.URL:
        return Dialect(None, "")
    url = urls.parse("DATABASE_URL", text)
    host = str(url.hostname).removesuffix(".")
    try:
        unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Misconfigured("DATABASE_URL", "has percent-escapes that are not UTF-8") from None
    for form in FORMS:
        if form.parse and url.scheme in form.schemes and (not form.host or f".{host}".endswith(f".{form.host}")):
            return Dialect(form.parse(url), form.notice)
    known = ", ".join(form.example for form in FORMS)
    raise Misconfigured("DATABASE_URL", f"is of no known form; known are {known}")


_UNBOUND = partial(hyperdrive.connect, None, 0)


def choose(
    database_url: SecretStr,
    http: Http,
    notify: Callable[[str], None],
    connect_hyperdrive: Callable[[], DataProxy] = _UNBOUND,
) -> DataProxy:
    """Return the proxy of a DATABASE_URL.

    Args:
        database_url: the setting.
        http: sends the proxy's requests.
        notify: receives the notice of the URL's form.
        connect_hyperdrive: returns the proxy over Hyperdrive, or raises `Misconfigured` if it is not bound.

    Raises:
        Misconfigured: as `find_dialect`.
    """
    dialect = find_dialect(database_url)
    if dialect.notice:
        notify(f"DATABASE_URL {dialect.notice}")
    return dialect.connect(http) if dialect.connect else connect_hyperdrive()
