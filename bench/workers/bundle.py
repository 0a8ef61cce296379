"""What ``wrangler deploy`` would upload: its files, its size, and each package's share of that."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tempfile
from typing import TYPE_CHECKING

from bench import ROOT
from bench.peers import node
from bench.workers.config import VENDORED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path, PurePath

__all__ = ["gzip_kib", "owner", "shares", "upload"]


def upload(folder: Path) -> str:
    """Writes what would be uploaded into a folder, anew; returns what wrangler says.

    Raises:
        RuntimeError: Wrangler failed.
    """
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as private:
        # wrangler would write its logs and settings into the home directory.
        own = {"XDG_CONFIG_HOME": private, "WRANGLER_LOG_PATH": private, "TMPDIR": private, "NO_COLOR": "1"}
        command = [node(), "--no-warnings", str(ROOT / "node_modules/wrangler/wrangler-dist/cli.js")]
        done = subprocess.run(  # noqa: S603 - nothing of it comes from outside
            [*command, "deploy", "--dry-run", "--outdir", str(folder), "--env", ""],
            cwd=ROOT,
            env={**os.environ, **own, "WRANGLER_SEND_METRICS": "false"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"wrangler failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def gzip_kib(printed: str) -> float:
    """The size of the upload when it is compressed, in KiB, as wrangler says it.

    Raises:
        RuntimeError: It does not say so.
    """
    found = re.search(r"Total Upload: [\d.]+ KiB / gzip: ([\d.]+) KiB", printed)
    if found is None:
        raise RuntimeError(f"wrangler does not say how large the upload is:\n{printed}")
    return float(found[1])


def owner(path: PurePath) -> str:
    """The package that a file of the upload belongs to; ``src`` for our own."""
    name = path.as_posix()
    if not name.startswith(VENDORED):
        return "src"
    top = path.parts[1].removesuffix(".py")
    return "workers" if top.startswith("_workers_sdk") else top


def shares(folder: Path) -> dict[str, float]:
    """KiB of each package when each of its files is compressed by itself, which comes near to its part in the whole."""
    found: dict[str, float] = {}
    for path in _files(folder):
        name = owner(path.relative_to(folder))
        found[name] = found.get(name, 0.0) + len(gzip.compress(path.read_bytes(), mtime=0)) / 1024
    return {name: round(size, 1) for name, size in sorted(found.items(), key=lambda item: -item[1])}


def _files(folder: Path) -> Iterable[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and path.name not in {"README.md", "config.capnp"})
