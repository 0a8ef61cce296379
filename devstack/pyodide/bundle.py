"""Build workerd's Python runtime from npm's `pyodide`, for machines that cannot download the official bundle.

workerd checks an official bundle against a built-in digest, but not the bundle named `dev`. It loads `dev` from
`pyodide_dev.capnp.bin` in `--pyodide-bundle-disk-cache-dir` if a Worker has the compatibility flags `DEV_FLAGS`.
A bundle is tested after the build, and cached until Pyodide, workerd, this module or `glue.py` changes.
"""

import fcntl
import hashlib
import json
import os
import shlex
import shutil
import subprocess
import tempfile
import tomllib
import urllib.error
import urllib.request
from pathlib import Path
from typing import cast

import capnp

from devstack.pyodide import glue as pyodide_glue
from devstack.setup.bootstrap import BIN, ROOT

CACHE = ROOT / ".local" / "pyodide"
# Compatibility flags for the bundle named `dev`, in addition to the Worker's own.
DEV_FLAGS = ("python_workers_development", "experimental")
# The server from which workerd downloads the official bundle. workerd's binary contains this URL.
OFFICIAL_HOST = "https://pyodide-capnp-bin.edgeworker.net/"
PROBE_SECONDS = 3
BOOT_SECONDS = 60

# A Worker whose response shows that the glue code, the interpreter and its standard library work with this workerd.
BOOT_WORKER = """\
import js, json, unicodedata
async def on_fetch(request):
    return js.Response.new(json.dumps({"booted": unicodedata.normalize("NFC", "e\\u0301") == "\\u00e9"}))
"""
BOOT_CONFIG = """\
using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [(name = "main", worker = .boot)],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
);
const boot :Workerd.Worker = (
  modules = [(name = "boot.py", pythonModule = embed "boot.py")],
  compatibilityDate = "2026-09-08",
  compatibilityFlags = [%s, "disable_python_no_global_handlers", "disable_python_external_sdk"],
);
"""


class BundleError(Exception):
    """A bundle could not be built, or does not boot."""


def flags(wrangler_toml: Path) -> tuple[str, ...]:
    """Return a Worker's compatibility flags and those that make workerd use the local bundle."""
    configured: list[str] = tomllib.loads(wrangler_toml.read_text(encoding="utf-8"))["compatibility_flags"]
    return (*configured, *DEV_FLAGS)


def official_is_reachable() -> bool:
    """Return whether this machine can reach the server of the official bundle."""
    request = urllib.request.Request(OFFICIAL_HOST, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=PROBE_SECONDS)  # noqa: S310 - a constant URL
    except urllib.error.HTTPError:
        return True  # an error response also shows that the host is reachable
    except (OSError, ValueError):
        return False
    return True


def workerd_program() -> Path:
    """Return the path of this platform's workerd executable in node_modules."""
    script = "process.stdout.write(require('workerd').default)"
    result = subprocess.run([BIN / "node", "-e", script], cwd=ROOT, capture_output=True, text=True, check=True)
    return Path(result.stdout)


def ensure() -> Path:
    """Return the folder of a bundle for the installed pyodide and workerd; build and test it if it is not cached.

    Raises:
        BundleError: npm's `pyodide` does not fit `glue.py`, or workerd does not boot the bundle.
    """
    versions = [_version("pyodide"), _version("workerd")]
    sources = Path(pyodide_glue.__file__).read_bytes() + Path(__file__).read_bytes()
    source_digest = hashlib.sha256(sources).hexdigest()[:12]
    folder = CACHE / "-".join([*versions, source_digest])
    if folder.is_dir():
        return folder
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        # A concurrent process waits for the lock, and then finds the folder.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            _build(folder, versions[0])
    for outdated in CACHE.iterdir():
        if outdated.is_dir() and outdated != folder and not outdated.name.startswith("new-"):
            shutil.rmtree(outdated, ignore_errors=True)
    return folder


def _build(folder: Path, version: str) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="new-") as temporary:
        new_bundle = Path(temporary) / "bundle"
        new_bundle.mkdir()
        try:
            _write(ROOT / "node_modules" / "pyodide", new_bundle / "pyodide_dev.capnp.bin")
        except pyodide_glue.SubstitutionError as exc:
            raise BundleError(f"pyodide {version} does not fit devstack/pyodide/glue.py: {exc}") from exc
        _boot(new_bundle)
        # The folder is renamed last, so that a folder with this name always contains a bundle that booted.
        new_bundle.rename(folder)


def wrapper(bundle: Path) -> Path:
    """Return the path of a script that runs workerd with the option for the bundle's folder, which wrangler cannot set.

    Miniflare runs the program in `MINIFLARE_WORKERD_PATH` as workerd. `exec` keeps the process id, so stopping the
    script stops workerd.
    """
    script = bundle / "workerd"
    text = f"""\
#!/bin/sh
if [ "$1" = serve ]; then
  shift
  set -- serve --pyodide-bundle-disk-cache-dir={shlex.quote(str(bundle))} "$@"
fi
exec {shlex.quote(str(workerd_program()))} "$@"
"""
    if not script.exists() or script.read_text() != text:
        script.write_text(text)
        script.chmod(0o755)
    return script


def _version(package: str) -> str:
    manifest = json.loads((ROOT / "node_modules" / package / "package.json").read_text())
    return cast("str", manifest["version"])


def _write(pyodide: Path, target: Path) -> None:
    schema = capnp.load(str(Path(__file__).with_name("pyodide.capnp")))
    glue = pyodide_glue.adapt((pyodide / "pyodide.asm.mjs").read_text())
    contents = (
        ("pyodide.asm", "src", glue.encode()),
        ("pyodide.asm.wasm", "wasm", (pyodide / "pyodide.asm.wasm").read_bytes()),
        ("python_stdlib.zip", "data", (pyodide / "python_stdlib.zip").read_bytes()),
    )
    message = schema.Bundle.new_message()
    modules = message.init("modules", len(contents))
    for module, (name, kind, content) in zip(modules, contents, strict=True):
        module.name = f"pyodideRuntime-internal:{name}"
        module.type = "internal"
        setattr(module, kind, content)
    with target.open("wb") as file:
        message.write(file)


def _boot(bundle: Path) -> None:
    """Check that workerd runs a minimal Worker with the bundle."""
    (bundle / "boot.py").write_text(BOOT_WORKER)
    (bundle / "boot.capnp").write_text(BOOT_CONFIG % ", ".join(f'"{flag}"' for flag in ("python_workers", *DEV_FLAGS)))
    command = [
        *(str(workerd_program()), "serve", "--experimental", "--control-fd=1"),
        *(f"--pyodide-bundle-disk-cache-dir={bundle}", str(bundle / "boot.capnp")),
    ]
    with (
        tempfile.TemporaryFile("w+", dir=bundle) as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=dict(os.environ)) as workerd,
    ):
        try:
            assert workerd.stdout is not None
            listening = json.loads(workerd.stdout.readline() or "{}")
            url = f"http://127.0.0.1:{listening['port']}/"
            with urllib.request.urlopen(url, timeout=BOOT_SECONDS) as response:
                booted = json.load(response)["booted"]
        except (OSError, ValueError, KeyError):
            booted = False
        finally:
            workerd.kill()
        if not booted:
            log.seek(0)
            raise BundleError("workerd does not boot the bundle that was built:\n" + log.read()[-3000:])
