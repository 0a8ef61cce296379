"""The help that `make` and its commands print."""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess

from devstack.setup.bootstrap import ROOT

# Prefixes of environment variables that affect the output. `make test` sets some of them.
FOREIGN = ("NO_COLOR", "TERM", "MAKE", "MFLAGS")
MAKE = shutil.which("make") or "make"


def read_help(**variables: str) -> str:
    """Return the help that `make` prints to a terminal."""
    controller, terminal = pty.openpty()
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    done = subprocess.run([MAKE], cwd=ROOT, env=inherited | {"TERM": "xterm"} | variables, stdout=terminal, check=False)
    assert done.returncode == 0
    os.close(terminal)
    output = b""
    while chunk := _read(controller):
        output += chunk
    os.close(controller)
    return output.decode().replace("\r\n", "\n")


def test_every_target_is_listed_in_a_group() -> None:
    """Each target is listed once, with its description, below a heading. Lines have at most 130 columns."""
    text = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    lines = read_help(NO_COLOR="1").splitlines()
    targets = [match[1] for line in lines if (match := re.fullmatch(r"  make ([\w-]+) +\S.*", line))]
    assert sorted(targets) == sorted(set(phony.split()) - {"help"})
    assert max(map(len, lines)) <= 130
    headings = re.findall(r"^##@ (.*)$", text, re.MULTILINE)
    assert [line for line in lines if line in headings] == headings
    assert lines[1] == headings[0]


def test_every_command_prints_its_help() -> None:
    """Each target that passes ARGS to a Python module, except `make test`, prints its usage with `ARGS=--help`."""
    text = (ROOT / "Makefile").read_text()
    recipe = r"^([\w-]+):.*\n\t@(?:PYTHONPATH=src )?(?:exec )?\$\(BIN\)/python -m .*\$\(ARGS\)$"
    commands = re.findall(recipe, text, re.MULTILINE)
    commands.remove("test")
    assert len(commands) > 12
    done = subprocess.run(
        [MAKE, "-j2", "--output-sync", *commands, "ARGS=--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("usage: ") == len(commands)


def test_only_a_terminal_gets_colour() -> None:
    """Output to a pipe, to a dumb terminal or with NO_COLOR has no colour."""
    assert "\033[1m" in read_help()
    assert "\033" not in read_help(NO_COLOR="1")
    assert "\033" not in read_help(TERM="dumb")
    done = subprocess.run(
        [MAKE], cwd=ROOT, env={"PATH": os.environ["PATH"], "TERM": "xterm"}, capture_output=True, check=True
    )
    assert b"\033" not in done.stdout


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""  # Linux reports EIO when the other end of the terminal is closed
