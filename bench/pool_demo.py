"""`python -m bench.pool_demo`: demonstrate the effect of a connection pool.

N simulated isolates sign users up, first each on its own database connection, then at the same times through sqlproxy.
Postgres and its max_connections are real; the connections are counted in pg_stat_activity. The result is a table,
pool-demo.md.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import uvloop

from bench import ROOT, peers
from bench.activity import Activity, count
from bench.isolates import Direct, Pooled, SignUp, schedule, sign_up_all
from bench.outcome import Demo, Run, failures, markdown
from devstack.migrate.migrations import migrate
from devstack.postgres import server as postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.isolates import Database, Isolate

_ROLE = "isolates"
_PASSWORD = "of-a-database-that-lasts-a-minute"  # noqa: S105 - and listens on loopback
# An ordinary role, because Postgres reserves some connections for superusers.
_PREPARE = f"""\
CREATE ROLE {_ROLE} LOGIN PASSWORD '{_PASSWORD}';
GRANT SELECT, INSERT ON "User" TO {_ROLE};
GRANT USAGE ON SEQUENCE "User_id_seq" TO {_ROLE};
"""
_LINGER_SECONDS = 0.5
_SETTLE_SECONDS = 10.0


def parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
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
    command.add_argument("--max-connections", type=int, default=100, help="Postgres' setting (100, its default)")
    command.add_argument("--out", type=Path, default=ROOT / "docs" / "img", help="folder for the table (docs/img)")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return 0 if all expectations were met, else 1."""
    options = parser().parse_args(arguments)
    settings = {**postgres.FAST, "max_connections": str(options.max_connections)}
    isolates = schedule(options.isolates, options.sign_ups, options.gap, options.ramp)
    with ExitStack() as stack:
        _log("Postgres ...")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(postgres.running(folder / "postgres", settings=settings))
        migrate(server.url())
        with psycopg.connect(server.url(), autocommit=True) as admin:
            admin.execute(_PREPARE)
        url = server.url(user=_ROLE, password=_PASSWORD)
        direct = _run("a connection each", server.url(), isolates, lambda: Direct(url))
        _await_quiet(server.url())
        _log("sqlproxy ...")
        with peers.sqlproxy(url, options.pool_size) as endpoint:
            pooled = _run(f"a pool of {options.pool_size}", server.url(), isolates, lambda: Pooled(endpoint))
    demo = Demo(direct, pooled, options.isolates, options.sign_ups, options.pool_size, options.max_connections)
    options.out.mkdir(parents=True, exist_ok=True)
    text = markdown(demo)
    (options.out / "pool-demo.md").write_text(text, encoding="utf-8")
    _log(f"\n{text}\nWritten: pool-demo.md in {options.out.name}/")
    for failure in failures(demo):
        _log(f"NOT as expected: {failure}")
    return 1 if failures(demo) else 0


def _run(name: str, admin_url: str, isolates: Sequence[Isolate], connect: Callable[[], Database]) -> Run:
    """Run all isolates on an empty table while connections are counted; return the results."""
    done: list[SignUp] = []
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute('TRUNCATE "User"')
        with Activity(admin_url) as activity:
            uvloop.run(_with_progress(name, isolates, connect, done, activity))
        _log("")
        (stored,) = admin.execute('SELECT count(*) FROM "User"').fetchone() or (0,)
    return Run(name, done, activity.moments, stored, len(activity.processes))


async def _with_progress(
    name: str, isolates: Sequence[Isolate], connect: Callable[[], Database], done: list[SignUp], activity: Activity
) -> None:
    total = sum(len(isolate.due) for isolate in isolates)

    async def report() -> None:
        while True:
            refused = sum(1 for sign_up in done if sign_up.refused)
            now = activity.moments[-1].connections if activity.moments else 0
            line = f"{name}: {len(done):5} of {total} sign-ups, {refused:5} refused, {now:3} connections"
            # On a terminal update one line; in a log write one line per second.
            sys.stdout.write(f"\r{line}" if sys.stdout.isatty() else f"{line}\n")
            sys.stdout.flush()
            await asyncio.sleep(0.1 if sys.stdout.isatty() else 1.0)

    reporting = asyncio.get_running_loop().create_task(report())
    try:
        await sign_up_all(isolates, connect, done, _LINGER_SECONDS)
    finally:
        reporting.cancel()


def _await_quiet(admin_url: str) -> None:
    """Wait until the isolates' connections are closed, so that the next run does not count them."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    with psycopg.connect(admin_url, autocommit=True) as admin:
        while count(admin)[0]:
            if time.monotonic() > deadline:
                raise TimeoutError("the isolates' connections are still open")
            time.sleep(0.05)


def _log(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
