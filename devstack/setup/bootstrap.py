"""Install missing packages from PyPI and npm: `make setup`, which other make targets run first.

This module needs CPython 3.11 or newer with pip and venv (`devstack/__init__.py` rejects an older Python). It imports
only the standard library and modules of this package, because nothing else is installed yet. A step is skipped if its
results exist and the digest of its inputs, stored in `.local/stamps/`, has not changed. Everything is installed in the
checkout, except for the usual caches of uv, pip and npm. The output of a failed step is in `.local/setup.log`.
"""

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from devstack.setup import console, remedies

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".venv"
BIN = VENV / "bin"
MODULES = ROOT / "python_modules"
# The API documentation page: Swagger UI, its licences, and an icon.
PAGE = ROOT / "public" / "docs"
PAGE_FILES = {
    **{name: name for name in ("swagger-ui-bundle.js", "swagger-ui-bundle.js.LICENSE.txt", "swagger-ui.css")},
    **{name: f"swagger-ui.{name}.txt" for name in ("LICENSE", "NOTICE")},
    "favicon-32x32.png": "favicon-32x32.png",
}
ARGON2 = "devstack/setup/argon2.mjs"
PG = "devstack/setup/pg.mjs"
SYNCED = (MODULES, ROOT / ".venv-workers")
STAMPS = ROOT / ".local" / "stamps"
LOG = ROOT / ".local" / "setup.log"
# Credentials in URLs, such as the password of a mirror.
SECRET = re.compile(r"(?<=://)[^@/\s]+(?=@)")

# pip's options for the wheels in python_modules/, which are for the interpreter in workerd (platform tag of PEP 783).
PYODIDE_TARGET = (
    *("--python-version", "3.14", "--implementation", "cp", "--abi", "cp314"),
    *("--platform", "pyemscripten_2026_0_wasm32", "--only-binary", ":all:"),
)
# MarkupSafe has no wheel for Pyodide on PyPI. It works without its extension module, so the Python code of another
# platform's wheel is enough. pip only uses such a wheel if there is none for Pyodide.
SECOND_PLATFORM = ("--platform", "manylinux2014_x86_64")
OPTIONAL_EXTENSIONS = {"markupsafe"}


class StepError(Exception):
    """A step failed. The message is a headline, which the output of the failed program may follow."""


class Step(NamedTuple):
    """An installation step. It runs if a path in `outputs` is missing or an input has changed."""

    title: str
    outputs: tuple[Path, ...]
    inputs: tuple[str, ...]
    run: Callable[[], object]


def make_venv() -> None:
    """Create `.venv` with the running interpreter, or with its base interpreter if it is in a virtual environment."""
    if VENV.exists():
        shutil.rmtree(VENV)
    # sys.executable may be in the folder that was just deleted, if .venv/bin is on the PATH.
    _run(getattr(sys, "_base_executable", sys.executable), "-m", "venv", str(VENV))


def install_python() -> None:
    """Install uv with pip, and the other development packages with uv. The hash of each downloaded file is checked."""
    _run(str(BIN / "python"), "-m", "pip", "install", "--require-hashes", "-r", "requirements/bootstrap.txt")
    _run(
        *(str(BIN / "uv"), "pip", "install", "--python", str(BIN / "python"), "--require-hashes"),
        *("-r", "requirements/bootstrap.txt", "-r", "requirements/dev.txt"),
    )


def install_worker() -> None:
    """Install the Worker's packages from Pyodide wheels into `python_modules/`, where wrangler looks for them.

    The two `.synced` files tell pywrangler that the packages are current, so that it deploys the tested packages.
    """
    new_folder = ROOT / ".local" / "python_modules.new"
    shutil.rmtree(new_folder, ignore_errors=True)
    _run(
        *(str(BIN / "python"), "-m", "pip", "install", "--target", str(new_folder), "--no-deps", "--no-compile"),
        *(*PYODIDE_TARGET, *SECOND_PLATFORM, "--require-hashes", "-r", "requirements/worker.txt"),
    )
    remove_foreign_extensions(new_folder)
    shutil.rmtree(new_folder / "bin", ignore_errors=True)  # command line programs, which a Worker does not need
    shutil.rmtree(MODULES, ignore_errors=True)
    new_folder.rename(MODULES)
    version = _run(
        *(str(BIN / "python"), "-c", "import importlib.metadata as m; print(m.version('workers-py'), end='')")
    )
    for folder in SYNCED:
        folder.mkdir(exist_ok=True)
        (folder / ".synced").write_text(version)


def remove_foreign_extensions(folder: Path) -> None:
    """Remove extension modules that Pyodide cannot load.

    Raises:
        StepError: a package does not work without its extension module.
    """
    for path in folder.rglob("*.so"):
        if not path.name.endswith("-wasm32-emscripten.so"):
            package = path.relative_to(folder).parts[0]
            if package not in OPTIONAL_EXTENSIONS:
                raise StepError(f"{package} has no wheel for Pyodide")
            path.unlink()


def copy_page() -> None:
    """Copy Swagger UI into `public/docs`, next to the project's own files."""
    for name, target in PAGE_FILES.items():
        shutil.copyfile(ROOT / "node_modules" / "swagger-ui-dist" / name, PAGE / target)


STEPS = (
    Step("virtual environment", (BIN / "python",), (), make_venv),
    Step("Python packages", (BIN / "uv",), ("requirements/bootstrap.txt", "requirements/dev.txt"), install_python),
    Step(
        "JavaScript packages",
        (ROOT / "node_modules",),
        ("package.json", "package-lock.json"),
        lambda: _run(str(BIN / "npm"), "ci"),
    ),
    Step("page of the API", (PAGE / "swagger-ui-bundle.js",), (), copy_page),
    # The script copies Argon2's WebAssembly module and checks its SHA-256. wrangler's `[build]` runs it too.
    Step("Argon2 for the Worker", (ROOT / "src" / "argon2.wasm",), (ARGON2,), lambda: _run(str(BIN / "node"), ARGON2)),
    Step("driver for Hyperdrive", (ROOT / "src" / "pg.mjs",), (PG,), lambda: _run(str(BIN / "node"), PG)),
    Step("packages of the Worker", SYNCED, ("requirements/worker.txt", "pyproject.toml"), install_worker),
)


def main() -> int:
    """Run the steps that are not yet done, in order, and return the exit status."""
    screen = console.Console()
    announced = False
    try:
        for step, state in states():
            if _is_done(step, state):
                continue
            if not announced:
                print("setup: install missing packages from PyPI and npm into this folder", flush=True)
                announced = True
            with screen.step(step.title):
                step.run()
                STAMPS.mkdir(parents=True, exist_ok=True)
                stamp_of(step).write_text(state)
        for folder in SYNCED:
            # pywrangler compares this file's age with that of pyproject.toml, which often changes for other reasons.
            (folder / ".synced").touch()
    except (StepError, OSError) as exc:
        return _report_failure(exc)
    except KeyboardInterrupt:
        print("setup: stopped; the next make continues here", file=sys.stderr)
        return 130
    return 0


def states() -> Iterator[tuple[Step, str]]:
    """Yield each step with the digest of its inputs and those of all earlier steps.

    The digest also includes Python's version, the base interpreter's prefix and the path of the checkout. The prefix of
    the running interpreter would depend on whether `.venv/bin` is on the PATH.
    """
    state = hashlib.sha256(repr((sys.version, sys.base_prefix, str(ROOT))).encode())
    for step in STEPS:
        for name in step.inputs:
            state.update((ROOT / name).read_bytes())
        yield step, state.hexdigest()


def stamp_of(step: Step) -> Path:
    """Return the path of the file that holds the digest of a step's last run."""
    return STAMPS / step.title.replace(" ", "-")


def _is_done(step: Step, state: str) -> bool:
    stamp = stamp_of(step)
    return all(each.exists() for each in step.outputs) and stamp.exists() and stamp.read_text() == state


def _report_failure(exc: Exception) -> int:
    """Print the failure with a fix, and write it to the log if possible. Return the exit status."""
    message = SECRET.sub("...", str(exc))
    shortage = remedies.shortage(str(ROOT), tempfile.gettempdir())
    remedy = remedies.find_remedy(f"{shortage}\n{message}", remedies.SETUP)
    if remedy is None and isinstance(exc, OSError):
        raise exc
    log = ""
    with contextlib.suppress(OSError):
        LOG.parent.mkdir(parents=True, exist_ok=True)
        LOG.write_text(message + "\n", encoding="utf-8")
        log = str(LOG.relative_to(ROOT))
    console.failure("setup", "\n".join(filter(None, (message, shortage))), remedy, log)
    if remedy is None:
        advice = "unknown error: read the log. To install everything again, run `make clean`, then make"
        console.table([("fix", advice)], sys.stderr, "bold", prose=True)
    return 1


def _run(*command: str) -> str:
    """Run a command in the checkout and return its output, which is shown only after a failure."""
    env = os.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}", "VIRTUAL_ENV": str(VENV)}
    env["NODE_DISABLE_COMPILE_CACHE"] = "1"  # npm would put Node's compile cache in /tmp
    env.pop("PYTHONHOME", None)
    program = f"{Path(command[0]).name} {' '.join(command[1:4])} ..."
    try:
        result = subprocess.run(
            command, cwd=ROOT, env=env, capture_output=True, text=True, errors="replace", check=False
        )
    except OSError as exc:
        raise StepError(f"{command[0]} cannot be started\n{exc}") from exc
    if result.returncode == -signal.SIGINT:
        raise KeyboardInterrupt
    if result.returncode:
        raise StepError(f"{program} ended with {result.returncode}\n{(result.stdout + result.stderr).strip()}")
    return result.stdout


if __name__ == "__main__":
    raise SystemExit(main())
