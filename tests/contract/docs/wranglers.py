"""Whether a command of wrangler exists as a document has it, by what the locked version says of itself."""

from __future__ import annotations

import functools
import re
import shlex
import subprocess
from typing import TYPE_CHECKING

from devstack.setup.bootstrap import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

_WRANGLER = ROOT / "node_modules" / ".bin" / "wrangler"


def problems(command: str, environment: Mapping[str, str]) -> list[str]:
    """Return what is wrong with a command line of wrangler; what is piped into it does not matter here."""
    words = shlex.split(command)
    words = words[next(i for i, word in enumerate(words) if word.endswith("wrangler")) + 1 :]
    given = frozenset(environment.items())
    taken: list[str] = []
    usage = _help((), given)
    for word in words:
        if not re.fullmatch(r"[a-z]+", word) or not re.search(
            rf"^  wrangler {' '.join([*taken, word])}\b", usage, re.MULTILINE
        ):
            break
        taken.append(word)
        usage = _help(tuple(taken), given)
    head = next(line for line in usage.splitlines() if line.startswith("wrangler"))
    wrong = [] if taken and "COMMANDS" not in usage else [f"no such command: wrangler {' '.join(words)}"]
    flags = {word.partition("=")[0] for word in words if word.startswith("-")}
    wrong += [f"{head}: no option {flag}" for flag in flags if not re.search(rf"(?<![\w-]){flag}\b(?!-)", usage)]
    return wrong + _positionals(head, words[len(taken) :], usage)


def _positionals(head: str, words: list[str], usage: str) -> list[str]:
    count, skip = 0, False
    for word in words:
        if word.startswith("-"):
            # What takes a value says its type; a boolean takes none.
            told = re.search(rf"(?<![\w-]){word.partition('=')[0]}\b(?!-).*", usage)
            skip = "=" not in word and told is not None and "[boolean]" not in told[0]
        elif skip:
            skip = False
        else:
            count += 1
    least = len(re.findall("<[^>]*>", head))
    most = 99 if ".." in head else least + len(re.findall(r"\[[^\]]*\]", head))
    return [] if least <= count <= most else [f"{head}: {count} arguments"]


@functools.cache
def _help(words: tuple[str, ...], environment: frozenset[tuple[str, str]]) -> str:
    done = subprocess.run(
        [_WRANGLER, *words, "--help"],
        cwd=ROOT,
        env=dict(environment),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout
