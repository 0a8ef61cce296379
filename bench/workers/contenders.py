"""Who is measured: ours, the peers, and the floors below which no Python Worker gets."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from bench import ROOT
from bench.peers import INSERT, KEY, PASSWORD
from bench.workers import builds, bundle, install
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
    return python(made, "entry.py", {"DATABASE_URL": url(backends), **_PATIENT})


def _uploaded() -> Path:
    folder = builds.FOLDER / "upload"
    bundle.upload(folder)
    return folder


def _ours(backends: Backends, hashed: bool) -> Worker:
    return ours("ours-hashed" if hashed else "ours", backends, hashed=hashed)


def _hono_neon(backends: Backends, hashed: bool) -> Worker:
    install.javascript()
    folder = builds.javascript(_name("hono_neon", hashed=hashed), "hono_neon.mjs", hashed=hashed)
    # The driver sends it all to the endpoint; the host is nobody's.
    bindings = {"ENDPOINT": _endpoint(backends), "DATABASE_URL": f"postgres://user:{KEY}@sqlproxy.example/db"}
    return javascript(folder, "main.mjs", bindings)


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


def _endpoint(backends: Backends) -> str:
    return f"http://127.0.0.1:{backends.sqlproxy}/sql"


def _name(name: str, *, hashed: bool) -> str:
    return f"{name}-hashed" if hashed else name


FLOORS = (
    Contender("floor_constant", "Python Worker, constant answer", _floor_constant, table=""),
    Contender("floor_fetch", "Python Worker, one bare fetch", _floor_fetch, table=""),
)
PEERS = (Contender("hono_neon", "Hono + Neon's driver, leanest", _hono_neon),)
CONTENDERS = {each.name: each for each in (Contender("ours", "ours", _ours), *PEERS, *FLOORS)}
