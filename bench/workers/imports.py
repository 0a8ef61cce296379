"""What importing costs in workerd: all of ours, pydantic and httpx as they are, and each package of ours.

A module is imported once in a process, so every figure is of a workerd of its own. Times are seen from outside:
workerd's clock stands still while Python runs.
"""

from __future__ import annotations

import json
import shutil
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING

from bench.report import percentile, spread
from bench.workers import builds, install
from bench.workers.workerd import python, running

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.workers.config import Worker

__all__ = ["Groups", "compare", "each_package", "groups", "share"]

MAIN = "importer.py"
STANDARD = "standard library"
OURS = "src"
# pydantic loads what is behind its names when they are asked for.
UNTOUCHED = ("pydantic:BaseModel", "pydantic:SecretStr", "httpx:AsyncClient")
# So that none is counted with one that needs it.
_LEAVES_FIRST = ("typing_extensions", "annotated_types", "typing_inspection", "pydantic_core", "pydantic", "idna")

Groups = dict[str, list[str]]


def groups(before: Sequence[str], after: Sequence[str], vendored: set[str]) -> Groups:
    """What importing ours loaded, by package, in an order in which each comes after what it needs.

    Args:
        before: The modules that were loaded by then.
        after: Those that are now.
        vendored: The names of the packages that are deployed.
    """
    found: Groups = {STANDARD: [], **{name: [] for name in _LEAVES_FIRST}}
    ours = []
    for module in after:
        top = module.partition(".")[0]
        if module in before:
            continue
        if top in {"signup", "entry"}:
            ours.append(module)
        else:
            found.setdefault(top if top in vendored else STANDARD, []).append(module)
    return {name: modules for name, modules in {**found, OURS: ours}.items() if modules}


def compare(ours: Worker, rounds: int, say: Callable[[str], None]) -> dict[str, list[float]]:
    """Seconds that importing takes in each round: ``ours`` and ``untouched``, in turns."""
    asked = {"ours": (_importer("imports-ours", ours.folder), ("entry",)), "untouched": (_untouched(), UNTOUCHED)}
    times: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(rounds):
        for name, (worker, modules) in asked.items():
            with running(worker) as run:
                _ask(run.port, [])
                times[name].append(_ask(run.port, modules)[0])
        found = ", ".join(f"{name} {1000 * each[-1]:.0f} ms" for name, each in times.items())
        say(f"round {number + 1} of {rounds}, imports: {found}")
    return times


def each_package(ours: Worker, rounds: int) -> dict[str, float]:
    """Milliseconds that each package of ours takes, what it needs excepted; medians."""
    worker = _importer("imports-ours", ours.folder)
    vendored = {path.name.removesuffix(".py") for path in (worker.folder / "python_modules").iterdir()}
    with running(worker) as run:
        found = groups(_ask(run.port, [])[1], _ask(run.port, ["entry"])[1], vendored)
    times: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(rounds):
        with running(worker) as run:
            _ask(run.port, [])
            for name, modules in found.items():
                times[name].append(1000 * _ask(run.port, modules)[0])
    return {name: round(percentile(each, 0.5), 1) for name, each in times.items()}


def share(times: dict[str, list[float]]) -> dict[str, dict[str, float]]:
    """No ratio above 1 that is better: the part of pydantic's and httpx's time that all of ours takes."""
    pairs = zip(times["ours"], times["untouched"], strict=True)
    return {"import_share": spread([mine / other for mine, other in pairs])}


def _importer(name: str, source: Path) -> Worker:
    folder = builds.variant(name, source)
    shutil.copy(builds.PEERS / MAIN, folder / MAIN)
    return python(folder, MAIN, {})


def _untouched() -> Worker:
    packages = install.python("fastapi")
    folder = builds.python("imports-untouched", MAIN, packages, ())
    shutil.copytree(install.python("httpx"), folder / "python_modules", dirs_exist_ok=True)
    return python(folder, MAIN, {})


def _ask(port: int, modules: Sequence[str]) -> tuple[float, list[str]]:
    connection = HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        began = time.perf_counter()
        connection.request("POST", "/", json.dumps(modules))
        answer = connection.getresponse()
        loaded = answer.read()
        took = time.perf_counter() - began
    finally:
        connection.close()
    if answer.status != 200:  # noqa: PLR2004
        raise RuntimeError(f"importing {', '.join(modules)} was answered {answer.status}")
    return took, json.loads(loaded)
