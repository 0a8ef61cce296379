"""Alignment, colour and escaping of console output."""

import io

import pytest

from devstack.setup.console import Console, failure, has_colour, printable, table
from devstack.setup.remedies import Remedy

REMEDY = Remedy("it", "it", "the cause", "the fix")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Identify the stream as a terminal."""
        return True


@pytest.fixture(autouse=True)
def terminal_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set the environment of a colour terminal with 60 columns."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")


def test_only_terminals_get_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no colour in files, on dumb terminals, or with a non-empty NO_COLOR."""
    assert has_colour(Terminal())
    assert not has_colour(io.StringIO())
    for name, value, expected in (("NO_COLOR", "", True), ("NO_COLOR", "1", False), ("TERM", "dumb", False)):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            assert has_colour(Terminal()) is expected


def test_a_step_shows_its_duration_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    """Each step is one line, with aligned columns."""
    screen = Console()
    with screen.step("a short one"):
        pass
    with screen.step("a step with a note") as notes:
        notes.append("from npm")
    assert capsys.readouterr().out == (
        "  a short one                  0.0 s\n  a step with a note           0.0 s  from npm\n"
    )


@pytest.mark.parametrize(("exception", "status"), [(ValueError, "failed"), (KeyboardInterrupt, "stopped")])
def test_an_interrupted_step_is_marked(
    exception: type[BaseException], status: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The step's line ends with `failed`, or with `stopped` after Ctrl-C."""
    with pytest.raises(exception), Console().step("it"):
        raise exception
    assert capsys.readouterr().out == f"  {'it':<26}{status:>8}\n"


def test_a_remark_within_a_step_has_its_own_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The step's title is repeated with its duration."""
    screen = Console()
    with screen.step("it"):
        screen.remark("still waiting")
        screen.remark("and still")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["it"], ["still", "waiting"], ["and", "still"], ["it", "0.0", "s"]]


def test_a_table_wraps_prose_and_not_commands() -> None:
    """Prose is wrapped and indented on a terminal; commands and output to a file are not."""
    long = "curl -d '{}' " + "localhost:8787 " * 6
    for stream, prose, height in ((Terminal(), True, 4), (Terminal(), False, 1), (io.StringIO(), True, 1)):
        table([("a", long)], stream, prose=prose)
        lines = stream.getvalue().splitlines()
        assert len(lines) == height
        assert all(line.startswith(" " * 20) for line in lines[1:])
        assert all(len(line) <= 60 for line in lines[1:])


def test_a_failure_has_output_cause_and_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """The message has the failed command, the last lines of output, the cause, the fix, and the log file."""
    output = "\n".join(f"line {number}" for number in range(100))
    failure("setup", f"pip ended with 1\n{output}", REMEDY, ".local/setup.log")
    printed = capsys.readouterr().err.splitlines()
    assert printed[0] == "setup: pip ended with 1"
    assert printed[1:-3] == [f"  | line {number}" for number in range(94, 100)]
    assert printed[-3:] == [
        "  cause             the cause",
        "  fix               the fix",
        "  full log          .local/setup.log",
    ]


def test_a_failure_without_a_log_shows_more_output(capsys: pytest.CaptureFixture[str]) -> None:
    """Twelve lines of output are shown, and long lines are truncated."""
    failure("setup", "\n".join(["pip ended with 1", *("x" * 1000 for _ in range(100))]), None)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 13
    assert max(map(len, lines)) < 120


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('table "users\x1b]0;owned\x07"', 'table "users\\x1b]0;owned\\x07"'),
        ("\x1b[2J\x9b2K\x7f\r", "\\x1b[2J\\x9b2K\\x7f\\r"),
        ("name\u202egnp.exe", "name\\u202egnp.exe"),
        ("\x1b[31mred\x1b[0m\tZoë €\n", "red\tZoë €\n"),
        ("half \ud800", "half \\ud800"),
    ],
)
def test_control_characters_in_output_are_escaped(text: str, expected: str) -> None:
    """Format characters are escaped too, colours are removed, and letters of all scripts stay."""
    assert printable(text) == expected
