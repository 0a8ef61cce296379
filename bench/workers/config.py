"""workerd's configuration of one Worker, in Cap'n Proto's text format."""

from __future__ import annotations

import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path, PurePath

VENDORED = "python_modules/"
LIMITS = ("CLIENT_LIMIT", "EMAIL_LIMIT")
# Bare workerd has no rate limits: to this binding the clients of 192.0.2.0/24 are over theirs.
LIMITER = "bench:limiter"
_LIMITED = '({ limit: async ({ key }) => ({ success: !key.startsWith("192.0.2.") }) })'
_KINDS = {".py": "pythonModule", ".mjs": "esModule", ".js": "esModule", ".wasm": "wasm", ".html": "text"}
# What wrangler leaves in a folder beside what it uploads.
_NOT_UPLOADED = re.compile(r"README\.md|.*\.map|.*\.capnp")


class Worker(NamedTuple):
    """What runs.

    Attributes:
        folder: Its modules, at the paths that they are imported by.
        main: The module that answers.
        date: The compatibility date.
        flags: The compatibility flags.
        bindings: Texts.
        limited: Whether it has rate limiting bindings, as a stand-in.
    """

    folder: Path
    main: str
    date: str
    flags: tuple[str, ...]
    bindings: Mapping[str, str]
    limited: bool = False


def kind(name: str) -> str:
    """The field of workerd's `Module` that a file goes into, as wrangler chooses it.

    What is vendored is data to workerd, which makes files of it, except for JavaScript.
    """
    suffix = PurePosixPath(name).suffix
    if name.startswith(VENDORED) and suffix not in {".js", ".mjs"}:
        return "data"
    return _KINDS.get(suffix, "data")


def members(paths: Iterable[PurePath], main: str) -> list[str]:
    """The names of modules in workerd's order: the main module first."""
    names = {path.as_posix() for path in paths} - {main}
    return [main, *sorted(name for name in names if not _NOT_UPLOADED.fullmatch(name))]


def render(worker: Worker, names: Iterable[str]) -> str:
    """The configuration, for a file in the Worker's folder.

    The Worker listens on a port of 127.0.0.1 that workerd chooses, and reaches whatever this machine does.

    Args:
        worker: The Worker.
        names: Of its modules, the main one first.
    """
    modules = ",\n    ".join(f"(name = {_text(name)}, {kind(name)} = embed {_text(name)})" for name in names)
    bindings = ", ".join(f"(name = {_text(name)}, text = {_text(value)})" for name, value in worker.bindings.items())
    flags = ", ".join(map(_text, worker.flags))
    extensions = ""
    if worker.limited:
        wrapped = f"wrapped = (moduleName = {_text(LIMITER)})"
        bindings += "".join(f", (name = {_text(name)}, {wrapped})" for name in LIMITS)
        module = f"name = {_text(LIMITER)}, internal = true, esModule = {_text(f'export default () => {_LIMITED};')}"
        extensions = f"extensions = [(modules = [({module})])],"
    return f"""\
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "internet", network = (allow = ["public", "private", "local"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
  {extensions}
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
    # JSON's escapes are Cap'n Proto's too, but for \\u, which ASCII does without.
    if not value.isascii() or not value.isprintable():
        raise ValueError(f"{value!r} is not printable ASCII")
    return json.dumps(value)
