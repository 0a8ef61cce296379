"""Real stacks of Postgres, sqlproxy, and the Worker in workerd, on free ports; tests/conftest.py has the shared one."""

import contextlib
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from devstack.postgres.cluster import FAST
from devstack.postgres.server import free_port
from devstack.setup.bootstrap import ROOT
from devstack.stack.dev_vars import local_url
from devstack.stack.stack import Options, Stack, running
from tests.e2e.canaries import search_answers, search_stack
from tests.e2e.configs import limited
from tests.e2e.openapi_hook import hold_answers
from tests.e2e.relay import Relay, relaying

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
        """Post, and again while the answer is 503, or with a key 504 too: hashes wait for each other."""
        again = (503, 504) if headers else (503,)
        deadline = time.monotonic() + 300
        while (answer := self.client.post("/", json=body, headers=headers)).status_code in again:
            assert time.monotonic() < deadline
            time.sleep(int(answer.headers.get("retry-after", 1)))
        return answer

    def at_once(self, number: int, *, key: bool) -> list[httpx.Response]:
        """Post the same sign-up so many times at the same moment, with one idempotency key or one each; be patient."""
        email = new_email()
        body = {"name": "Ada", "email": email, "password": PASSWORD}
        headers = [{"idempotency-key": email if key else f"{email}-{each}"} for each in range(number)]
        limits = httpx.Limits(max_connections=number)
        with (
            httpx.Client(
                base_url=self.stack.base_url,
                timeout=60,
                limits=limits,
                event_hooks=self.client.event_hooks,
            ) as client,
            ThreadPoolExecutor(number) as threads,
        ):
            many = replace(self, client=client)
            return list(threads.map(lambda each: many.post_patiently(body, each), headers))

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a query as the database's superuser."""
        with psycopg.connect(self.stack.database_url, autocommit=True) as db:
            return db.execute(query.encode(), parameters).fetchall()


def new_email() -> str:
    """Return an address that nobody has."""
    return f"{uuid.uuid4().hex}@example.com"


@contextlib.contextmanager
def a_worker(state: Path, **more: Any) -> Iterator[Running]:
    """Run a stack that keeps its files in this folder, with more options if need be."""
    lines: list[str] = []
    options = Options(
        state, state / "dev.vars", free_port(), pool_size=POOL_SIZE, settings=SETTINGS, say=lines.append, **more
    )
    options.config = options.config or limited()
    with watched(options, lines) as it:
        yield it


@contextlib.contextmanager
def watched(options: Options, lines: list[str]) -> Iterator[Running]:
    """Run a stack, and search for secrets in all that it answers, and in the end in all that it printed.

    Each answer is also held against the stack's own OpenAPI document.
    """
    with running(options) as stack:
        hooks = {"response": [search_answers(stack), hold_answers(stack.base_url)]}
        with httpx.Client(base_url=stack.base_url, timeout=60, event_hooks=hooks) as client:
            yield Running(stack, lines, client)
    search_stack(stack, lines)


@contextlib.contextmanager
def behind_a_relay(
    worker: Running, home: Path, config: str = "", /, **settings: float | str
) -> Iterator[tuple[Running, Relay]]:
    """Run a second Worker, whose way to the first one's proxy leads through a relay.

    Args:
        worker: the first.
        home: a folder for its files.
        config: its wrangler.toml; one that limits nobody unless given.
        settings: its variables.
    """
    home.mkdir()
    lines: list[str] = []
    with relaying(worker.proxy.port or 0) as relay:
        url = local_url(worker.proxy.username, relay.port)
        pairs = [f'DATABASE_URL="{url}"', *(f"{name}={value}" for name, value in settings.items())]
        (home / "dev.vars").write_text("\n".join([*pairs, ""]))
        options = Options(home, home / "dev.vars", free_port(), say=lines.append, config=config or limited())
        with watched(options, lines) as it:
            yield it, relay


@dataclass
class Matrix:
    """The fault matrix of a run, which is written to `.local/fault-matrix.md`; docs/reliability.md holds one."""

    rows: list[str] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        """Add what a fault led to: its name; once; for good; asked again; rows before and after asking again."""
        self.rows.append(f"| {' | '.join(str(cell) for cell in cells)} |")

    def write(self) -> None:
        """Write it."""
        titles = "| fault | once: answer, seconds | for good: answer, seconds | asked again | rows |"
        (ROOT / ".local" / "fault-matrix.md").write_text("\n".join([titles, "| --- " * 5 + "|", *self.rows, ""]))


def outcome(answer: httpx.Response, seconds: float) -> str:
    """Return an answer as the matrix shows it."""
    return f"{answer.status_code} {answer.json().get('code', 'created')}, {seconds:.1f}"


@pytest.fixture(scope="session")
def matrix() -> Iterator[Matrix]:
    """Collect the matrix."""
    it = Matrix()
    yield it
    it.write()
