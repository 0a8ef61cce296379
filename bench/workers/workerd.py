"""Run a Worker in bare workerd."""

from __future__ import annotations

import contextlib
import os
import tomllib
from typing import TYPE_CHECKING, NamedTuple

from bench import ROOT
from bench.peers import run_program
from bench.workers.config import Worker, members, render
from devstack.pyodide import bundle as pyodide_bundle

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

CONFIG = "config.capnp"
WRANGLER_TOML = ROOT / "wrangler.toml"


class Running(NamedTuple):
    """A running workerd.

    Attributes:
        port: the port on 127.0.0.1.
        pid: the process id.
    """

    port: int
    pid: int


def ours(folder: Path, main: str, bindings: Mapping[str, str]) -> Worker:
    """Return the project's Worker as configured, with flags for a local Pyodide and fake rate limits."""
    return Worker(folder, main, _date(), pyodide_bundle.flags(WRANGLER_TOML), bindings, limited=True)


def python(folder: Path, main: str, bindings: Mapping[str, str]) -> Worker:
    """Return a Python Worker with the same compatibility date."""
    return Worker(folder, main, _date(), ("python_workers", *pyodide_bundle.DEV_FLAGS), bindings)


def javascript(folder: Path, main: str, bindings: Mapping[str, str]) -> Worker:
    """Return a JavaScript Worker with the same compatibility date."""
    return Worker(folder, main, _date(), (), bindings)


def command(worker: Worker, *options: str, name: str = CONFIG) -> list[str]:
    """Write the configuration, and return the command that serves it.

    Args:
        worker: the Worker.
        options: more options of `workerd serve`.
        name: the file name, which must differ between configurations of the same folder that run concurrently.
    """
    files = [path.relative_to(worker.folder) for path in worker.folder.rglob("*") if path.is_file()]
    (worker.folder / name).write_text(render(worker, members(files, worker.main)), encoding="ascii")
    bundle = pyodide_bundle.ensure()
    return [
        *(str(pyodide_bundle.workerd_program()), "serve", "--experimental", "--control-fd=1"),
        *(f"--pyodide-bundle-disk-cache-dir={bundle}", *options, str(worker.folder / name)),
    ]


@contextlib.contextmanager
def running(worker: Worker, *options: str, name: str = CONFIG) -> Iterator[Running]:
    """Run workerd while the block runs; its log is discarded."""
    with run_program("workerd", command(worker, *options, name=name), dict(os.environ)) as (port, pid):
        yield Running(port, pid)


def _date() -> str:
    return str(tomllib.loads(WRANGLER_TOML.read_text(encoding="utf-8"))["compatibility_date"])
