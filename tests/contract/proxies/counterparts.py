"""The servers of the dialects, run locally.

sqlproxy stands in for Neon and PlanetScale. A fake stands in for Prisma Postgres; it is tested with the real client.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

import httpx
from pydantic import SecretStr

from devstack.postgres.server import free_port
from devstack.stack.services import Service
from signup.database.dialects.choose import choose
from signup.database.retry import ResilientProxy
from signup.http_client import Http
from signup.registration.user_store import NO_DETAILS, Details, Entry, PostgresUserStore
from tests.fakes import Warnings, stored

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from signup.database.proxy import DataProxy

ROOT = Path(__file__).resolve().parents[3]
NODE = str(ROOT / ".venv" / "bin" / "node")
HERE = Path(__file__).parent
# The names of the servers over HTTP, and of all servers.
HTTP = ("sqlproxy", "neon", "planetscale", "executor", "prisma dev", "prisma postgres")
NAMES = (*HTTP, "hyperdrive")
KEY = "canary-key-of-the-contract"
# The statement timeout of all servers except `prisma dev`, in seconds.
STATEMENT_TIMEOUT = 1.5
_DEADLINE = 30.0


@dataclass(frozen=True)
class Counterpart:
    """A server for a dialect.

    Args:
        name: the name in the tests.
        url: the Worker's DATABASE_URL.
        database: the URL of the server's Postgres.
        address: the address on this machine, if the host in `url` is a public service.
    """

    name: str
    url: str = field(repr=False)
    database: str = field(repr=False)
    address: str = ""

    @contextlib.asynccontextmanager
    async def proxy(
        self,
        *,
        deadline: float = 15,
        key: str | None = None,
        address: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> AsyncIterator[DataProxy]:
        """Yield the `DataProxy` that the Worker selects for the server, with httpx's default transport.

        Args:
            deadline: the timeout of an exchange in seconds.
            key: an API key, token or password that replaces the valid one.
            address: an address that replaces that of the server.
            transport: a transport that replaces the default one.
        """
        chosen_transport = transport or self.transport(address)
        url = self.url if key is None else self.url.replace(self.key, key)
        async with chosen_transport:
            yield choose(SecretStr(url), Http(chosen_transport, deadline), Warnings())

    def transport(self, address: str = "") -> httpx.AsyncBaseTransport:
        """Return httpx's default transport, which connects to the server or to the given address."""
        target = address or self.address
        return _FixedAddressTransport(target) if target else httpx.AsyncHTTPTransport()

    @property
    def key(self) -> str:
        """The valid API key, token or password."""
        return parse_qs(urlsplit(self.url).query).get("api_key", [KEY])[0]


class _FixedAddressTransport(httpx.AsyncHTTPTransport):
    """httpx's default transport, which connects to one address without TLS, whatever the host."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._address = httpx.URL(address)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request to the address; the Host header is kept."""
        request.url = request.url.copy_with(
            scheme=self._address.scheme, host=self._address.host, port=self._address.port
        )
        return await super().handle_async_request(request)


@contextlib.contextmanager
def started(name: str, command: Sequence[str], **environ: str) -> Iterator[Mapping[str, Any]]:
    """Run a program until the block ends; yield the first JSON object with a port or a URL that it prints.

    Raises:
        ServiceError: the program exited early; the message contains its last lines.
        AssertionError: the program did not print such an object in time.
    """
    lines: list[str] = []
    service = Service(name, command, {**os.environ, **environ}, lambda _, line: lines.append(line))
    service.start()
    try:
        deadline = time.monotonic() + _DEADLINE
        while not (ready := next((entry for entry in map(_announcement, list(lines)) if entry), None)):
            service.require_alive()
            assert time.monotonic() < deadline, f"{name} is not ready:\n{service.last_lines()}"
            time.sleep(0.02)
        yield ready
        service.require_alive()
    finally:
        service.stop()


def _announcement(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and entry.keys() & {"port", "url"} else None


@contextlib.contextmanager
def sqlproxy(database: str) -> Iterator[tuple[Counterpart, ...]]:
    """Run sqlproxy. It also stands in for Neon and PlanetScale, whose protocol it implements."""
    command = [sys.executable, "-m", "sqlproxy", "--port", "0", "--pool-size", "8", "--connect-timeout", "2"]
    secrets = {"SQLPROXY_DATABASE_URL": database, "SQLPROXY_TOKEN": KEY, "PYTHONPATH": str(ROOT)}
    limits = ("--statement-timeout", str(STATEMENT_TIMEOUT), "--answer-limit", "1000000")
    with started("sqlproxy", [*command, *limits], **secrets) as ready:
        address = f"http://127.0.0.1:{ready['port']}"
        yield (
            Counterpart("sqlproxy", f"sql+http://{KEY}@127.0.0.1:{ready['port']}/", database),
            Counterpart("neon", f"postgres://signup:{KEY}@ep-x-1-pooler.eu.aws.neon.tech/db", database, address),
            Counterpart("planetscale", f"postgres://signup.b:{KEY}@eu.pg.psdb.cloud:5432/db", database, address),
        )


@contextlib.contextmanager
def executor(database: str) -> Iterator[Counterpart]:
    """Run Prisma's query plan executor."""
    settings = {"DATABASE_URL": database, "API_KEY": KEY, "QUERY_TIMEOUT": f"PT{STATEMENT_TIMEOUT}S"}
    with started("executor", [NODE, str(HERE / "executor.mjs")], **settings) as ready:
        yield Counterpart("executor", f"prisma+postgres://127.0.0.1:{ready['port']}/?api_key={KEY}", database)


@contextlib.contextmanager
def prisma_dev(scratch: Path) -> Iterator[Counterpart]:
    """Run a `prisma dev` server, which has its own database and keeps its files in the scratch folder."""
    ports = ",".join(str(free_port()) for _ in range(4))
    folders = {"XDG_DATA_HOME": str(scratch), "XDG_CACHE_HOME": str(scratch), "PORTS": ports}
    with started("prisma dev", [NODE, str(HERE / "prisma_dev.mjs")], **folders) as ready:
        yield Counterpart("prisma dev", ready["url"], ready["database"])


@contextlib.contextmanager
def prisma_postgres(database: str) -> Iterator[Counterpart]:
    """Run the fake of Prisma Postgres."""
    settings = {"DATABASE_URL": database, "KEY": KEY, "STATEMENT_TIMEOUT": str(int(STATEMENT_TIMEOUT * 1000))}
    with started("prisma postgres", [sys.executable, str(HERE / "prisma_postgres_server.py")], **settings) as ready:
        url = f"postgres://id:{KEY}@db.prisma.io:5432/postgres?sslmode=require"
        yield Counterpart("prisma postgres", url, database, f"http://127.0.0.1:{ready['port']}")


async def add(  # noqa: PLR0913 - the parts of a sign-up
    proxy: DataProxy, name: str, email: str, password: str, key: bytes | None = None, *, details: Details = NO_DETAILS
) -> Entry:
    """Add a user through a proxy, with a random key unless one is given."""
    store = PostgresUserStore(ResilientProxy(proxy))
    values, deadline = stored(name=name, email=email), time.monotonic() + 30
    return await store.add(values, SecretStr(password), key or os.urandom(32), deadline=deadline, details=details)
