"""Generate workerd's configuration of a Worker in Cap'n Proto's text format."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath, PurePosixPath
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

VENDORED = "python_modules/"
LIMITS = ("CLIENT_LIMIT", "EMAIL_LIMIT")
# Bare workerd has no rate limits. This fake binding reports that clients in 192.0.2.0/24 are over their limit.
LIMITER = "bench:limiter"
_LIMITED = '({ limit: async ({ key }) => ({ success: !key.startsWith("192.0.2.") }) })'
_KINDS = {".py": "pythonModule", ".mjs": "esModule", ".js": "esModule", ".wasm": "wasm", ".html": "text"}
# Files that are not modules: wrangler writes the first two kinds, and `bench.workers.workerd` the third.
_NOT_UPLOADED = re.compile(r"README\.md|.*\.map|.*\.capnp")


class Worker(NamedTuple):
    """The configuration of a Worker.

    Attributes:
        folder: the folder that contains the modules, at the paths by which they are imported.
        main: the main module.
        date: the compatibility date.
        flags: the compatibility flags.
        bindings: the text bindings.
        limited: whether the Worker has fake rate limiting bindings.
        heap_mib: the limit of V8's heap in MiB; 0 for V8's default.
        hyperdrive: the URL of the Postgres server behind the binding HYPERDRIVE; "" for no such binding.
    """

    folder: Path
    main: str
    date: str
    flags: tuple[str, ...]
    bindings: Mapping[str, str]
    limited: bool = False
    heap_mib: int = 0
    hyperdrive: str = ""


def kind(name: str) -> str:
    """Return the field of workerd's `Module` struct for a file, as wrangler chooses it.

    Vendored files other than JavaScript are data modules, from which workerd creates files.
    """
    suffix = PurePosixPath(name).suffix
    if name.startswith(VENDORED) and suffix not in {".js", ".mjs"}:
        return "data"
    return _KINDS.get(suffix, "data")


def members(paths: Iterable[PurePath], main: str) -> list[str]:
    """Return the names of the modules. The main module is first, as workerd requires."""
    names = {path.as_posix() for path in paths} - {main}
    return [main, *sorted(name for name in names if not _NOT_UPLOADED.fullmatch(name))]


def render(worker: Worker, names: Iterable[str]) -> str:
    """Return the configuration, for a file in the Worker's folder.

    The Worker listens on a port of 127.0.0.1 that workerd chooses, and may connect to any address.
    """
    modules = ",\n    ".join(f"(name = {_text(name)}, {kind(name)} = embed {_text(name)})" for name in names)
    bindings = ", ".join(f"(name = {_text(name)}, text = {_text(value)})" for name, value in worker.bindings.items())
    flags = ", ".join(map(_text, worker.flags))
    extensions = ""
    heap = _text(f"--max-heap-size={worker.heap_mib}") if worker.heap_mib else ""
    if worker.limited:
        wrapped = f"wrapped = (moduleName = {_text(LIMITER)})"
        bindings += "".join(f", (name = {_text(name)}, {wrapped})" for name in LIMITS)
        module = f"name = {_text(LIMITER)}, internal = true, esModule = {_text(f'export default () => {_LIMITED};')}"
        extensions = f"extensions = [(modules = [({module})])],"
    services = ""
    if worker.hyperdrive:
        url = urlsplit(worker.hyperdrive)
        connection = {"database": url.path[1:], "user": url.username, "password": url.password, "scheme": "postgres"}
        settings = ", ".join(f"{name} = {_text(unquote(value or ''))}" for name, value in connection.items())
        bindings += f', (name = "HYPERDRIVE", hyperdrive = (designator = "postgres", {settings}))'
        services = f'(name = "postgres", external = (address = {_text(f"{url.hostname}:{url.port}")}, tcp = ())),'
    return f"""\
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["public", "private", "local"])),
    {services}
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
  {extensions}
  v8Flags = [{heap}],
);
const main :Workerd.Worker = (
  modules = [
    {modules}
  ],
  compatibilityDate = {_text(worker.date)},
  compatibilityFlags = [{flags}],
  bindings = [{bindings}],
);
"""


def _text(value: str) -> str:
    # Cap'n Proto supports the escape sequences of JSON except \u, which ASCII text does not need.
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"{value!r} is not printable ASCII")
    return json.dumps(value)
