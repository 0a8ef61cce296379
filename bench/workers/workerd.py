"""Run a Worker in bare workerd."""

import json
import os
import tomllib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType

from bench import ROOT
from bench.client import Endpoint
from bench.peers import run_program
from bench.workers.config import Worker, members, render
from devstack.pyodide import bundle as pyodide_bundle

CONFIG = "config.capnp"
WRANGLER_TOML = ROOT / "wrangler.toml"


def endpoint(
    run: tuple[int, int],
    path: str = "/",
    more: Mapping[str, str] = MappingProxyType({}),
    name: str = "Ada Lovelace",
    status: int = HTTPStatus.CREATED,
) -> Endpoint:
    """Return the endpoint of a running Worker for JSON sign-ups of users with this name."""
    lines = {"content-type": "application/json", **more}
    head = "\r\n".join([f"POST {path} HTTP/1.1", *(f"{header}: {value}" for header, value in lines.items())])
    fields = {"name": name, "email": "{email}", "password": "correct horse battery staple"}
    return Endpoint(*run, head, json.dumps(fields), status)


def ours(folder: Path, main: str, bindings: Mapping[str, str]) -> Worker:
    """Return the project's Worker as in wrangler.toml, with flags for a local Pyodide and with fake rate limits."""
    return Worker(folder, main, _date(), pyodide_bundle.flags(WRANGLER_TOML), bindings, limited=True)


def python(folder: Path, main: str, bindings: Mapping[str, str]) -> Worker:
    """Return a Python Worker with the project's compatibility date."""
    return Worker(folder, main, _date(), ("python_workers", *pyodide_bundle.DEV_FLAGS), bindings)


def javascript(folder: Path, main: str, bindings: Mapping[str, str]) -> Worker:
    """Return a JavaScript Worker with the project's compatibility date."""
    return Worker(folder, main, _date(), (), bindings)


def command(worker: Worker, *options: str, name: str = CONFIG) -> list[str]:
    """Write the configuration of a Worker, and return the command that serves it.

    Args:
        worker: the Worker.
        options: additional options of `workerd serve`.
        name: the name of the configuration file. It must be unique among the Workers that run from the same folder.
    """
    files = [path.relative_to(worker.folder) for path in worker.folder.rglob("*") if path.is_file()]
    (worker.folder / name).write_text(render(worker, members(files, worker.main)), encoding="ascii")
    bundle = pyodide_bundle.ensure()
    return [
        *(str(pyodide_bundle.workerd_program()), "serve", "--experimental", "--control-fd=1"),
        *(f"--pyodide-bundle-disk-cache-dir={bundle}", *options, str(worker.folder / name)),
    ]


def running(worker: Worker, *options: str, name: str = CONFIG) -> AbstractContextManager[tuple[int, int]]:
    """Run workerd until the block ends; yield its port and process id. Only error messages show lines of its log."""
    return run_program("workerd", command(worker, *options, name=name), dict(os.environ))


def _date() -> str:
    return str(tomllib.loads(WRANGLER_TOML.read_text(encoding="utf-8"))["compatibility_date"])
