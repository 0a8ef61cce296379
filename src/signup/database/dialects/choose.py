"""Which data proxy a DATABASE_URL means: one readable table."""

from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import SplitResult, unquote

from pydantic import SecretStr

from signup import urls
from signup.database.dialects import accelerate, neon, prisma_postgres, sqlproxy
from signup.database.proxy import DataProxy
from signup.http_client import Http
from signup.problems import Misconfigured

POSTGRES = ("postgres", "postgresql")
PRISMA = ("prisma", "prisma+postgres")


class Form(NamedTuple):
    """One kind of URL.

    Args:
        example: what it looks like.
        schemes: what it begins with.
        host: what its host is or ends in, below a dot; "" is any.
        build: makes its proxy; raises `Misconfigured`.
        notice: what is to be known of it, as a sentence whose subject is the setting; "" is nothing.
    """

    example: str
    schemes: tuple[str, ...]
    host: str
    build: Callable[[Http, SplitResult], DataProxy]
    notice: str = ""


# The first that fits is it.
FORMS = (
    Form("sql+https://TOKEN@host/", ("sql+https", "sql+http"), "", sqlproxy.build),
    Form("postgres://user:password@....neon.tech/db", POSTGRES, neon.DOMAIN, neon.build),
    Form("postgres://ID:KEY@db.prisma.io:5432/postgres", POSTGRES, prisma_postgres.DOMAIN, prisma_postgres.build),
    Form("prisma://.../?api_key=KEY", PRISMA, accelerate.HOSTED, accelerate.build, accelerate.RETIREMENT),
    Form("prisma+postgres://host/?api_key=KEY", PRISMA, "", accelerate.build),
)


def choose(database_url: SecretStr, http: Http, notify: Callable[[str], None]) -> DataProxy:
    """Return the proxy that the URL means.

    Args:
        database_url: the setting.
        http: what the proxy sends its requests with.
        notify: gets what whoever runs the Worker should know of this kind of URL, if there is such a thing.

    Raises:
        Misconfigured: it is malformed, or of no known form; the message lists those, and nothing of the URL.
    """
    text = database_url.get_secret_value()
    url = urls.parse("DATABASE_URL", text)
    host = str(url.hostname).removesuffix(".")
    try:
        unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise Misconfigured("DATABASE_URL", "has percent-escapes that are not UTF-8") from None
    for form in FORMS:
        if url.scheme in form.schemes and (not form.host or f".{host}".endswith(f".{form.host}")):
            proxy = form.build(http, url)
            if form.notice:
                notify(f"DATABASE_URL {form.notice}")
            return proxy
    known = ", ".join(form.example for form in FORMS)
    raise Misconfigured("DATABASE_URL", f"is of no known form; known are {known}")
