"""The server of the dialect `hyperdrive`: `wrangler dev` with a test Worker that runs statements over the binding."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

import httpx
import psycopg
from psycopg import sql

from devstack.postgres.server import free_port
from devstack.setup.bootstrap import ROOT
from devstack.stack.stack import Options, running
from signup import problems
from signup.problems import DatabaseError, Misconfigured, Problem
from tests.contract.proxies.counterparts import KEY, STATEMENT_TIMEOUT, Counterpart

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from devstack.postgres.server import Postgres
    from signup.database.proxy import DataProxy, Rows
    from signup.log import Reason

NAME = "hyperdrive"
LOGIN = "through_hyperdrive"
ENTRY = "hyperdrive_entry.py"


@dataclass(frozen=True)
class HyperdriveProxy:
    """Calls the Worker's proxy over Hyperdrive in workerd, through the test Worker.

    Args:
        client: an HTTP client of the test Worker.
        seconds: the timeout of an exchange, in seconds.
        binding: members that replace those of the binding.
        driver: the path of the driver's JavaScript module.
        first: statements that run before each statement, in the same request.
    """

    client: httpx.AsyncClient
    seconds: float
    binding: Mapping[str, Any]
    driver: str = "./hyperdrive.mjs"
    first: tuple[str, ...] = ()

    async def execute(self, statement: str, parameters: Sequence[str | None] = ()) -> Rows:
        """Run one statement; see `DataProxy.execute`."""
        body = {
            "statement": statement,
            "parameters": parameters,
            "seconds": self.seconds,
            "binding": self.binding,
            "driver": self.driver,
            "first": self.first,
        }
        outcome = (await self.client.post("/", json=body)).raise_for_status().json()
        if "rows" in outcome:
            rows: Rows = outcome["rows"]
            return rows
        raise _problem(outcome)


@dataclass(frozen=True)
class HyperdriveCounterpart(Counterpart):
    """Hyperdrive in `wrangler dev`; `url` is the URL of the test Worker."""

    @contextlib.asynccontextmanager
    async def proxy(
        self,
        *,
        deadline: float = 15,
        key: str | None = None,
        address: str = "",
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> AsyncIterator[DataProxy]:
        """Yield the proxy. `key` replaces the password of the binding, and `address` its host and port."""
        assert transport is None  # Hyperdrive does not use HTTP
        target = urlsplit(address)
        binding = {"password": key, "host": target.hostname, "port": target.port}
        changed = {name: value for name, value in binding.items() if value is not None}
        async with httpx.AsyncClient(base_url=self.url, timeout=60) as client:
            yield HyperdriveProxy(client, deadline, changed)


@contextlib.contextmanager
def hyperdrive(server: Postgres, state: Path) -> Iterator[HyperdriveCounterpart]:
    """Run `wrangler dev` with a Worker that connects to a Postgres over Hyperdrive.

    The login is a superuser, like those of the other servers, and has a statement timeout, as in docs/deploy.md.
    """
    with psycopg.connect(server.url(), autocommit=True) as db:
        login = sql.Identifier(LOGIN)
        db.execute(sql.SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(login, KEY))
        db.execute(sql.SQL("ALTER ROLE {} SET statement_timeout = {}").format(login, f"{STATEMENT_TIMEOUT}s"))
    source = state / "worker" / "src"
    shutil.copytree(ROOT / "src", source)
    shutil.copy(Path(__file__).with_name(ENTRY), source)
    config = (ROOT / "wrangler.toml").read_text(encoding="utf-8").replace("src/entry.py", f"src/{ENTRY}")
    url = server.url(user=LOGIN, password=KEY)
    lines: list[str] = []
    options = Options(state, state / "dev.vars", free_port(), config=config, hyperdrive=url, say=lines.append)
    with running(options) as stack:
        yield HyperdriveCounterpart(NAME, stack.base_url, server.url())
    assert not [line for line in lines if KEY in line]


def _problem(outcome: Mapping[str, str]) -> Problem:
    problem: type[Problem] = getattr(problems, outcome["problem"])
    if problem is DatabaseError:
        return DatabaseError(outcome["sqlstate"], outcome["constraint"])
    if problem is Misconfigured:
        setting, _, reason = outcome["reason"].partition(" ")
        return Misconfigured(setting, reason)
    return problem(cast("Reason", outcome["reason"]))
