"""Command line output: steps with their times, aligned tables, and failures with their fixes.

Output has colours only on a terminal, and not if `NO_COLOR` is set (no-color.org). Setup imports this module before
anything is installed, so it uses only the standard library.
"""

import contextlib
import os
import re
import shutil
import sys
import textwrap
import time
import unicodedata
from collections.abc import Iterable, Iterator
from typing import TextIO

from devstack.setup.remedies import Remedy

# Widths in columns: a step's title, a table's labels, and the maximum for prose and output.
TITLE = 26
LABEL = 18
WIDEST = 110
# The maximum number of lines of a failed program's output that are shown. The log has all lines.
SHOWN_LINES = 12
# Colours in other programs' output (SGR sequences), which are removed rather than escaped.
_COLOUR = re.compile(r"\033\[[0-9;]*m")
_STYLES = {"bold": "1", "dim": "2", "good": "32", "bad": "1;31"}


def has_colour(stream: TextIO) -> bool:
    """Return whether output to the stream may have colours."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, style: str, stream: TextIO) -> str:
    """Return the text in a style (bold, dim, good, bad), or unchanged if the stream has no colours."""
    return f"\033[{_STYLES[style]}m{text}\033[0m" if has_colour(stream) else text


def printable(text: str) -> str:
    """Return text from outside (a database, a file, a program) without characters that control the terminal.

    Control and format characters, such as escape sequences and changes of direction, and unusual white space are
    escaped. Line breaks and tabs are kept, and colours are removed.
    """
    return "".join(
        character
        if character in "\n\t" or unicodedata.category(character)[0] not in "CZ" or character == " "
        else ascii(character)[1:-1]
        for character in _COLOUR.sub("", text)
    )


def fail(program: str, message: str) -> int:
    """Print the error of a command, and return its exit status."""
    print(f"{program}: {printable(message)}", file=sys.stderr)
    return 1


class Console:
    """Prints the steps of a long operation."""

    def __init__(self) -> None:
        self._open = False

    @contextlib.contextmanager
    def step(self, title: str) -> Iterator[list[str]]:
        """Print a title. After the block, print its duration and notes from the yielded list, or that it failed."""
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
        """Print an indented line. This may be called during a step."""
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
        rows: the labels and texts.
        stream: the output stream.
        style: the style of the labels.
        prose: whether to wrap the texts on a terminal. Commands are not wrapped, so that they can be copied.
    """
    width = min(shutil.get_terminal_size().columns, WIDEST) if prose and stream.isatty() else sys.maxsize
    for label, text in rows:
        first = f"  {label:<{LABEL}}"
        lines = textwrap.wrap(text, max(width - len(first), 30), break_long_words=False, break_on_hyphens=False)
        print(paint(first, style, stream) + f"\n{' ' * len(first)}".join(lines), file=stream, flush=True)


def failure(prefix: str, message: str, remedy: Remedy | None, log: str = "") -> None:
    """Print a failure to stderr, with the last lines of output, the cause, the fix and the path of the log.

    Args:
        prefix: the prefix of the message, such as `setup`.
        message: a headline, followed by lines of output.
        remedy: the cause and the fix, or None for an unknown error.
        log: the file with the whole output; "" if there is none.
    """
    stream = sys.stderr
    headline, *output = printable(message).rstrip().splitlines() or [""]
    print(paint(f"{prefix}: {headline}", "bad", stream), file=stream)
    line_limit = SHOWN_LINES if remedy is None or not log else SHOWN_LINES // 2
    for line in output[-line_limit:]:
        print(paint(f"  | {line[:WIDEST].rstrip()}", "dim", stream), file=stream)
    rows = [("cause", remedy.cause), ("fix", remedy.fix)] if remedy else []
    if log:
        rows.append(("full log", log))
    table(rows, stream, "bold", prose=True)
