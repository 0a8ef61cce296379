"""Failures of `make setup`, in a copy of its files whose path contains an apostrophe and spaces."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from devstack.setup.bootstrap import ROOT

NEEDED = ("devstack", "requirements", "Makefile", "package.json", "package-lock.json", "pyproject.toml", ".npmrc")
BOOTSTRAP = (sys.executable, "-m", "devstack.setup.bootstrap")
MAKE = shutil.which("make") or "make"
# Root in a new user namespace may mount file systems, which only processes in the namespace see.
NAMESPACE = ("unshare", "--user", "--map-root-user", "--mount", "sh", "-c")
UNREACHABLE_INDEX = "http://127.0.0.1:9/simple/"
# pip and uv ignore this machine's configuration, pip uses no cache, and the tools retry at most once.
BARE = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_NO_CACHE_DIR": "1",
    "PIP_RETRIES": "1",
    "UV_HTTP_RETRIES": "0",
    "UV_NO_CONFIG": "1",
    "npm_config_fetch_retries": "0",
    "NO_PROXY": "127.0.0.1",
    "NO_COLOR": "1",
}
# A program that runs a command with SIGINT enabled. A shell makes its background processes ignore SIGINT, and their
# children inherit that.
INTERRUPTIBLE = (
    *(sys.executable, "-c"),
    "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])",
)
# A script that marks steps as done, in a copy that uses this checkout's `.venv`.
STAMP = """
import sys
from devstack.setup import bootstrap
bootstrap.STAMPS.mkdir(parents=True)
for step, state in bootstrap.states():
    if step.title in sys.argv[1:]:
        bootstrap.stamp_of(step).write_text(state)
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """Copy the files that setup needs."""
    folder = tmp_path / "it's my checkout"
    folder.mkdir()
    for name in NEEDED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, folder)
    return folder


def environment(copy: Path, **variables: str) -> dict[str, str]:
    """Return the environment variables for a run of setup."""
    own = {"UV_CACHE_DIR": str(copy.parent / "uv"), "npm_config_cache": str(copy.parent / "npm")}
    return os.environ | BARE | own | variables


def setup(copy: Path, *command: str, **variables: str) -> tuple[str, str]:
    """Run a setup that fails; return its stdout and stderr."""
    env = environment(copy, **variables)
    done = subprocess.run(command or BOOTSTRAP, cwd=copy, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert not done.stderr.startswith("Traceback")
    return done.stdout, done.stderr


def mark_done(copy: Path, *titles: str) -> None:
    """Link this checkout's `.venv`, which must not change, into the copy, and mark steps as done."""
    (copy / ".venv").symlink_to(ROOT / ".venv")
    subprocess.run([sys.executable, "-c", STAMP, "virtual environment", *titles], cwd=copy, check=True)


def require_explanation(output: str, cause: str, fix: str) -> None:
    """Check that the output has the cause and a fix, in at most 16 lines."""
    lines = output.splitlines()
    assert len(lines) <= 16, output
    assert any(line.startswith("  cause ") and cause in line for line in lines), output
    assert any(line.startswith("  fix ") and fix in line for line in lines), output


def create_wheel(folder: Path, name: str, tag: str) -> str:
    """Create an empty wheel; return a requirement for it with its hash."""
    file = folder / f"{name}-1.0-{tag}.whl"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{name}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{name}-1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{name}-1.0.dist-info/RECORD", "")
    return f"{name}==1.0 --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


def test_pip_without_network_is_explained(copy: Path) -> None:
    """The second step cannot connect to the index; the cause, a fix and the path of the log are printed."""
    out, err = setup(copy, PIP_INDEX_URL=UNREACHABLE_INDEX)
    assert [line.split()[-1] for line in out.splitlines()[1:]] == ["s", "failed"]
    require_explanation(err, "the package registry cannot be reached", "HTTPS_PROXY")
    assert ".local/setup.log" in err
    assert "NewConnectionError" in (copy / ".local/setup.log").read_text()
    # The next run does not repeat completed steps.
    assert (copy / ".venv/bin/python").exists()
    out, _ = setup(copy, PIP_INDEX_URL=UNREACHABLE_INDEX)
    assert "virtual environment" not in out


def test_uv_without_network_is_explained(copy: Path) -> None:
    """The package index refuses uv's connection. pip needs no connection, because uv is already installed."""
    mark_done(copy)
    (copy / "requirements/dev.txt").write_text(f"no-such-package-of-ours==1.0 --hash=sha256:{'0' * 64}\n")
    _, err = setup(copy, UV_DEFAULT_INDEX=UNREACHABLE_INDEX)
    require_explanation(err, "the package registry cannot be reached", "UV_DEFAULT_INDEX")


def test_npm_without_network_is_explained(copy: Path) -> None:
    """The npm registry refuses the connection."""
    mark_done(copy, "Python packages")
    _, err = setup(copy, npm_config_registry=UNREACHABLE_INDEX)
    require_explanation(err, "the package registry cannot be reached", "npm_config_registry")


def test_the_password_of_a_mirror_is_not_shown(copy: Path) -> None:
    """The password is neither in the output nor in the log."""
    mark_done(copy)
    (copy / ".venv").unlink()
    (copy / ".venv/bin").mkdir(parents=True)
    for name, script in (("python", "exit 0"), ("uv", "echo not found: https://ada:canary@mirror.example/uv; exit 1")):
        (copy / ".venv/bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (copy / ".venv/bin" / name).chmod(0o755)
    _, err = setup(copy)
    output = err + (copy / ".local/setup.log").read_text()
    assert "https://...@mirror.example/uv" in output
    assert "canary" not in output


def test_a_file_with_another_hash_is_not_installed(copy: Path) -> None:
    """The hash in the lock file differs from that of the file; the cause and a fix are printed."""
    mark_done(copy)
    line = create_wheel(copy.parent, "changed", "py3-none-any")
    (copy / "requirements/dev.txt").write_text(line[:-5] + "0000\n")
    _, err = setup(copy, UV_NO_INDEX="1", UV_FIND_LINKS=str(copy.parent))
    require_explanation(err, "a file that differs from the locked one", "empty the caches")


@pytest.mark.parametrize(
    ("tag", "cause", "fix"),
    [
        ("py3-none-manylinux_2_17_s390x", "not available for this operating system or processor", "glibc 2.35"),
        ("cp35-cp35m-manylinux_2_17_x86_64", "does not support this version of Python", "CPython 3.11 to 3.14"),
    ],
)
def test_a_package_for_another_platform_is_explained(copy: Path, tag: str, cause: str, fix: str) -> None:
    """A locked package is only available for another processor or another Python."""
    mark_done(copy)
    (copy / "requirements/dev.txt").write_text(create_wheel(copy.parent, "foreign", tag))
    _, err = setup(copy, UV_NO_INDEX="1", UV_FIND_LINKS=str(copy.parent))
    require_explanation(err, cause, fix)


def test_a_full_disk_is_explained(copy: Path) -> None:
    """The folder is on a file system of 4 MiB; the failed program does not report the full disk."""
    (small := copy.parent / "a small disk").mkdir()
    mount = f"mount -t tmpfs -o size=4m none '{small}' && cp -R . '{small}' && cd '{small}' && "
    require_namespaces(f"mount -t tmpfs -o size=4m none '{small}'")
    _, err = setup(copy, *NAMESPACE, mount + 'exec "$@"', "sh", *BOOTSTRAP)
    require_explanation(err, "the disk is full", "df -h")


def test_a_read_only_folder_is_explained(copy: Path) -> None:
    """The folder is on a file system that is mounted read-only."""
    mount = f"mount --bind '{copy}' '{copy}' && mount -o remount,ro,bind '{copy}' && cd '{copy}'"
    require_namespaces(mount)
    _, err = setup(copy, *NAMESPACE, mount + ' && exec "$@"', "sh", *BOOTSTRAP)
    require_explanation(err, "read-only file system", "clone the repository")


def test_a_folder_of_another_user_is_explained(copy: Path) -> None:
    """The user may not write to the folder. In a user namespace without a mapping this also applies to root."""
    if subprocess.run([*NAMESPACE[:2], "true"], check=False, capture_output=True).returncode:
        pytest.skip("user namespaces are forbidden here")
    copy.chmod(0o555)
    try:
        _, err = setup(copy, "unshare", "--user", *BOOTSTRAP)
    finally:
        copy.chmod(0o755)
    require_explanation(err, "belongs to another user", "chown")


def test_a_python_without_venv_is_explained(copy: Path) -> None:
    """The module venv is missing, as on Debian without python3-venv; a file venv.py hides it here."""
    (copy / "venv.py").write_text("raise ModuleNotFoundError(\"No module named 'venv'\")")
    _, err = setup(copy)
    require_explanation(err, "the module venv", "apt install python3-venv")


def test_a_missing_node_is_explained(copy: Path) -> None:
    """`.venv` does not contain Node."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(copy / "venv")], check=True)
    mark_done(copy, "Python packages")
    (copy / ".venv").unlink()
    (copy / "venv").rename(copy / ".venv")
    (copy / ".venv/bin/uv").touch()
    _, err = setup(copy)
    require_explanation(err, "Node is not in .venv", "make clean")


def test_an_old_python_is_refused(copy: Path) -> None:
    """The message names the required version and a fix.

    It is printed by each older Python on this machine, and by this Python with a faked version number.
    """
    older = [path for name in ("2.7", "3.6", "3.8", "3.9", "3.10") if (path := find_working_python(f"python{name}"))]
    pretending = (sys.executable, "-c", "import sys; sys.version_info = (3, 10, 0); import devstack")
    for command in (pretending, *((each, "-m", "devstack.setup.bootstrap") for each in older)):
        out, err = setup(copy, *command)
        assert out == ""
        assert err.startswith("setup: needs CPython 3.11 or newer, but ")
        assert "PYTHON=python3.13 make" in err


def test_a_missing_python_is_explained(copy: Path) -> None:
    """The Makefile names the missing interpreter and a fix."""
    done = subprocess.run(
        [MAKE, "setup", "PYTHON=python-that-is-not-here"], cwd=copy, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "setup: there is no python-that-is-not-here\n  fix  " in done.stderr


def test_ctrl_c_stops_setup_without_a_traceback(copy: Path) -> None:
    """The signal arrives while setup waits for an index. The message states that the next run continues."""
    mark_done(copy)
    (copy / "requirements/dev.txt").write_text(f"no-such-package-of-ours==1.0 --hash=sha256:{'0' * 64}\n")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        env = environment(copy, UV_DEFAULT_INDEX=f"http://127.0.0.1:{silent.getsockname()[1]}/simple/")
        with subprocess.Popen(
            [*INTERRUPTIBLE, *BOOTSTRAP],
            cwd=copy,
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            client, _ = silent.accept()
            time.sleep(0.2)
            # A terminal sends SIGINT to the whole process group.
            os.killpg(process.pid, signal.SIGINT)
            out, err = process.communicate(timeout=30)
            client.close()
    assert process.returncode == 130, out + err
    assert out.rstrip().endswith("stopped")
    assert err == "setup: stopped; the next make continues here\n"


def test_an_unknown_failure_is_shown(copy: Path) -> None:
    """The advice for an unknown error and the log's path are printed."""
    mark_done(copy)
    (copy / "requirements/dev.txt").write_text("this is no requirement\n")
    _, err = setup(copy)
    assert "unknown error" in err
    assert ".local/setup.log" in err


def require_namespaces(script: str) -> None:
    """Skip the test if the script fails in new namespaces, for example because a seccomp profile forbids them."""
    if not shutil.which("unshare") or subprocess.run([*NAMESPACE, script], check=False, capture_output=True).returncode:
        pytest.skip("mount namespaces are forbidden here")


def find_working_python(name: str) -> str | None:
    """Return the path of a Python, or None. pyenv's shims are ignored, because some of them do not start."""
    versions = Path.home() / ".pyenv/versions"
    programs = [str(path) for path in versions.glob(f"{name.removeprefix('python')}.*/bin/python")]
    return programs[0] if programs else shutil.which(name, path=os.defpath)
