"""`devstack/setup/argon2.mjs` copies the expected WebAssembly module or fails."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from devstack.setup.bootstrap import ARGON2, BIN, ROOT

PACKAGED = "node_modules/@phi-ag/argon2/dist/argon2.wasm"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Create a folder with the script, the packaged module, and an outdated copy of the module."""
    for name in (ARGON2, PACKAGED):
        (tmp_path / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "argon2.wasm").write_bytes(b"\0asm outdated")
    return tmp_path


def run(folder: Path) -> tuple[int, str]:
    """Run the script; return its exit status and output."""
    done = subprocess.run([BIN / "node", folder / ARGON2], cwd="/", capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_the_locked_module_is_copied(folder: Path) -> None:
    """The script replaces an outdated copy. It does not touch an identical one, because wrangler watches the file."""
    copied = folder / "src" / "argon2.wasm"
    assert run(folder) == (0, "")
    assert copied.read_bytes() == (ROOT / PACKAGED).read_bytes()
    inode = copied.stat().st_ino
    assert run(folder) == (0, "")
    assert (copied.stat().st_ino, [each.name for each in copied.parent.iterdir()]) == (inode, ["argon2.wasm"])


@pytest.mark.parametrize(
    ("content", "problem"),
    [(None, "argon2.wasm is missing"), (b"\0asm unexpected", "has the SHA-256 [0-9a-f]{64}, not")],
)
def test_a_missing_or_changed_module_is_refused(folder: Path, content: bytes | None, problem: str) -> None:
    """Nothing is copied, the cause and a fix are printed, and the exit status is 1."""
    (folder / PACKAGED).unlink()
    if content:
        (folder / PACKAGED).write_bytes(content)
    status, output = run(folder)
    assert status == 1
    assert re.match(rf"argon2\.wasm: {PACKAGED} .*", output), output
    assert re.search(problem, output)
    assert re.search(r"^  fix               run `", output, re.MULTILINE)
    assert (folder / "src" / "argon2.wasm").read_bytes() == b"\0asm outdated"
