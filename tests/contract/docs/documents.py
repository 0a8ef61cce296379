"""The commands and code blocks of a document."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Step:
    """A shell command, or a code block of another language.

    Args:
        line: the line number in the document, starting at 1.
        language: the language of the block; `sh` for a command.
        text: the command, with continued lines joined and comments removed; or the block.
        section: the heading above the step.
    """

    line: int
    language: str
    text: str
    section: str = ""


def steps(document: Path) -> list[Step]:
    """Return each command of the `sh` blocks and each other code block, in order."""
    result: list[Step] = []
    content = document.read_text(encoding="utf-8")
    for match in _FENCE.finditer(content):
        line = content.count("\n", 0, match.start()) + 2
        section = _HEADING.findall(content, 0, match.start())[-1]
        if match["language"] != "sh":
            result.append(Step(line, match["language"], match["text"], section))
            continue
        pending = ""
        for number, text in enumerate(match["text"].splitlines(), line):
            pending += re.sub(r"(^|\s+)#\s.*$", "", text)
            if pending.endswith("\\"):
                pending = pending[:-1]
            elif pending := pending.strip():
                result.append(Step(number, "sh", pending, section))
                pending = ""
    return result
