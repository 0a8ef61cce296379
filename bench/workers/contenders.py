"""The contenders: the Worker ("ours"), variants of it, and peers with their own hash, the Worker's, or none."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import NamedTuple

from bench.peers import KEY, PASSWORD
from bench.workers import builds, workerd
from bench.workers.builds import ARGON2ID, CONSTANT
from bench.workers.config import Worker
from bench.workers.workerd import javascript, python

# With many clients, the queue of scrypt hashes would exceed the default limits.
_LONG_TIMEOUTS = {"HASH_QUEUE": "1000", "REQUEST_DEADLINE": "300"}


class Backends(NamedTuple):
    """The ports of the data proxies on 127.0.0.1, and the URL of the Postgres server behind them."""

    sqlproxy: int
    executor: int = 0
    database: str = ""


class Contender(NamedTuple):
    """A Worker to measure, and the sign-ups that are sent to it.

    Args:
        title: the name in the tables of the report.
        make: builds the Worker.
        hashed: whether each user's password has a different hash; False for clear text or a constant.
        table: the database table of the users; "" if no users are stored.
        path: the path of sign-ups.
        status: the expected status of each response.
        headers: additional headers of each request.
        name: the user's name in each request.
    """

    title: str
    make: Callable[[Backends], Worker]
    hashed: bool = True
    table: str = "User"
    path: str = "/"
    status: int = HTTPStatus.CREATED
    headers: dict[str, str] = {}  # noqa: RUF012 - a NamedTuple's default, which is never modified
    name: str = "Ada Lovelace"


def url(backends: Backends) -> str:
    """Return the DATABASE_URL with which a Worker uses sqlproxy."""
    return f"sql+http://{KEY}@127.0.0.1:{backends.sqlproxy}/"


def ours(backends: Backends, folder: str = "ours", **bindings: str) -> Worker:
    """Build the Worker from the files that would be deployed, in its own folder."""
    built = builds.variant(folder, builds.upload())
    return workerd.ours(built, "entry.py", {"DATABASE_URL": url(backends), **_LONG_TIMEOUTS, **bindings})


def unhashed(backends: Backends, folder: str = "ours-unhashed") -> Worker:
    """Build the Worker with a constant in place of each hash."""
    worker = ours(backends, folder)
    builds.without_hash(worker.folder)
    return worker


def over_hyperdrive(backends: Backends, folder: str = "hyperdrive") -> Worker:
    """Build the Worker with Hyperdrive. Bare workerd connects the binding directly to Postgres, without a pool."""
    worker = ours(backends, folder, DATABASE_URL="hyperdrive:")
    builds.with_hyperdrive(worker.folder)
    return worker._replace(hyperdrive=backends.database)


def unhashed_over_hyperdrive(backends: Backends, folder: str = "hyperdrive-unhashed") -> Worker:
    """Build the Worker with Hyperdrive and a constant in place of each hash."""
    worker = over_hyperdrive(backends, folder)
    builds.without_hash(worker.folder)
    return worker


def _scrypt(backends: Backends) -> Worker:
    worker = ours(backends, "ours-scrypt")
    builds.with_scrypt(worker.folder)
    return worker


def _driver(name: str, hash_module: str, **more: str) -> Callable[[Backends], Worker]:
    def make(backends: Backends) -> Worker:
        # Neon's driver sends every request to the endpoint and ignores the host of DATABASE_URL.
        bindings = {"ENDPOINT": _endpoint(backends), "DATABASE_URL": f"postgres://user:{KEY}@sqlproxy.example/db"}
        return javascript(builds.javascript(name, hash_module), "main.mjs", {**bindings, **more})

    return make


def _prisma(hash_module: str) -> Callable[[Backends], Worker]:
    def make(backends: Backends) -> Worker:
        options = (f"--alias:prisma-client={builds.prisma_client()}", f"--define:KEPT={json.dumps(obj=False)}")
        folder = builds.javascript("hono_prisma", hash_module, *options)
        address = f"prisma+postgres://127.0.0.1:{backends.executor}/?api_key={KEY}"
        return javascript(folder, "main.mjs", {"DATABASE_URL": address})

    return make


def _fastapi(backends: Backends) -> Worker:
    bindings = {"ENDPOINT": _endpoint(backends), "AUTHORIZATION": f"Bearer {KEY}"}
    return python(builds.fastapi(), "fastapi_signup.py", bindings)


def _endpoint(backends: Backends) -> str:
    return f"http://127.0.0.1:{backends.sqlproxy}/sql"


def _better_auth(title: str, hash_module: str) -> Contender:
    make = _driver("better_auth", hash_module, SECRET=PASSWORD)
    return Contender(title, make, table="account", path="/api/auth/sign-up/email", status=HTTPStatus.OK)


OURS = Contender("ours: Argon2id, 19 MiB", ours)
# Contenders that store passwords in their own way: the Worker, two variants of it, and peers.
SHIPPED = {
    "ours": OURS,
    "ours_hyperdrive": Contender("ours, over Hyperdrive without a pool", over_hyperdrive),
    "ours_scrypt": Contender("ours, earlier version: scrypt, 16 MiB", _scrypt),
    "better_auth": _better_auth("better-auth: scrypt, 32 MiB", "shipped"),
    "hono_prisma": Contender("Hono + Prisma Client, as in the tutorial: clear text", _prisma("clear"), hashed=False),
}
SAME_HASH = {
    "ours": OURS,
    "same_hono_neon": Contender("Hono + Neon's driver, minimal", _driver("hono_neon", ARGON2ID)),
    "same_hono_prisma": Contender("Hono + Prisma Client", _prisma(ARGON2ID)),
    "same_better_auth": _better_auth("better-auth", ARGON2ID),
    "same_fastapi": Contender("FastAPI, Python Worker", _fastapi),
}
UNHASHED = {
    "unhashed_ours": Contender("ours", unhashed, hashed=False),
    "unhashed_hyperdrive": Contender("ours, over Hyperdrive without a pool", unhashed_over_hyperdrive, hashed=False),
    "unhashed_hono_neon": Contender("Hono + Neon's driver, minimal", _driver("hono_neon", CONSTANT), hashed=False),
}
# Requests that the Worker refuses: an invalid field, and a client over its rate limit.
REFUSED = {
    "refused_422": OURS._replace(title="ours: 422", table="", status=HTTPStatus.UNPROCESSABLE_ENTITY, name=""),
    "refused_429": OURS._replace(
        title="ours: 429", table="", status=HTTPStatus.TOO_MANY_REQUESTS, headers={"cf-connecting-ip": "192.0.2.1"}
    ),
}
CONTENDERS = {**SHIPPED, **SAME_HASH, **UNHASHED, **REFUSED}
