"""The contenders' builds, below `.local/bench`: ours as it would be uploaded, variants of it, and the peers.

A variant is a copy in which one thing is replaced. What is replaced is searched for by name, and its absence is an
error; that the hash of a build is what it should be is checked in the table too.
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

# In place of kdf.mjs: one crossing between Python and JavaScript, as the real one has it, and a constant key.
_CONSTANT = """\
export async function deriveArgon2id(password, salt, memory, passes, lanes, length) {
  return new Uint8Array(length);
}
"""
_CALL = "() => argon2id(password, salt, memory, passes, lanes, length)"
# The parameters that were the default before.
_SCRYPT = "() => scrypt(password, salt, 16384, 8, 5, length)"


class BuildError(Exception):
    """A contender cannot be built; the message says why."""


def upload() -> Path:
    """Write what `wrangler deploy` would upload, and return the folder.

    Raises:
        BuildError: wrangler failed.
    """
    folder = FOLDER / "upload"
    shutil.rmtree(folder, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as private:
        # wrangler would write its logs and settings into the home directory.
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
    """Let a copy of ours hash with scrypt, as it did before Argon2id.

    Raises:
        BuildError: kdf.mjs does not call Argon2id where it should.
    """
    _replace(folder / "kdf.mjs", _CALL, _SCRYPT)


def without_hash(folder: Path) -> None:
    """Replace the hash of a copy of ours by a constant.

    Raises:
        BuildError: kdf.mjs does not call Argon2id where it should.
    """
    _replace(folder / "kdf.mjs", _CALL, "")
    (folder / "kdf.mjs").write_text(_CONSTANT, encoding="utf-8")


def python(name: str, main: str, modules: Path) -> Path:
    """Put a Python peer together, which hashes as ours does.

    Args:
        name: the folder's.
        main: its file in `peers`.
        modules: where packages were installed.
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
    """Bundle a JavaScript peer, with the options that wrangler gives esbuild.

    Args:
        name: the folder's.
        main: its file in `peers`.
        hash_module: the module in `peers` that hashes its passwords.
        options: further ones of esbuild.

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
