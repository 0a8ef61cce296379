"""What the command line prints is aligned, and coloured on a terminal alone."""

import io

import pytest

from devstack.setup.console import Console, coloured, failure, printable, table
from devstack.setup.remedies import Remedy

REMEDY = Remedy("it", "it", "the cause", "the way out")


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        """Say that it is."""
        return True


@pytest.fixture(autouse=True)
def a_terminal_in_colour(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment of the tests is."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")


def test_colour_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for a file nor where NO_COLOR is set, but to nothing, nor where the terminal has none."""
    assert coloured(Terminal())
    assert not coloured(io.StringIO())
    for name, value, welcome in (("NO_COLOR", "", True), ("NO_COLOR", "1", False), ("TERM", "dumb", False)):
        with monkeypatch.context() as changed:
            changed.setenv(name, value)
            assert coloured(Terminal()) is welcome


def test_a_step_has_its_time_and_notes(capsys: pytest.CaptureFixture[str]) -> None:
    """On one line, under each other."""
    screen = Console()
    with screen.step("a short one"):
        pass
    with screen.step("a step with a note") as notes:
        notes.append("from npm")
    assert capsys.readouterr().out == (
        "  a short one                  0.0 s\n  a step with a note           0.0 s  from npm\n"
    )


@pytest.mark.parametrize(("exception", "said"), [(ValueError, "failed"), (KeyboardInterrupt, "stopped")])
def test_a_step_that_does_not_end_says_so(
    exception: type[BaseException], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Failed, or stopped by its user; what comes next has a line of its own."""
    with pytest.raises(exception), Console().step("it"):
        raise exception
    assert capsys.readouterr().out == f"  {'it':<26}{said:>8}\n"


def test_a_remark_in_a_step_breaks_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    """The step's title is there again with its time."""
    screen = Console()
    with screen.step("it"):
        screen.remark("still waiting")
        screen.remark("and still")
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines] == [["it"], ["still", "waiting"], ["and", "still"], ["it", "0.0", "s"]]


def test_a_table_is_aligned_and_commands_stay_whole() -> None:
    """Prose is broken at a terminal's edge, below where it began; a command is not, nor what goes into a file."""
    long = "curl -d '{}' " + "localhost:8787 " * 6
    for stream, prose, height in ((Terminal(), True, 4), (Terminal(), False, 1), (io.StringIO(), True, 1)):
        table([("a", long)], stream, prose=prose)
        lines = stream.getvalue().splitlines()
        assert len(lines) == height
        assert all(line.startswith(" " * 20) for line in lines[1:])
        assert all(len(line) <= 60 for line in lines[1:])


def test_a_failure_says_what_and_how(capsys: pytest.CaptureFixture[str]) -> None:
    """What failed, the last of its output, the cause, the remedy, and where the rest is."""
    output = "\n".join(f"line {number}" for number in range(100))
    failure("setup", f"pip ended with 1\n{output}", REMEDY, ".local/setup.log")
    said = capsys.readouterr().err.splitlines()
    assert said[0] == "setup: pip ended with 1"
    assert said[1:-3] == [f"  | line {number}" for number in range(94, 100)]
    assert said[-3:] == [
        "  what went wrong   the cause",
        "  how to mend it    the way out",
        "  all that it said  .local/setup.log",
    ]


def test_a_failure_without_a_log_shows_more(capsys: pytest.CaptureFixture[str]) -> None:
    """As where the disk is full; a line of any length takes one."""
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
def test_text_from_outside_gives_a_terminal_no_orders(text: str, expected: str) -> None:
    """Control and format characters are escaped, colours dropped; letters of all scripts stay."""
    assert printable(text) == expected
