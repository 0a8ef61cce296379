"""Install the peers' dependencies from their lock files. Only `make bench` needs them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from typing import TYPE_CHECKING

from bench import ROOT
from bench.workers.builds import FOLDER, PEERS
from devstack.setup.bootstrap import BIN, PYODIDE_TARGET

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

__all__ = ["javascript", "python"]


def javascript() -> Path:
    """Install the packages of the JavaScript peers; return their folder."""
    packages = PEERS / "node_modules"
    _once(packages, PEERS / "package-lock.json", lambda: _run([str(BIN / "npm"), "ci"], PEERS))
    return packages


def python(name: str) -> Path:
    """Install `requirements/bench-NAME.txt` as wheels for Pyodide; return their folder."""
    packages = FOLDER / f"packages-{name}"
    lock = ROOT / "requirements" / f"bench-{name}.txt"

    def install() -> None:
        shutil.rmtree(packages, ignore_errors=True)
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--target",
            str(packages),
            "--no-deps",
            "--no-compile",
        ]
        _run([*pip, *PYODIDE_TARGET, "--require-hashes", "-r", str(lock)], ROOT)

    _once(packages, lock, install)
    return packages


def _once(packages: Path, lock: Path, install: Callable[[], None]) -> None:
    stamp = FOLDER / f"{packages.name}.stamp"
    digest = sha256(lock.read_bytes()).hexdigest()
    if packages.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    install()
    stamp.write_text(digest, encoding="ascii")


def _run(command: Sequence[str], folder: Path) -> None:
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", "NODE_DISABLE_COMPILE_CACHE": "1"}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - nothing of it comes from outside
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}"[-3000:])
