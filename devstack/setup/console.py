"""How the command line looks: steps with their times, aligned tables, failures with what to do about them.

Colour only on a terminal, and none where `NO_COLOR` is set (no-color.org). Setup imports this before anything is
installed: the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import textwrap
import time
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import TextIO

    from devstack.setup.remedies import Remedy

# Columns: of a step's title, of a table's labels, and of prose at most.
TITLE = 26
LABEL = 18
WIDEST = 110
# Of a failed program's output as much as says why; all of it is in the log.
SHOWN_LINES = 12
# Colours of other programs' output (SGR sequences), which would be noise once they are escaped.
_COLOUR = re.compile(r"\033\[[0-9;]*m")
_STYLES = {"bold": "1", "dim": "2", "good": "32", "bad": "1;31"}


def coloured(stream: TextIO) -> bool:
    """Say whether colour is welcome there."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO) -> str:
    """Return the text in a style (bold, dim, good, bad), or as it is where colour is not welcome."""
    return f"\033[{_STYLES[style]}m{text}\033[0m" if coloured(stream) else text


def printable(text: str) -> str:
    """Return text from outside (a database, a file, a program) in a form that a terminal shows and does not obey.

    Control and format characters, such as escape sequences and changes of direction, and unusual white space are
    escaped. Line breaks and tabs stay, colours go.
    """
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character)[0] not in "CZ" or character == " "
        else ascii(character)[1:-1]
        for character in _COLOUR.sub("", text)
    )


class Console:
    """Prints the steps of something that takes a while."""

    def __init__(self) -> None:
        self._open = False

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """Print a title, and after the block the seconds that it took, and what the block put into the list."""
        notes: list[str] = []
        start = time.monotonic()
        self._begin(title)
        try:
            yield notes
        except BaseException as exc:
            self._end(title, paint(f"{'failed' if isinstance(exc, Exception) else 'stopped':>8}", "bad", sys.stdout))
            raise
        seconds = paint(f"{time.monotonic() - start:6.1f} s", "good", sys.stdout)
        self._end(title, seconds + (paint("  " + ", ".join(notes), "dim", sys.stdout) if notes else ""))

    def remark(self, text: str) -> None:
        """Print a line, also in the middle of a step."""
        if self._open:
            print()
            self._open = False
        print(f"  {printable(text)}", flush=True)

    def _begin(self, title: str) -> None:
        print(f"  {title:<{TITLE}}", end="", flush=True)
        self._open = True

    def _end(self, title: str, text: str) -> None:
        if not self._open:
            self._begin(title)
        print(text, flush=True)
        self._open = False


def table(rows: Iterable[tuple[str, str]], stream: TextIO, style: str = "dim", *, prose: bool = False) -> None:
    """Print labels and texts in two columns.

    Args:
        rows: of the table.
        stream: where to.
        style: of the labels.
        prose: the texts may be broken at a terminal's edge; commands are to be copied whole.
    """
    width = min(shutil.get_terminal_size().columns, WIDEST) if prose and stream.isatty() else sys.maxsize
    for label, text in rows:
        first = f"  {label:<{LABEL}}"
        lines = textwrap.wrap(text, max(width - len(first), 30), break_long_words=False, break_on_hyphens=False)
        print(paint(first, style, stream) + f"\n{' ' * len(first)}".join(lines), file=stream, flush=True)


def failure(speaker: str, message: str, remedy: Remedy | None, log: str = "") -> None:
    """Print to stderr what failed, the last lines of its output, and what can be done.

    Args:
        speaker: who says it, such as `setup`.
        message: its first line says what failed; the others are output.
        remedy: None for an unknown error.
        log: where all of the output is; "" when it could not be written.
    """
    stream = sys.stderr
    headline, *output = printable(message).rstrip().splitlines() or [""]
    print(paint(f"{speaker}: {headline}", "bad", stream), file=stream)
    shown = SHOWN_LINES if remedy is None or not log else SHOWN_LINES // 2
    for line in output[-shown:]:
        print(paint(f"  | {line[:WIDEST].rstrip()}", "dim", stream), file=stream)
    rows = [("what went wrong", remedy.cause), ("how to mend it", remedy.mend)] if remedy else []
    if log:
        rows.append(("all that it said", log))
    table(rows, stream, "bold", prose=True)
