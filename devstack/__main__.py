"""`python -m devstack dev`: run the stack until Ctrl-C, SIGTERM, or the end of one of its parts."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from devstack import cluster, dev_vars, pyodide_bundle, stack
from devstack.bootstrap import ROOT
from devstack.migrate import MigrationError
from devstack.parts import PartError

# Where the stack keeps its files, and where .dev.vars is: the checkout, unless a test says otherwise.
HOME = Path(os.environ.get("DEVSTACK_HOME", ROOT))
STATE = HOME / ".local" / "dev"
# What has a message for its reader; anything else is a mistake of ours, and its traceback is shown.
FAILURES = (PartError, dev_vars.DevVarsError, cluster.PostgresError, MigrationError, pyodide_bundle.BundleError)
CURL = """\
curl -d '{"name":"Ada","email":"ada@example.com","password":"correct horse battery staple"}' \
-H 'content-type: application/json' """


class Stopped(BaseException):
    """A signal asked us to stop; like KeyboardInterrupt it is no Exception."""


def main() -> int:
    """Run it. Return 0 when asked to stop, 1 when something went wrong, 2 when called wrongly."""
    if sys.argv[1:] != ["dev"]:
        print("usage: python -m devstack dev     (PORT=8787 in the environment chooses the port)", file=sys.stderr)
        return 2
    port = os.environ.get("PORT", "8787")
    if not port.isdigit() or not 0 < int(port) < 65536:  # noqa: PLR2004 - the largest TCP port and one
        print(f"make dev: PORT={port} is not a port", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print("make dev: it runs in this checkout already", file=sys.stderr)
            return 1
        return _run(int(port))


def _run(port: int) -> int:
    options = stack.Options(STATE, HOME / ".dev.vars", port, say=_say)
    start = time.monotonic()
    try:
        with stack.running(options) as it:
            _say(f"everything is up after {time.monotonic() - start:.1f} s; Ctrl-C stops it")
            print(f"ready  {it.base_url}\n{CURL}{it.base_url.removeprefix('http://')}", flush=True)
            while True:
                it.require_alive()
                time.sleep(0.2)
    except Stopped:
        _say("stopped")
        return 0
    except FAILURES as exc:
        print(f"make dev: {exc}", file=sys.stderr)
        return 1


def _stop(_number: int, _frame: object) -> NoReturn:
    # Once is enough: a second Ctrl-C must not interrupt the stopping.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise Stopped


def _say(line: str) -> None:
    print(f"make dev: {line}" if "|" not in line[:11] else line, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
