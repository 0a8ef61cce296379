"""One real stack for all end-to-end tests: Postgres, sqlproxy, and the Worker in workerd, on free ports."""

import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from devstack.bootstrap import ROOT
from devstack.cluster import FAST
from devstack.postgres import free_port
from devstack.stack import Options, Stack, running

PASSWORD = "correct horse battery staple"
POOL_SIZE = 4
# Quick, but what was confirmed survives a crash of the server, as it does in production.
SETTINGS = {**FAST, "synchronous_commit": "on"}


@dataclass
class Running:
    """The stack, what it printed, and ways to talk to it."""

    stack: Stack
    lines: list[str]
    client: httpx.Client

    @property
    def proxy(self) -> httpx.URL:
        """Return where sqlproxy listens; its user is the token."""
        return httpx.URL(self.stack.options.dev_vars.read_text().split('"')[1].removeprefix("sql+"))

    def sign_up(self, **fields: Any) -> httpx.Response:
        """Post Ada's sign-up with another address, or with the given fields."""
        return self.client.post("/", json={"name": "Ada", "email": new_email(), "password": PASSWORD, **fields})

    def post_patiently(self, body: dict[str, str], headers: dict[str, str] | None = None) -> httpx.Response:
        """Post, and do as Retry-After says for as long as the answer is 503: hashes wait for each other."""
        deadline = time.monotonic() + 120
        while (answer := self.client.post("/", json=body, headers=headers)).status_code == 503:
            assert time.monotonic() < deadline
            time.sleep(int(answer.headers["retry-after"]))
        return answer

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a query as the database's superuser."""
        with psycopg.connect(self.stack.database_url, autocommit=True) as db:
            return db.execute(query.encode(), parameters).fetchall()


def new_email() -> str:
    """Return an address that nobody has."""
    return f"{uuid.uuid4().hex}@example.com"


@pytest.fixture(scope="session")
def state() -> Iterator[Path]:
    """Return a folder inside the checkout that is gone afterwards."""
    (ROOT / ".local").mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=ROOT / ".local", prefix="test-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def worker(state: Path) -> Iterator[Running]:
    """Start the stack, once."""
    lines: list[str] = []
    options = Options(state, state / "dev.vars", free_port(), pool_size=POOL_SIZE, settings=SETTINGS, say=lines.append)
    with running(options) as stack, httpx.Client(base_url=stack.base_url, timeout=60) as client:
        yield Running(stack, lines, client)
