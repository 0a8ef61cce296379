"""``python -m bench.workers``: the Worker against its peers."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bench.workers
from bench import ROOT
from bench.report import commit, machine
from bench.workers.builds import FOLDER
from bench.workers.contenders import CONTENDERS
from bench.workers.parts import PARTS, Options, say
from bench.workers.report import markdown, put

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

RESULTS = ROOT / "bench" / "results.json"
DOCUMENT = ROOT / "docs" / "performance.md"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(prog="make bench", description=bench.workers.__doc__)
    made.add_argument("--rounds", type=int, default=5, help="how many (5)")
    made.add_argument("--seconds", type=float, default=1.5, help="of one turn without the hash (1.5)")
    made.add_argument("--quick", action="store_true", help="one short round, and no large table: does it work?")
    made.add_argument("--only", type=_names(PARTS), default=list(PARTS), help=f"parts: {','.join(PARTS)}")
    made.add_argument(
        "--contenders", type=_names(CONTENDERS), default=list(CONTENDERS), help=f"of {','.join(CONTENDERS)}"
    )
    made.add_argument("--out", type=Path, help="the JSON file to write; bench/results.json when everything runs")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command."""
    options = parser().parse_args(arguments)
    whole = not options.quick and list(options.only) == list(PARTS) and list(options.contenders) == list(CONTENDERS)
    # Before anything is written that would make the checkout another.
    result: dict[str, Any] = {
        "commit": commit(),
        "machine": machine(postgres="18, fsync off"),
        "ratios": {},
        "detail": {},
    }
    if options.quick:
        options.rounds, options.seconds = 1, 0.3
    chosen = Options(options.rounds, options.seconds, options.contenders, options.quick)
    for name in options.only:
        say(f"{name} ...")
        part = PARTS[name](chosen)
        result["ratios"] |= part.ratios
        result["detail"][name] = part.detail
    out = options.out or (RESULTS if whole else FOLDER / "results.json")
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    block = markdown(result)
    if whole and options.out is None:
        DOCUMENT.write_text(put(DOCUMENT.read_text(encoding="utf-8"), block), encoding="utf-8")
    say(f"written: {out.name}\n\n{block}")
    return 0


def _names(known: Iterable[str]) -> Callable[[str], list[str]]:
    known = list(known)

    def read(text: str) -> list[str]:
        chosen = text.split(",")
        if unknown := set(chosen) - set(known):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
        return [name for name in known if name in chosen]

    return read


if __name__ == "__main__":
    sys.exit(main())
