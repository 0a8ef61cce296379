"""Build the contenders in `.local/bench`: the Worker as it would be uploaded, variants of it, and the peers.

A variant is a copy with replaced code or additional modules. The build fails if code to replace does not occur exactly
once. The measurements also check how many different hashes a contender stores.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType

from bench import ROOT
from bench.workers.config import VENDORED
from devstack.setup.bootstrap import BIN, PYODIDE_TARGET
from devstack.stack.services import node

FOLDER = ROOT / ".local" / "bench"
PEERS = Path(__file__).with_name("peers")
ARGON2ID, CONSTANT = "argon2id", "constant"

# The module that replaces kdf.mjs. Python still calls JavaScript once for each hash, but the key is constant.
_CONSTANT = """\
export async function deriveArgon2id(password, salt, memory, passes, lanes, length) {
  return new Uint8Array(length);
}
"""
_CALL = "() => argon2id(password, salt, memory, passes, lanes, length)"
# scrypt with the default parameters of earlier versions.
_SCRYPT = "() => scrypt(password, salt, 16384, 8, 5, length)"
# The generator of Prisma Client for workerd, which replaces the one in the project's schema.
_GENERATOR = """\
generator client {
  provider = "prisma-client"
  output   = "./client"
  runtime  = "workerd"
}"""


class BuildError(Exception):
    """A contender cannot be built."""


def upload() -> Path:
    """Write the files that `wrangler deploy` would upload, and return their folder.

    Raises:
        BuildError: wrangler failed.
    """
    folder = FOLDER / "upload"
    shutil.rmtree(folder, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER) as scratch:
        # Otherwise wrangler writes logs and settings into the home directory.
        scratch_folders = {"XDG_CONFIG_HOME": scratch, "WRANGLER_LOG_PATH": scratch, "TMPDIR": scratch}
        command = [node(), "--no-warnings", str(ROOT / "node_modules/wrangler/wrangler-dist/cli.js")]
        _run(
            [*command, "deploy", "--dry-run", "--outdir", str(folder), "--env", ""],
            ROOT,
            {**scratch_folders, "NO_COLOR": "1", "WRANGLER_SEND_METRICS": "false"},
        )
    return folder


def variant(name: str, source: Path) -> Path:
    """Copy a build, and return the new folder."""
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.capnp"))
    return folder


def with_scrypt(folder: Path) -> None:
    """Change a copy of the Worker to hash with scrypt, as earlier versions did.

    Raises:
        BuildError: kdf.mjs does not contain the call to Argon2id exactly once.
    """
    _replace(folder / "kdf.mjs", _CALL, _SCRYPT)


def without_hash(folder: Path) -> None:
    """Replace the hash with a constant in a copy of the Worker.

    Raises:
        BuildError: kdf.mjs does not contain the call to Argon2id exactly once.
    """
    _replace(folder / "kdf.mjs", _CALL, "")
    (folder / "kdf.mjs").write_text(_CONSTANT, encoding="utf-8")


def with_hyperdrive(folder: Path) -> None:
    """Add the modules for Hyperdrive to a copy of the Worker. wrangler.toml does not list them by default."""
    for module in ("hyperdrive.mjs", "pg.mjs"):
        shutil.copy(ROOT / "src" / module, folder)


def fastapi() -> Path:
    """Install the packages of the FastAPI peer as wheels for Pyodide, and build the peer with the Worker's kdf.mjs."""
    packages, lock = FOLDER / "packages-fastapi", ROOT / "requirements" / "bench-fastapi.txt"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(packages), "--no-deps", "--no-compile"]
    _install(packages, lock, [*pip, *PYODIDE_TARGET, "--require-hashes", "-r", str(lock)], ROOT)
    folder = FOLDER / "fastapi"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file in ("fastapi_signup.py", "argon2id.mjs"):
        shutil.copy(PEERS / file, folder)
    for file in ("kdf.mjs", "argon2.wasm"):
        shutil.copy(ROOT / "src" / file, folder)
    _replace(folder / "argon2id.mjs", "../../../src/kdf.mjs", "./kdf.mjs")
    ignored = shutil.ignore_patterns("*.pyc", "__pycache__", "*.pyi", "py.typed", ".synced")
    shutil.copytree(packages, folder / VENDORED, ignore=ignored)
    return folder


def javascript(name: str, hash_module: str, *options: str) -> Path:
    """Install the packages of the JavaScript peers, and bundle one peer with the esbuild options that wrangler uses.

    Args:
        name: the name of the peer's file in `peers`, without the suffix.
        hash_module: the module in `peers` that hashes the passwords.
        options: further esbuild options.

    Raises:
        BuildError: npm or esbuild failed.
    """
    _install(PEERS / "node_modules", PEERS / "package-lock.json", [str(BIN / "npm"), "ci"], PEERS)
    folder = FOLDER / f"{name}-{hash_module}"
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        *(node(), str(ROOT / "node_modules/esbuild/bin/esbuild"), str(PEERS / f"{name}.mjs"), "--bundle"),
        *("--format=esm", f"--outfile={folder / 'main.mjs'}", "--target=es2024"),
        *("--conditions=workerd,worker,browser", "--external:node:*", "--external:cloudflare:*", "--loader:.wasm=copy"),
        f"--alias:hash={PEERS / hash_module}.mjs",
        *('--define:process.env.NODE_ENV="production"', "--log-level=warning", *options),
    ]
    _run(command, PEERS)
    return folder


def prisma_client() -> Path:
    """Generate Prisma Client for workerd from the project's schema, offline; return its main file."""
    folder = FOLDER / "prisma"
    folder.mkdir(parents=True, exist_ok=True)
    schema = folder / "schema.prisma"
    schema.write_text(for_workerd((ROOT / "prisma" / "schema.prisma").read_text(encoding="utf-8")), encoding="utf-8")
    with tempfile.TemporaryDirectory(dir=FOLDER) as scratch:
        # Otherwise Prisma downloads an engine, although `generate` does not run it. Any existing program will do.
        overrides = {"PRISMA_SCHEMA_ENGINE_BINARY": node(), "CHECKPOINT_DISABLE": "1"}
        command = [node(), str(ROOT / "node_modules/prisma/build/index.js"), "generate", "--schema", str(schema)]
        _run(command, ROOT, {**overrides, "XDG_CACHE_HOME": scratch, "XDG_CONFIG_HOME": scratch})
    return folder / "client" / "client.ts"


def for_workerd(schema: str) -> str:
    """Return the schema with its generator replaced.

    Raises:
        BuildError: the schema does not have exactly one generator.
    """
    changed, count = re.subn(r"^generator \w+ \{.*?^\}", _GENERATOR, schema, flags=re.MULTILINE | re.DOTALL)
    if count != 1:
        raise BuildError(f"the schema has {count} generators")
    return changed


def _install(packages: Path, lock: Path, command: list[str], folder: Path) -> None:
    """Run an installation command unless the packages of this lock file are already installed."""
    stamp = FOLDER / f"{packages.name}.stamp"
    digest = sha256(lock.read_bytes()).hexdigest()
    if packages.exists() and stamp.exists() and stamp.read_text(encoding="ascii") == digest:
        return
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(packages, ignore_errors=True)
    _run(command, folder, {"NODE_DISABLE_COMPILE_CACHE": "1"})
    stamp.write_text(digest, encoding="ascii")


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    if text.count(old) != 1:
        raise BuildError(f"{file.name} must contain {old!r} exactly once: bench/workers/builds.py replaces it")
    file.write_text(text.replace(old, new), encoding="utf-8")


def _run(command: list[str], folder: Path, variables: Mapping[str, str] = MappingProxyType({})) -> None:
    env = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", **variables}
    completed = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)  # noqa: S603 - no argument comes from outside
    if completed.returncode:
        raise BuildError(f"{' '.join(command[:4])} failed:\n{completed.stdout}{completed.stderr}"[-3000:])
