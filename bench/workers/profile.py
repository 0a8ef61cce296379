"""Where a sign-up's CPU goes in workerd, without the hash: V8's own profile, by kind of code."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import uvloop

from bench.peers import node, started
from bench.workers.builds import PEERS
from bench.workers.load import Target, endpoint, turn
from bench.workers.rounds import NUMBERS
from bench.workers.workerd import command
from devstack.postgres.server import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bench.workers.books import Books
    from bench.workers.config import Worker

__all__ = ["CLIENTS", "kind", "measure", "shares"]

CLIENTS = 16
PYTHON, PYODIDE, ENTRY, OURS = "Python, in WebAssembly", "Pyodide's JavaScript", "workerd's entry point", "edge.mjs"
NATIVE, COLLECTOR, REST = "workerd's APIs (fetch, Response, console, ...)", "garbage collector", "the rest of workerd"
_WARM_UP_SECONDS = 3.0


def kind(name: str, url: str) -> str | None:
    """What kind of code a function of a profile is; None for none at all.

    Args:
        name: The function's.
        url: Of its module; empty for what workerd has built in.
    """
    special = {"(idle)": None, "(root)": None, "(program)": REST, "(garbage collector)": COLLECTOR}
    if name in special:
        return special[name]
    if url.startswith("wasm:") or name.startswith(("wasm-to-js", "js-to-wasm")):
        return PYTHON
    kinds = {"pyodide.asm": PYODIDE, "python-entrypoint-helper": ENTRY, "edge.mjs": OURS}
    return next((each for part, each in kinds.items() if part in url), NATIVE)


def shares(spent: Iterable[tuple[str, str, float]]) -> dict[str, float]:
    """Percent of the time that is not idle, by kind, most first."""
    found: dict[str, float] = {}
    for name, url, microseconds in spent:
        if (which := kind(name, url)) is not None:
            found[which] = found.get(which, 0.0) + microseconds
    total = sum(found.values())
    return {which: round(100 * each / total, 1) for which, each in sorted(found.items(), key=lambda item: -item[1])}


def measure(ours: Worker, books: Books, seconds: float, say: Callable[[str], None]) -> dict[str, float]:
    """Profiles the Worker under load.

    Args:
        ours: The Worker, without the hash.
        books: The table's.
        seconds: How long.
        say: Told the outcome.

    Raises:
        RuntimeError: There is no profile, or a sign-up failed.
    """
    port = free_port()
    line = command(ours, f"--inspector-addr=127.0.0.1:{port}")
    with started("workerd", line, dict(os.environ), socket="http") as (http, pid), ThreadPoolExecutor(1) as pool:
        target = Target(endpoint(http), pid, 201)
        warm = uvloop.run(turn(target, CLIENTS, _WARM_UP_SECONDS, NUMBERS))
        profile = pool.submit(_profile, port, seconds)
        answered = warm.answered
        while not profile.done():
            answered += uvloop.run(turn(target, CLIENTS, 0.2, NUMBERS)).answered
        books.check("User", answered, hashed=False)
    found = shares(profile.result())
    say(", ".join(f"{which} {each:.0f} %" for which, each in found.items()))
    return found


def _profile(port: int, seconds: float) -> list[tuple[str, str, float]]:
    asked = [node(), "--no-warnings", str(PEERS / "profile.mjs"), str(port), f"{seconds}"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)  # noqa: S603 - nothing of it comes from outside
    if done.returncode:
        raise RuntimeError(f"there is no profile:\n{done.stderr}")
    return [(name, url, spent) for name, url, spent in json.loads(done.stdout)]
