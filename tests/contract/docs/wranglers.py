"""Check a wrangler command line against the help of the installed version."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

from devstack.setup.bootstrap import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

_WRANGLER = ROOT / "node_modules" / ".bin" / "wrangler"
# A cache of the help by command, because each start of wrangler takes a second of CPU time.
_HELP: dict[tuple[str, ...], str] = {}


def problems(command: str, environment: Mapping[str, str]) -> list[str]:
    """Return the errors of a wrangler command line. The words before `wrangler` or `pywrangler` are ignored."""
    words = shlex.split(command)
    words = words[next(i for i, word in enumerate(words) if word.endswith("wrangler")) + 1 :]
    names = tuple(itertools.takewhile(re.compile(r"[a-z]+").fullmatch, words))
    if names not in _HELP:
        _HELP[names] = _help(names, environment)
    usage = _HELP[names]
    # wrangler prints the help of the longest command that it knows, such as `wrangler secret put <key>`.
    head = next(line for line in usage.splitlines() if line.startswith("wrangler"))
    command_words = [word for word, expected in zip(names, head.split()[1:], strict=False) if word == expected]
    errors = [] if command_words and "COMMANDS" not in usage else [f"no such command: wrangler {' '.join(words)}"]
    flags = {word.partition("=")[0] for word in words if word.startswith("-")}
    errors += [f"{head}: no option {flag}" for flag in flags if not re.search(rf"(?<![\w-]){flag}\b(?!-)", usage)]
    return errors + _positionals(head, words[len(command_words) :], usage)


def _positionals(head: str, words: list[str], usage: str) -> list[str]:
    count, skip = 0, False
    for word in words:
        if word.startswith("-"):
            # The help names the type of an option; only a boolean takes no value.
            described = re.search(rf"(?<![\w-]){word.partition('=')[0]}\b(?!-).*", usage)
            skip = "=" not in word and described is not None and "[boolean]" not in described[0]
        elif skip:
            skip = False
        else:
            count += 1
    minimum = len(re.findall("<[^>]*>", head))
    maximum = 99 if ".." in head else minimum + len(re.findall(r"\[[^\]]*\]", head))
    return [] if minimum <= count <= maximum else [f"{head}: {count} arguments"]


def _help(words: tuple[str, ...], environment: Mapping[str, str]) -> str:
    done = subprocess.run(
        [_WRANGLER, *words, "--help"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        # An unknown command exits with status 1, and prints the help of the command above it.
        check=False,
        timeout=60,
    )
    return done.stdout
