"""`python -m devstack dev`: run the stack until Ctrl-C, SIGTERM or SIGHUP, or until one of its services ends.

Until the stack is ready, only its steps and messages are shown; after that, also the output of its services. The log,
`.local/dev/log`, has the output of the services from the start. If a service fails, the last lines of its output are
shown. The cause and a fix are shown for known failures (`devstack.stack.remedies`).
"""

import contextlib
import fcntl
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn, TextIO

import psycopg

from devstack.migrate.migrations import MigrationError
from devstack.postgres import cluster
from devstack.pyodide import bundle as pyodide_bundle
from devstack.setup import console, remedies
from devstack.setup.bootstrap import ROOT, SECRET
from devstack.stack import dev_vars, stack
from devstack.stack.remedies import DEV
from devstack.stack.services import ServiceError

# The folder of .dev.vars and of the stack's files: the checkout, except in tests.
HOME = Path(os.environ.get("DEVSTACK_HOME", ROOT))
STATE = HOME / ".local" / "dev"
LOG = STATE / "log"
# The messages of FAILURES are written for the user. An exception in SYSTEM_ERRORS is reported without a traceback only
# if a remedy is known, because otherwise it is a bug.
FAILURES = (ServiceError, dev_vars.DevVarsError, cluster.PostgresError, MigrationError, pyodide_bundle.BundleError)
SYSTEM_ERRORS = (OSError, psycopg.Error)
# The path of wrangler's page with the captured e-mails.
EXPLORER = "/cdn-cgi/local/explorer"
SIGN_UP_EXAMPLE = '{"name":"Ada","email":"ada@example.com","password":"correct horse battery staple"}'


class Stopped(BaseException):
    """A signal requested a stop. Like `KeyboardInterrupt`, this is not an `Exception`."""


class Signals:
    """Raises `Stopped` on the first signal, and records that a stop was requested.

    If the handler runs during one of the interpreter's callbacks, such as an after-fork hook, the interpreter prints
    and discards the exception. `check` then raises it.
    """

    def __init__(self) -> None:
        self._stop_requested = False
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, self._stop)

    def check(self) -> None:
        """Raise if a stop was requested.

        Raises:
            Stopped: a stop was requested.
        """
        if self._stop_requested:
            raise Stopped

    def _stop(self, _signum: int, _frame: object) -> NoReturn:
        # A second Ctrl-C must not interrupt the shutdown.
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, signal.SIG_IGN)
        self._stop_requested = True
        raise Stopped


def main() -> int:
    """Run the stack. Return 0 after a request to stop, 1 after a failure, 2 for a usage error."""
    if sys.argv[1:] != ["dev"]:
        print("usage: python -m devstack dev     (PORT=8787 in the environment chooses the port)", file=sys.stderr)
        return 2
    port = os.environ.get("PORT", "8787")
    if not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:  # noqa: PLR2004 - the largest TCP port plus one
        print(f"make dev: PORT={console.printable(port)} is not a port: use a number from 1 to 65535", file=sys.stderr)
        return 2
    hyperdrive = os.environ.get("HYPERDRIVE", "")
    if hyperdrive not in ("", "0", "1"):
        print("make dev: HYPERDRIVE must be 1 or unset", file=sys.stderr)
        return 2
    cluster.forget_libpq_environment()
    signals = Signals()
    try:
        STATE.mkdir(parents=True, exist_ok=True)
        with (STATE / "lock").open("a+") as lock:
            _take_lock(lock)
            return _run(int(port), signals, "" if hyperdrive == "1" else None)
    except Stopped:
        print("make dev: stopped", flush=True)
        return 0
    except (*FAILURES, *SYSTEM_ERRORS) as exc:
        return _report_failure(exc)


class Printer:
    """Writes the output of the services to the log, and to the screen once the stack is ready."""

    def __init__(self) -> None:
        self.ready = False
        LOG.touch(mode=0o600)
        self._log = LOG.open("w", encoding="utf-8")

    def show(self, name: str, line: str) -> None:
        """Write a line of a service's output."""
        # A full disk must not end the thread that reads a service's output.
        with contextlib.suppress(OSError, ValueError):
            print(f"{name:>8} | {line}", file=self._log, flush=True)
        # Postgres' LOG messages, such as those about checkpoints, are not shown.
        if self.ready and not line.startswith("LOG:"):
            print(f"{console.paint(f'{name:>8} |', 'dim', sys.stdout)} {line}", flush=True)


def _run(port: int, signals: Signals, hyperdrive: str | None) -> int:
    printer, screen = Printer(), console.Console()
    options = stack.Options(
        *(STATE, HOME / ".dev.vars", port),
        hyperdrive=hyperdrive,
        verification=True,
        say=screen.remark,
        show=printer.show,
        step=screen.step,
        check=signals.check,
    )
    service_names = (
        "Postgres, the pooled proxy and the Worker" if hyperdrive is None else "Postgres and the Worker with Hyperdrive"
    )
    print(f"make dev: {service_names}, on this machine", flush=True)
    start = time.monotonic()
    with stack.running(options) as running_stack:
        _print_welcome(
            running_stack.base_url,
            time.monotonic() - start,
            verifies=running_stack.variables().get("EMAIL_VERIFICATION") == "on",
        )
        printer.ready = True
        try:
            while True:
                running_stack.require_alive()
                time.sleep(0.2)
        finally:
            printer.ready = False


def _print_welcome(url: str, seconds: float, *, verifies: bool) -> None:
    """Print that the stack is ready, and commands to try."""
    host = url.removeprefix("http://")
    ready = console.paint("ready", "good", sys.stdout)
    print(f"\n{ready}  {console.paint(url, 'bold', sys.stdout)}  after {seconds:.1f} s\n")
    mail = (
        ("the e-mail", "printed below, with the path of its text; all e-mails: " + url + EXPLORER),
        ("verify", f"open the link in the e-mail, or: curl -d token=TOKEN {host}/verify"),
    )
    rows = (
        ("sign up", f"curl -d '{SIGN_UP_EXAMPLE}' -H 'content-type: application/json' {host}"),
        *(mail if verifies else ()),
        ("the page", f"{url}/"),
        ("health check", f"curl {host}/ready"),
        ("the API", f"{url}/docs"),
        ("settings", ".dev.vars, read at start-up; .dev.vars.example lists all settings"),
        ("another port", "PORT=9000 make dev"),
        ("over Hyperdrive", "HYPERDRIVE=1 make dev"),
        ("the whole log", str(LOG.relative_to(HOME))),
        ("stop", "Ctrl-C; the users are kept in .local/dev/postgres"),
    )
    console.table(rows, sys.stdout)
    print(flush=True)


def _take_lock(lock: TextIO) -> None:
    """Take the checkout's lock, which the kernel releases when this process ends, even if it is killed.

    Raises:
        ServiceError: another process holds the lock.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise ServiceError(f"already running in this checkout, as process {lock.read().strip()}") from None
    lock.truncate(0)
    print(os.getpid(), file=lock, flush=True)


def _report_failure(exc: Exception) -> int:
    """Print the failure, with its fix if that is known, and return the exit status.

    Raises:
        Exception: the given exception, if it is a bug.
    """
    message = SECRET.sub("...", str(exc))
    shortage = remedies.shortage(str(STATE))
    remedy = remedies.find_remedy(f"{message}\n{shortage}", DEV)
    if isinstance(exc, SYSTEM_ERRORS) and remedy is None:
        raise exc
    log = str(LOG.relative_to(HOME)) if LOG.exists() else ""
    console.failure("make dev", message if isinstance(exc, FAILURES) else message.splitlines()[0], remedy, log)
    return 1


if __name__ == "__main__":
    raise SystemExit(main())
