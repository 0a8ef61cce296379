"""Fixtures that run Postgres, sqlproxy and the Worker in workerd; tests/conftest.py has the shared stack."""

import contextlib
import json
import time
import uuid
from collections.abc import Iterator, Mapping
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
from tests.e2e.canaries import search_responses, search_stack
from tests.e2e.configs import limited
from tests.e2e.openapi_hook import validate_responses
from tests.e2e.range_api import TIMEOUT, FakeRangeApi, fake_range_api
from tests.e2e.relay import Relay, relaying

PASSWORD = "correct horse battery staple"
POOL_SIZE = 4
# The origin that the fixture `configured` lists in CORS_ORIGINS.
LISTED = "https://www.example.com"
# The extra fields of the fixtures `configured`, which requires one of them, and `strict`, which requires none. AGREED
# has the additional members that `configured` requires in a sign-up.
EXTRA_FIELDS: dict[str, Any] = {
    "properties": {
        "company": {
            "type": "string",
            "title": "Company <b>&",
            "titles": {"de": "Firma"},
            "minLength": 2,
            "maxLength": 20,
        },
        "seats": {"type": "integer", "title": "Seats", "titles": {"de": "Plätze"}, "minimum": 1, "maximum": 500},
        "plan": {
            "type": "string",
            "title": "Plan",
            "enum": ["free", "team"],
            "enumTitles": {"de": ["Kostenlos", "Team"]},
        },
        "newsletter": {"type": "boolean", "title": "Newsletter"},
    },
    "required": ["plan"],
}
AGREED: dict[str, Any] = {"terms": "2026-11", "extra": {"plan": "free"}}
# Fast Postgres settings. Committed transactions survive a crash of Postgres, but not of the machine.
SETTINGS = {**FAST, "synchronous_commit": "on"}


@dataclass
class Running:
    """A running stack with its output and an HTTP client."""

    stack: Stack
    lines: list[str]
    client: httpx.Client

    @property
    def proxy(self) -> httpx.URL:
        """The URL of sqlproxy; its user name is the token."""
        return httpx.URL(self.stack.options.dev_vars.read_text().split('"')[1].removeprefix("sql+"))

    def sign_up(self, **fields: Any) -> httpx.Response:
        """Post a valid sign-up with a new address; `fields` override or add members."""
        return self.client.post("/", json={"name": "Ada", "email": new_email(), "password": PASSWORD, **fields})

    def post_patiently(self, body: Mapping[str, object], headers: dict[str, str] | None = None) -> httpx.Response:
        """Post a sign-up, and retry after a 503; with `headers`, which must have an idempotency key, also after a 504.

        Many simultaneous sign-ups get 503, because their password hashes wait for the CPU.
        """
        retried_statuses = (503, 504) if headers else (503,)
        deadline = time.monotonic() + 300
        while (response := self.client.post("/", json=body, headers=headers)).status_code in retried_statuses:
            assert time.monotonic() < deadline
            time.sleep(int(response.headers.get("retry-after", 1)))
        return response

    def post_simultaneously(self, number: int, *, shared_key: bool) -> list[httpx.Response]:
        """Post the same sign-up `number` times at once; retry each request after a 503 or 504.

        With `shared_key` all requests have the same idempotency key; otherwise each has its own.
        """
        email = new_email()
        body = {"name": "Ada", "email": email, "password": PASSWORD}
        headers = [{"idempotency-key": email if shared_key else f"{email}-{each}"} for each in range(number)]
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
            parallel = replace(self, client=client)
            return list(threads.map(lambda each: parallel.post_patiently(body, each), headers))

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a query as the database superuser; return the rows."""
        with psycopg.connect(self.stack.database_url, autocommit=True) as db:
            return db.execute(query.encode(), parameters).fetchall()


def new_email() -> str:
    """Return a unique e-mail address."""
    return f"{uuid.uuid4().hex}@example.com"


@contextlib.contextmanager
def a_worker(state: Path, **more: Any) -> Iterator[Running]:
    """Run a stack that keeps its files in the folder `state`; `more` are further fields of `Options`."""
    lines: list[str] = []
    options = Options(
        state, state / "dev.vars", free_port(), pool_size=POOL_SIZE, settings=SETTINGS, say=lines.append, **more
    )
    options.config = options.config or limited()
    with run_checked(options, lines) as worker:
        yield worker


@contextlib.contextmanager
def run_checked(options: Options, lines: list[str]) -> Iterator[Running]:
    """Run a stack; search its output, and each response to its client, for personal data and secrets.

    Each response to the client is also validated against the stack's own OpenAPI document.
    """
    with running(options) as stack:
        hooks = {"response": [search_responses(stack), validate_responses(stack.base_url)]}
        with httpx.Client(base_url=stack.base_url, timeout=60, event_hooks=hooks) as client:
            yield Running(stack, lines, client)
    search_stack(stack, lines)


@contextlib.contextmanager
def behind_a_relay(
    worker: Running, home: Path, config: str = "", /, **settings: float | str
) -> Iterator[tuple[Running, Relay]]:
    """Run a second Worker that reaches the first Worker's sqlproxy through a relay.

    Args:
        worker: the first Worker.
        home: a folder for the second Worker's files.
        config: the text of the second Worker's wrangler.toml; by default without rate limits.
        settings: the settings of the second Worker; `{port}` in a value stands for its port.
    """
    home.mkdir()
    lines: list[str] = []
    with relaying(worker.proxy.port or 0) as relay:
        url = local_url(worker.proxy.username, relay.port)
        port = free_port()
        values = {name: str(value).replace("{port}", str(port)) for name, value in settings.items()}
        pairs = [f'DATABASE_URL="{url}"', *(f"{name}={value}" for name, value in values.items())]
        (home / "dev.vars").write_text("\n".join([*pairs, ""]))
        options = Options(home, home / "dev.vars", port, say=lines.append, config=config or limited())
        with run_checked(options, lines) as second_worker:
            yield second_worker, relay


@contextlib.contextmanager
def a_configured_worker(worker: Running, state: Path) -> Iterator[Running]:
    """Run a Worker that conceals taken addresses and has other optional settings, such as CORS and extra fields."""
    settings: dict[str, float | str] = {
        "DUPLICATE_RESPONSE": "conceal",
        "PASSWORD_MIN_LENGTH": 8,
        "EMAIL_SUBADDRESSING": "refuse",
        "CORS_ORIGINS": LISTED,
        "EMAIL_DOMAINS_BLOCKED": '"b\u00fccher.example, *.example.org"',
        "DISPOSABLE_EMAIL": "refuse",
        "EMAIL_VERIFICATION": "on",
        # The provider does not exist, so no e-mail is delivered.
        "MAIL_URL": f"resend+http://key@127.0.0.1:{free_port()}",
        "MAIL_FROM": "accounts@example.org",
        "PUBLIC_URL": "http://localhost:{port}",
        "VERIFICATION_SECRET": f"a:{'A' * 43}=",
        "TERMS_VERSION": AGREED["terms"],
        "TERMS_URL": "https://www.example.com/terms?a=1&b=2",
        "EXTRA_FIELDS": f"'{json.dumps(EXTRA_FIELDS)}'",
    }
    with behind_a_relay(worker, state / "configured", **settings) as (configured_worker, _):
        yield configured_worker


@pytest.fixture(scope="session")
def range_api() -> Iterator[FakeRangeApi]:
    """Run a fake of Have I Been Pwned's range API."""
    with fake_range_api(PASSWORD) as api:
        yield api


@pytest.fixture(scope="session")
def strict(worker: Running, state: Path, range_api: FakeRangeApi) -> Iterator[Running]:
    """Run a Worker with BREACH_CHECK=strict and other optional settings, such as those of the page."""
    page: dict[str, float | str] = {
        "SERVICE_NAME": "'Tea & <b>Cake'",
        "PAGE_COLOUR": "'#ffcc00'",
        "NEXT_URL": "https://www.example.com/welcome?from=signup",
        "CORS_ORIGINS": "https://shop.example.com",
        "EXTRA_FIELDS": f"'{json.dumps({**EXTRA_FIELDS, 'required': []})}'",
    }
    with behind_a_relay(worker, state / "strict", **page, **breach_settings("strict", range_api)) as (strict_worker, _):
        yield strict_worker


def breach_settings(mode: str, api: FakeRangeApi) -> dict[str, float | str]:
    """Return the settings that make a Worker use the fake range API."""
    return {
        "BREACH_CHECK": mode,
        "BREACH_TIMEOUT": TIMEOUT,
        "BREACH_API_URL": f"http://127.0.0.1:{api.port}/range/",
    }


@dataclass
class Matrix:
    """The fault matrix of a test run, written to `.local/fault-matrix.md`; docs/reliability.md has a copy."""

    rows: list[str] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        """Add a row with one cell for each column.

        The columns are the fault, the response if it occurs once, the response if it lasts, the response to the
        client's retry, and the number of rows before and after that retry.
        """
        self.rows.append(f"| {' | '.join(str(cell) for cell in cells)} |")

    def write(self) -> None:
        """Write the matrix to its file."""
        titles = "| fault | once: response, seconds | lasting: response, seconds | retry | rows |"
        (ROOT / ".local" / "fault-matrix.md").write_text("\n".join([titles, "| --- " * 5 + "|", *self.rows, ""]))


def outcome(response: httpx.Response, seconds: float) -> str:
    """Return the matrix cell for a response: status, code and seconds."""
    return f"{response.status_code} {response.json().get('code', 'created')}, {seconds:.1f}"


@pytest.fixture(scope="session")
def matrix() -> Iterator[Matrix]:
    """Collect the fault matrix of the run and write it at the end."""
    fault_matrix = Matrix()
    yield fault_matrix
    fault_matrix.write()
