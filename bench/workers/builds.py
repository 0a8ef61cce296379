"""Build the contenders in `.local/bench`: the Worker as it would be uploaded, variants of it, and the peers.

A variant is a copy in which a piece of code is replaced; it is an error if that code does not occur. The hashes of
a build are also checked in the table.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench import ROOT
from bench.peers import node
from bench.workers.config import VENDORED

FOLDER = ROOT / ".local" / "bench"
PEERS = Path(__file__).with_name("peers")
ARGON2ID, CONSTANT = "argon2id", "constant"

# Replaces kdf.mjs: one call from Python to JavaScript, as in the original, that returns a constant key.
_CONSTANT = """\
export async function deriveArgon2id(password, salt, memory, passes, lanes, length) {
  return new Uint8Array(length);
}
"""
_CALL = "() => argon2id(password, salt, memory, passes, lanes, length)"
# The former default parameters.
_SCRYPT = "() => scrypt(password, salt, 16384, 8, 5, length)"


class BuildError(Exception):
    """A contender cannot be built."""


def upload() -> Path:
    """Write what `wrangler deploy` would upload, and return the folder.

    Raises:
        BuildError: wrangler failed.
    """
    folder = FOLDER / "upload"
    shutil.rmtree(folder, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as private:
        # Otherwise wrangler writes logs and settings into the home directory.
        overrides = {"XDG_CONFIG_HOME": private, "WRANGLER_LOG_PATH": private, "TMPDIR": private, "NO_COLOR": "1"}
        path = f"{Path(node()).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        command = [node(), "--no-warnings", str(ROOT / "node_modules/wrangler/wrangler-dist/cli.js")]
        _run(
            [*command, "deploy", "--dry-run", "--outdir", str(folder), "--env", ""],
            ROOT,
            {**overrides, "PATH": path, "WRANGLER_SEND_METRICS": "false"},
        )
    return folder


def variant(name: str, source: Path) -> Path:
    """Copy a build, and return the new folder."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.capnp"))
    return folder


def with_scrypt(folder: Path) -> None:
    """Make a copy of the Worker hash with scrypt, as it did before Argon2id.

    Raises:
        BuildError: the call of Argon2id was not found in kdf.mjs.
    """
    _replace(folder / "kdf.mjs", _CALL, _SCRYPT)


def without_hash(folder: Path) -> None:
    """Replace the hash with a constant in a copy of the Worker.

    Raises:
        BuildError: the call of Argon2id was not found in kdf.mjs.
    """
    _replace(folder / "kdf.mjs", _CALL, "")
    (folder / "kdf.mjs").write_text(_CONSTANT, encoding="utf-8")


def with_hyperdrive(folder: Path) -> None:
    """Add the driver of Hyperdrive to a copy of the Worker, as wrangler.toml describes it."""
    for module in ("hyperdrive.mjs", "pg.mjs"):
        shutil.copy(ROOT / "src" / module, folder)


def python(name: str, main: str, modules: Path) -> Path:
    """Build a Python peer with the Worker's hash.

    Args:
        name: the name of the folder.
        main: its file in `peers`.
        modules: the folder in which packages are installed.
    """
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(PEERS / main, folder / main)
    for module in ("kdf.mjs", "argon2.wasm"):
        shutil.copy(ROOT / "src" / module, folder)
    shutil.copy(PEERS / "argon2id.mjs", folder)
    _replace(folder / "argon2id.mjs", "../../../src/kdf.mjs", "./kdf.mjs")
    ignored = shutil.ignore_patterns("*.pyc", "__pycache__", "*.pyi", "py.typed", ".synced")
    shutil.copytree(modules, folder / VENDORED, ignore=ignored)
    return folder


def javascript(name: str, main: str, hash_module: str, *options: str) -> Path:
    """Bundle a JavaScript peer with wrangler's options of esbuild.

    Args:
        name: the name of the folder.
        main: its file in `peers`.
        hash_module: the module in `peers` that hashes its passwords.
        options: more options of esbuild.

    Raises:
        BuildError: esbuild failed.
    """
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        *(node(), str(ROOT / "node_modules/esbuild/bin/esbuild"), str(PEERS / main), "--bundle", "--format=esm"),
        *(f"--outfile={folder / 'main.mjs'}", "--target=es2024", "--conditions=workerd,worker,browser"),
        *("--external:node:*", "--external:cloudflare:*", "--loader:.wasm=copy"),
        f"--alias:hash={PEERS / hash_module}.mjs",
        *('--define:process.env.NODE_ENV="production"', "--log-level=warning", *options),
    ]
    _run(command, PEERS, {})
    return folder


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise BuildError(f"{file.name} does not contain {old!r} once, which bench/workers/builds.py replaces")
    file.write_text(text.replace(old, new), encoding="utf-8")


def _run(command: list[str], folder: Path, env: dict[str, str]) -> None:
    done = subprocess.run(  # noqa: S603 - no argument comes from outside
        command, cwd=folder, env={**os.environ, **env}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError(f"{' '.join(command[:4])} failed:\n{done.stdout}{done.stderr}")
