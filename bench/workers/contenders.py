"""Who is measured: ours, the peers, and the floors below which no Python Worker gets."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

from bench import ROOT
from bench.peers import INSERT, KEY, PASSWORD
from bench.workers import builds, bundle, install, prisma, workerd
from bench.workers.workerd import javascript, python

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.workers.config import Worker

__all__ = ["CONTENDERS", "FLOORS", "PEERS", "Backends", "Contender", "ours", "url"]

_FLOOR = ("Ada Lovelace", "floor@example.com", PASSWORD)
# Of an isolate's queue and a request's time: 64 clients that hash one after the other need more than is the default.
_PATIENT = {"HASH_QUEUE": "1000", "REQUEST_DEADLINE": "300"}


class Backends(NamedTuple):
    """What Workers reach, by port of 127.0.0.1."""

    sqlproxy: int
    executor: int = 0


class Contender(NamedTuple):
    """One of those that are compared.

    Attributes:
        name: As it stands in the results.
        title: As it stands in the table.
        make: Builds it, with the hash or with a constant in its place.
        table: Where its users are; empty when it stores none.
        path: Where sign-ups are posted.
        success: The status of one that was done.
    """

    name: str
    title: str
    make: Callable[[Backends, bool], Worker]
    table: str = "User"
    path: str = "/"
    success: int = 201


def url(backends: Backends) -> str:
    """DATABASE_URL of sqlproxy."""
    return f"sql+http://{KEY}@127.0.0.1:{backends.sqlproxy}/"


def ours(folder: str, backends: Backends, *, hashed: bool) -> Worker:
    """The Worker as it is deployed, in a folder of its own."""
    made = builds.variant(folder, _uploaded())
    if not hashed:
        builds.without_hash(made)
    return workerd.ours(made, "entry.py", {"DATABASE_URL": url(backends), **_PATIENT})


def _uploaded() -> Path:
    folder = builds.FOLDER / "upload"
    bundle.upload(folder)
    return folder


def _ours(backends: Backends, hashed: bool) -> Worker:
    return ours("ours-hashed" if hashed else "ours", backends, hashed=hashed)


def _hono_neon(backends: Backends, hashed: bool) -> Worker:
    install.javascript()
    folder = builds.javascript(_name("hono_neon", hashed=hashed), "hono_neon.mjs", hashed=hashed)
    return javascript(folder, "main.mjs", _driver(backends))


def _hono_prisma(backends: Backends, hashed: bool) -> Worker:
    return _prisma(backends, "hono_prisma", hashed=hashed, kept=False)


def _hono_prisma_kept(backends: Backends, hashed: bool) -> Worker:
    return _prisma(backends, "hono_prisma_kept", hashed=hashed, kept=True)


def _prisma(backends: Backends, name: str, *, hashed: bool, kept: bool) -> Worker:
    install.javascript()
    options = (f"--alias:prisma-client={prisma.client()}", f"--define:KEPT={json.dumps(kept)}")
    folder = builds.javascript(_name(name, hashed=hashed), "hono_prisma.mjs", hashed=hashed, options=options)
    address = f"prisma+postgres://127.0.0.1:{backends.executor}/?api_key={KEY}"
    return javascript(folder, "main.mjs", {"DATABASE_URL": address})


def _better_auth(backends: Backends, hashed: bool) -> Worker:
    install.javascript()
    folder = builds.javascript(_name("better_auth", hashed=hashed), "better_auth.mjs", hashed=hashed)
    return javascript(folder, "main.mjs", {**_driver(backends), "SECRET": PASSWORD})


def _fastapi(backends: Backends, hashed: bool) -> Worker:
    packages = install.python("fastapi")
    folder = builds.python(_name("fastapi", hashed=hashed), "fastapi_signup.py", packages, ())
    builds.put_hash(folder, hashed=hashed)
    bindings = {"ENDPOINT": _endpoint(backends), "AUTHORIZATION": f"Bearer {KEY}"}
    return python(folder, "fastapi_signup.py", bindings)


def _httpx_stock(backends: Backends, hashed: bool) -> Worker:
    worker = ours(_name("httpx_stock", hashed=hashed), backends, hashed=hashed)
    builds.with_stock_httpx(worker.folder, install.python("httpx"))
    return worker


def _floor_fetch(backends: Backends, _: bool) -> Worker:
    folder = builds.python("floor_fetch", "floor_fetch.py", ROOT / "python_modules")
    # A statement and an answer of the usual length, and nothing is written.
    query = f"SELECT * FROM (VALUES ($1, $2, $3)) _ -- {INSERT}"  # noqa: S608 - of constants
    body = json.dumps({"query": query, "params": _FLOOR})
    bindings = {"ENDPOINT": _endpoint(backends), "AUTHORIZATION": f"Bearer {KEY}", "STATEMENT": body}
    return python(folder, "floor_fetch.py", bindings)


def _floor_constant(_: Backends, __: bool) -> Worker:
    folder = builds.python("floor_constant", "floor_constant.py", ROOT / "python_modules")
    return python(folder, "floor_constant.py", {})


def _driver(backends: Backends) -> dict[str, str]:
    # Neon's driver sends it all to the endpoint; the host is nobody's.
    return {"ENDPOINT": _endpoint(backends), "DATABASE_URL": f"postgres://user:{KEY}@sqlproxy.example/db"}


def _endpoint(backends: Backends) -> str:
    return f"http://127.0.0.1:{backends.sqlproxy}/sql"


def _name(name: str, *, hashed: bool) -> str:
    return f"{name}-hashed" if hashed else name


FLOORS = (
    Contender("floor_constant", "Python Worker, constant answer", _floor_constant, table=""),
    Contender("floor_fetch", "Python Worker, one bare fetch", _floor_fetch, table=""),
)
PEERS = (
    Contender("hono_prisma", "Hono + Prisma Client, a client per request", _hono_prisma),
    Contender("hono_prisma_kept", "Hono + Prisma Client, kept", _hono_prisma_kept),
    Contender("hono_neon", "Hono + Neon's driver, leanest", _hono_neon),
    Contender("better_auth", "better-auth", _better_auth, "account", "/api/auth/sign-up/email", HTTPStatus.OK),
    Contender("fastapi", "FastAPI, Python Worker", _fastapi),
    Contender("httpx_stock", "ours with httpx's stock transport", _httpx_stock),
)
CONTENDERS = {each.name: each for each in (Contender("ours", "ours", _ours), *PEERS, *FLOORS)}
