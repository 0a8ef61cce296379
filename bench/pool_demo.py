"""`python -m bench.pool_demo`: demonstrate the effect of a connection pool.

Simulated isolates sign up users, first each with its own database connection, then with the same timing through
sqlproxy. Only the isolates are simulated: a real Postgres server enforces max_connections. The connections are counted
in pg_stat_activity. The results are written as a table to pool-demo.md.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psycopg

from bench import ROOT, peers
from bench.isolates import Direct, Pooled, Run, run, schedule, wait_until_closed
from bench.report import commit, log, machine, table
from devstack.migrate.migrations import migrate
from devstack.postgres import server as postgres
from devstack.postgres.cluster import FAST
from devstack.scratch import scratch_folder

_ROLE = "isolates"
_PASSWORD = "pool-demo"  # noqa: S105 - a temporary database on loopback
# The role is not a superuser, because Postgres reserves some connections for superusers.
_PREPARE = f"""\
CREATE ROLE {_ROLE} LOGIN PASSWORD '{_PASSWORD}' IN ROLE signup_worker;
"""


class Demo(NamedTuple):
    """The runs without and with the pool, and the options of the command."""

    direct: Run
    pooled: Run
    isolates: int
    sign_ups_each: int
    pool_size: int
    max_connections: int


def parser() -> argparse.ArgumentParser:
    """Return the argument parser."""
    command = argparse.ArgumentParser(
        prog="python -m bench.pool_demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    command.add_argument("--isolates", type=int, default=200, help="number of isolates (200)")
    command.add_argument("--sign-ups", type=int, default=10, help="sign-ups per isolate (10)")
    command.add_argument("--gap", type=float, default=0.3, help="mean seconds between two sign-ups of an isolate (0.3)")
    command.add_argument(
        "--ramp", type=float, default=3.0, help="seconds over which the isolates' starts are spread (3)"
    )
    command.add_argument("--pool-size", type=int, default=10, help="size of sqlproxy's pool (10)")
    command.add_argument("--max-connections", type=int, default=100, help="max_connections of Postgres (100)")
    command.add_argument("--out", type=Path, default=ROOT / "docs" / "img", help="folder for the table (docs/img)")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if all expectations were met, else 1."""
    options = parser().parse_args(arguments)
    settings = {**FAST, "max_connections": str(options.max_connections)}
    isolates = schedule(options.isolates, options.sign_ups, options.gap, options.ramp)
    log("Postgres ...")
    with scratch_folder("pool-demo") as folder, postgres.running(folder / "pg", settings=settings) as server:
        migrate(server.url())
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute(_PREPARE)
        url = server.url(user=_ROLE, password=_PASSWORD)
        direct = run("a connection each", server.url(), isolates, lambda: Direct(url))
        wait_until_closed(server.url())
        log("sqlproxy ...")
        with peers.sqlproxy(url, options.pool_size) as endpoint:
            pooled = run(f"a pool of {options.pool_size}", server.url(), isolates, lambda: Pooled(endpoint))
    demo = Demo(direct, pooled, options.isolates, options.sign_ups, options.pool_size, options.max_connections)
    options.out.mkdir(parents=True, exist_ok=True)
    text = markdown(demo)
    (options.out / "pool-demo.md").write_text(text, encoding="utf-8")
    log(f"\n{text}\nThe report is pool-demo.md in {options.out.name}/")
    for failure in failures(demo):
        log(f"NOT as expected: {failure}")
    return 1 if failures(demo) else 0


def failures(demo: Demo) -> list[str]:
    """Return descriptions of the expectations that were not met."""
    total = demo.isolates * demo.sign_ups_each
    direct, pooled = demo.direct, demo.pooled
    checks = {
        f"the pool had {pooled.most} connections, more than {demo.pool_size}": pooled.most <= demo.pool_size,
        f"{pooled.refused} sign-ups through the pool were refused: {', '.join(sorted(pooled.reasons))}": pooled.refused
        == 0,
        f"only {pooled.answered} of {total} sign-ups through the pool succeeded": pooled.answered == total,
        f"{pooled.answered} sign-ups through the pool succeeded, but {pooled.stored} users are stored": pooled.stored
        == pooled.answered,
        "no sign-up without the pool was refused": direct.refused > 0,
        f"{direct.answered} sign-ups without the pool succeeded, but {direct.stored} users are stored": direct.stored
        == direct.answered,
    }
    return [text for text, passed in checks.items() if not passed]


def markdown(demo: Demo) -> str:
    """Return the table and the machine's description as Markdown."""
    host = machine()
    runs = (demo.direct, demo.pooled)
    rows = [
        ["", *(run.name for run in runs)],
        ["maximum connections at a time", *(f"{run.most}" for run in runs)],
        ["accepted connections", *(f"{run.opened}" for run in runs)],
        ["sign-ups per connection", *(f"{run.answered / max(1, run.opened):.0f}" for run in runs)],
        ["successful sign-ups", *(f"{run.answered}" for run in runs)],
        ["refused sign-ups", *(f"{run.refused}" for run in runs)],
        ["response time, p50", *(f"{run.milliseconds(0.5):.1f} ms" for run in runs)],
        ["response time, p99", *(f"{run.milliseconds(0.99):.1f} ms" for run in runs)],
        ["first sign-up of an isolate, p50", *(f"{run.milliseconds(0.5, first=True):.1f} ms" for run in runs)],
        ["later sign-ups of an isolate, p50", *(f"{run.milliseconds(0.5, first=False):.1f} ms" for run in runs)],
    ]
    reasons = "; ".join(sorted(demo.direct.reasons)) or "none"
    return (
        f"{demo.isolates} isolates, {demo.sign_ups_each} sign-ups each, `max_connections` {demo.max_connections}, "
        f"a pool of {demo.pool_size}.\n\n{table(rows)}\n\n"
        f"Postgres' reasons for refusing: {reasons}.\n\n"
        f"Measured at commit {commit()} on {host['cores']} cores ({host['processor']}), {host['system']}, "
        f"CPython {host['python']}. Times depend on the machine; compare counts and ratios.\n"
    )


if __name__ == "__main__":
    sys.exit(main())
