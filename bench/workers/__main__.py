"""`python -m bench.workers`: the command line of `make bench`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import bench.workers
from bench import ROOT, proxies
from bench.report import commit, machine, percentile, progress
from bench.workers import admission, cold, memory, sign_ups, users
from bench.workers.builds import FOLDER
from bench.workers.measurement import Options, Result
from bench.workers.report import markdown
from devstack.documents import fill

RESULTS = ROOT / "bench" / "results.json"
DOCUMENT = ROOT / "docs" / "performance.md"


def compare_proxies(options: Options) -> Result:
    """Compare sqlproxy with Prisma's executor."""
    samples, _ = proxies.measure(options.rounds, options.seconds / 3)
    ratios = proxies.ratios(samples)
    names = {"requests_per_second": "rps16", "p99": "p99_16"}
    figures = {f"sqlproxy_{short}_vs_executor": ratios[f"sqlproxy_listed_{name}_16"] for name, short in names.items()}
    detail: dict[str, Any] = {}
    for (name, clients), turns in samples.items():
        detail.setdefault(name, {})[f"{clients}"] = {
            "per_second": round(percentile([each.rate for each in turns], 0.5), 1),
            "p99_ms": round(1000 * percentile([each.p99 for each in turns], 0.5), 3),
        }
    return Result(figures, detail)


MEASUREMENTS: dict[str, Callable[[Options], Result]] = {
    "sign-ups": sign_ups.measure,
    "admission": admission.measure,
    "memory": memory.measure,
    "cold": cold.measure,
    "proxies": compare_proxies,
    "users": users.measure,
}


def parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    command = argparse.ArgumentParser(prog="make bench", description=bench.workers.__doc__)
    command.add_argument("--rounds", type=int, default=5, help="number of rounds (5)")
    command.add_argument("--seconds", type=float, default=2, help="duration of a turn (2)")
    command.add_argument(
        "--load", type=float, default=60, help="admission, memory: seconds of load with 64 clients (60)"
    )
    command.add_argument(
        "--sign-ups", type=int, default=0, help="memory: minimum number of sign-ups with each profile (0)"
    )
    command.add_argument("--quick", action="store_true", help="one short round without large tables")
    command.add_argument("--only", type=_names, default=list(MEASUREMENTS), help=f"parts: {','.join(MEASUREMENTS)}")
    command.add_argument("--out", type=Path, help="the JSON file to write; bench/results.json when everything runs")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the measurements, and write the results; a complete run also updates docs/performance.md."""
    options = parser().parse_args(arguments, Options())
    is_complete = not options.quick and list(options.only) == list(MEASUREMENTS)
    # Read the commit first, because later steps change files of the checkout.
    result: dict[str, Any] = {
        "commit": commit(),
        "machine": machine(postgres="18, fsync off"),
        "ratios": {},
        "detail": {},
    }
    if options.quick:
        options.rounds, options.seconds, options.load = 1, 0.3, 1
    for name in options.only:
        progress(f"{name} ...")
        measured = MEASUREMENTS[name](options)
        result["ratios"] |= measured.ratios
        result["detail"][name] = measured.detail
    out = options.out or (RESULTS if is_complete else FOLDER / "results.json")
    out.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    block = markdown(result)
    if is_complete and options.out is None:
        DOCUMENT.write_text(fill(DOCUMENT.read_text(encoding="utf-8"), "bench", f"{block}\n"), encoding="utf-8")
    progress(f"written: {out.name}\n\n{block}")
    return 0


def _names(text: str) -> list[str]:
    chosen = text.split(",")
    if unknown := set(chosen) - set(MEASUREMENTS):
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
    return [name for name in MEASUREMENTS if name in chosen]


if __name__ == "__main__":
    sys.exit(main())
