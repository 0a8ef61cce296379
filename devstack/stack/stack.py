"""Run the whole stack on one machine, for `make dev` and the end-to-end tests: Postgres, sqlproxy and workerd."""

import contextlib
import os
import re
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from psycopg import sql

from devstack.migrate.migrations import migrate
from devstack.postgres import cluster
from devstack.postgres.server import free_port
from devstack.pyodide import bundle as pyodide_bundle
from devstack.setup.bootstrap import BIN, ROOT
from devstack.setup.console import printable
from devstack.stack import dev_vars, hyperdrive, ports, readiness
from devstack.stack.services import Service, ServiceError, node

LOGIN = "sqlproxy"
# The login for Hyperdrive, and the time after which Postgres cancels its statements, as in docs/deploy.md.
HYPERDRIVE_LOGIN = "signup_hyperdrive"
STATEMENT_TIMEOUT = "4s"
START_SECONDS = 120
POLL_SECONDS = 0.05
# Seconds between requests to a Worker that is not ready. The Worker allows 30 requests a minute.
SLOW_POLL_SECONDS = 2.5
# Seconds until a message reports why the stack is still waiting: without a response, and after a response that reports
# an error.
SILENT_SECONDS = 15
PATIENT_SECONDS = 4
# Lines of wrangler's table of modules. The table has about 170 lines, which are not shown.
_TABLE = re.compile("^[┌├│└]")
# After wrangler prints this line, it keeps running, but responds to every request with 500.
_RUNTIME_LOST = "The Workers runtime failed to restart"
# The PUBLIC_URL in a .dev.vars that `make dev` wrote, with any port.
_LOCAL_URL = re.compile(r"http://localhost:\d+/?")
_SECRET = re.compile(r"(?<=://)[^@/\s]+(?=@)")


@dataclass
class Options:
    """The options of a stack.

    Args:
        state: the folder for the stack's files.
        dev_vars: the file with the Worker's variables; written if it does not exist.
        port: the Worker's port.
        pool_size: the maximum number of sqlproxy's database connections.
        ready: the Worker's path that returns 200 when the stack is ready.
        settings: Postgres' settings that override the defaults.
        within: a command that executes Postgres' command, which is appended to it.
        sqlproxy: environment variables of sqlproxy that override the defaults.
        config: a text that replaces wrangler.toml; "" to use wrangler.toml.
        hyperdrive: the URL of the Postgres server behind Hyperdrive; "" for the stack's own server; None to use the
            data proxy in DATABASE_URL instead of Hyperdrive.
        through: maps the URL of the stack's own Postgres to the URL that Hyperdrive uses, such as that of a relay.
        verification: whether a new `dev_vars` file turns e-mail verification on, and the Worker has the binding for
            e-mails.
        say: receives messages, and the services' output if `show` is None.
        show: receives the name of a service and a line of its output.
        step: returns a context manager for the step with the given title; it yields a list for notes.
        check: is called regularly, and may raise an exception to stop the stack.
    """

    state: Path
    dev_vars: Path
    port: int
    pool_size: int = 10
    ready: str = "/ready"
    settings: Mapping[str, str] = field(default_factory=dict)
    within: Sequence[str] = ()
    sqlproxy: Mapping[str, str] = field(default_factory=dict)
    config: str = ""
    hyperdrive: str | None = None
    through: Callable[[str], str] = str
    verification: bool = False
    say: Callable[[str], None] = print
    show: Callable[[str, str], None] | None = None
    step: Callable[[str], AbstractContextManager[list[str]]] = lambda _: contextlib.nullcontext([])
    check: Callable[[], None] = lambda: None


def with_mail_binding(config: str) -> str:
    """Return the text of a wrangler.toml with the binding for e-mails. `wrangler dev` captures them."""
    return config if "\n[[send_email]]" in config else f'{config}\n[[send_email]]\nname = "EMAIL"\n'


class Stack:
    """The running services; created by `running`."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.services: list[Service] = []
        self.base_url = f"http://localhost:{options.port}"
        self.database_url = ""
        self.login_url = ""

    def variables(self) -> dict[str, str]:
        """Return the variables in the Worker's file as wrangler reads them; an empty dictionary if there is no file."""
        if not self.options.dev_vars.exists():
            return {}
        return dev_vars.parse(self.options.dev_vars.read_text(encoding="utf-8"))

    def service(self, name: str) -> Service:
        """Return the service with this name."""
        return next(service for service in self.services if service.name == name)

    def start(self) -> None:
        """Start all services, and return when the Worker is ready.

        Raises:
            ServiceError: the Worker's port is not available, or a service ended, reported a wrong setting, or was not
                ready in time.
            dev_vars.DevVarsError: the file with the Worker's variables cannot be used.
            cluster.PostgresError: the database could not be created or started.
            MigrationError: the migrations could not be applied.
            pyodide_bundle.BundleError: the Python bundle could not be built.
        """
        options = self.options
        ports.require_free(options.port)
        local_url: dict[str, str] = {}
        if options.hyperdrive is None:
            env_files = self._start_proxy()
        else:
            env_files, local_url = self._start_hyperdrive(options.hyperdrive)
        with options.step("Python for workerd") as notes:
            environment, is_local, note = self._select_python_bundle()
            notes.append(note)
        with options.step("wrangler dev"):
            self._start_wrangler(env_files, {**environment, **local_url}, is_local=is_local)

    def _start_proxy(self) -> list[Path]:
        """Start Postgres and sqlproxy unless DATABASE_URL names another proxy; return the env files for wrangler."""
        options = self.options
        token_file = options.state / "sqlproxy-token"
        worker_port = options.port if options.verification else 0
        target = dev_vars.target(options.dev_vars, token_file, free_port(), worker_port)
        env_files = [self._env_file()]
        overrides = self._new_public_url()
        if target.port is None:
            options.say(
                f"DATABASE_URL of {options.dev_vars.name} names another proxy: Postgres and sqlproxy are not started"
            )
        else:
            port = target.port if ports.is_free(target.port) else free_port()
            if port != target.port:
                options.say(
                    f"port {target.port} of {options.dev_vars.name} is taken: sqlproxy listens on {port} this time"
                )
                overrides["DATABASE_URL"] = dev_vars.local_url(target.token, port)
            with options.step("Postgres and migrations"):
                self._start_postgres(LOGIN)
            with options.step("sqlproxy"):
                self._start_sqlproxy(port, target.token)
        return [*env_files, self._override(overrides)] if overrides else env_files

    def _start_hyperdrive(self, url: str) -> tuple[list[Path], dict[str, str]]:
        """Start Postgres unless a URL is given; return the env files and environment variables for wrangler.

        `wrangler dev` connects the binding directly to Postgres, without a pool.
        """
        if not url:
            with self.options.step("Postgres and migrations"):
                self._start_postgres(HYPERDRIVE_LOGIN)
            url = self.options.through(self.login_url)
        env_files = [self._env_file()] if self.options.dev_vars.exists() else []
        overrides = {"DATABASE_URL": "hyperdrive:", **self._new_public_url()}
        return [*env_files, self._override(overrides)], {hyperdrive.LOCAL_URL: url}

    def _new_public_url(self) -> dict[str, str]:
        """Return the Worker's URL as PUBLIC_URL if the file has the URL of another local port."""
        public_url = self.variables().get("PUBLIC_URL", "")
        is_other = _LOCAL_URL.fullmatch(public_url) and public_url.rstrip("/") != self.base_url
        return {"PUBLIC_URL": self.base_url} if is_other else {}

    def _override(self, variables: Mapping[str, str]) -> Path:
        """Write variables that override those in `.dev.vars` to an env file, and return its path."""
        override = self.options.state / "override.vars"
        override.touch(mode=0o600)
        override.write_text("".join(f'{name}="{value}"\n' for name, value in variables.items()))
        return override

    def stop(self) -> None:
        """Stop all services in reverse order, and delete the copy of the Worker's variables."""
        for service in reversed(self.services):
            service.stop()
        (self.options.state / "env.vars").unlink(missing_ok=True)

    def require_alive(self) -> None:
        """Raise an error if a service no longer works, or if `check` stops the stack.

        Raises:
            ServiceError: a service ended, or printed its fatal text.
        """
        self.options.check()
        for service in self.services:
            service.require_alive()

    def _env_file(self) -> Path:
        """Return `.dev.vars`, or a copy with each `$` escaped, because wrangler expands `$NAME` in env files."""
        text = self.options.dev_vars.read_text(encoding="utf-8")
        if "$" not in text:
            return self.options.dev_vars
        copy = self.options.state / "env.vars"
        copy.touch(mode=0o600)
        copy.write_text(dev_vars.as_env_file(text), encoding="utf-8")
        return copy

    def _start_postgres(self, login: str) -> None:
        data = self.options.state / "postgres"
        cluster.init(data, sync=self.options.settings.get("fsync") != "off")
        port = free_port()
        settings = {**cluster.DEFAULTS, **self.options.settings}
        command = [*self.options.within, *cluster.command(data, port, settings)]
        postgres = self._add_service("postgres", command, stop_signal=signal.SIGINT)
        postgres.start()
        self._wait_until_ready(
            postgres, lambda: "" if cluster.is_ready(data, postgres.pid or 0) else "it does not accept connections yet"
        )
        self.database_url = cluster.url(data, port)
        migrate(self.database_url, ROOT / "prisma" / "migrations")
        # This login has only the privileges of `signup_worker`.
        self.login_url = cluster.url(data, port, user=login, password=_make_login(self.database_url, login))

    def _start_sqlproxy(self, port: int, token: str) -> None:
        environment = {
            "SQLPROXY_DATABASE_URL": self.login_url,
            "SQLPROXY_ALLOW_STATEMENTS": str(ROOT / "sqlproxy" / "worker-statements.json"),
            "SQLPROXY_TOKEN": token,
            "SQLPROXY_PORT": str(port),
            "SQLPROXY_POOL_SIZE": str(self.options.pool_size),
            **self.options.sqlproxy,
        }
        service = self._add_service("sqlproxy", [sys.executable, "-m", "sqlproxy"], environment)
        service.start()
        self._wait_until_ready(service, lambda: readiness.find_obstacle(port, "/ready"))

    @staticmethod
    def _select_python_bundle() -> tuple[dict[str, str], bool, str]:
        """Return the environment that selects workerd's Python bundle, whether it is a local one, and a description."""
        choice = os.environ.get("PYODIDE_BUNDLE", "auto")
        if choice == "official" or (choice == "auto" and pyodide_bundle.official_is_reachable()):
            return {}, False, "the official bundle, which workerd downloads"
        program = pyodide_bundle.wrapper(pyodide_bundle.ensure())
        return {"MINIFLARE_WORKERD_PATH": str(program)}, True, "built from npm's pyodide"

    def _start_wrangler(self, env_files: list[Path], environment: Mapping[str, str], *, is_local: bool) -> None:
        options = self.options
        config = self._configuration_file()
        # Compatibility flags on the command line replace those in the file.
        flags = pyodide_bundle.flags(config) if is_local else ()
        temporary = options.state / "tmp"
        shutil.rmtree(temporary, ignore_errors=True)  # files that a killed run left
        temporary.mkdir(parents=True)
        command = [
            # wrangler/bin/wrangler.js is a wrapper that does not forward signals.
            *(node(), "--no-warnings", str(ROOT / "node_modules/wrangler/wrangler-dist/cli.js"), "dev"),
            *("--port", str(options.port), "--inspector-port", "0", "--show-interactive-dev-session=false"),
            *("--persist-to", str(options.state / "wrangler")),
            *("--config", str(config)),
            *(word for path in env_files for word in ("--env-file", str(path))),
            *(word for flag in flags for word in ("--compatibility-flags", flag)),
        ]
        # Without these variables wrangler writes logs and settings to the home directory, looks up the location of this
        # machine, and checks for a newer version.
        private = {
            "XDG_CONFIG_HOME": str(options.state / "config"),
            "WRANGLER_LOG_PATH": str(options.state / "config" / "logs"),
            "TMPDIR": str(temporary),
            "WRANGLER_SEND_METRICS": "false",
            "WRANGLER_HIDE_BANNER": "true",
            "CLOUDFLARE_CF_FETCH_ENABLED": "false",
            "NO_COLOR": "1",
        }
        service = self._add_service("wrangler", command, {**private, **environment}, fatal=_RUNTIME_LOST)
        service.start()
        self._wait_until_ready(service, lambda: readiness.find_obstacle(options.port, options.ready))

    def _configuration_file(self) -> Path:
        """Return the path of wrangler's configuration: wrangler.toml, or a changed copy next to links to the code."""
        text = self.options.config
        if self.options.hyperdrive is not None:
            text = hyperdrive.with_hyperdrive(text or (ROOT / "wrangler.toml").read_text(encoding="utf-8"))
        if self.options.verification:
            text = with_mail_binding(text or (ROOT / "wrangler.toml").read_text(encoding="utf-8"))
        if not text:
            return ROOT / "wrangler.toml"
        folder = self.options.state / "worker"
        folder.mkdir(exist_ok=True)
        for name in ("src", "python_modules", "public"):
            if not (folder / name).exists():
                (folder / name).symlink_to(ROOT / name)
        (folder / "wrangler.toml").write_text(text, encoding="utf-8")
        return folder / "wrangler.toml"

    def _add_service(
        self,
        name: str,
        command: list[str],
        environment: Mapping[str, str] | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        fatal: str = "",
    ) -> Service:
        path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
        env = {**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **(environment or {})}
        service = Service(name, command, env, self._show_line, stop_signal=stop_signal, fatal=fatal)
        self.services.append(service)
        return service

    def _wait_until_ready(self, service: Service, obstacle: Callable[[], str]) -> None:
        """Wait until a service is ready, that is, until `obstacle` returns ""."""
        start, announced = time.monotonic(), False
        while reason := obstacle():
            self.require_alive()
            seconds = time.monotonic() - start
            if "misconfigured" in reason:
                time.sleep(POLL_SECONDS)  # until the log line with the reason has arrived
                raise ServiceError(f"{service.name}: {reason}. Its last lines:\n{service.last_lines()}")
            if seconds > START_SECONDS:
                raise ServiceError(
                    f"{service.name} is not ready after {START_SECONDS} s: {reason}\n{service.last_lines()}"
                )
            if not announced and seconds > (PATIENT_SECONDS if " answers " in reason else SILENT_SECONDS):
                self.options.say(f"still waiting for {service.name}: {reason}")
                announced = True
            self._sleep(SLOW_POLL_SECONDS if " answers " in reason else POLL_SECONDS)

    def _sleep(self, seconds: float) -> None:
        """Sleep, but raise an error as soon as a service no longer works."""
        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0:
            time.sleep(min(remaining, POLL_SECONDS))
            self.require_alive()

    def _show_line(self, name: str, line: str) -> None:
        if not line or _TABLE.match(line):
            return
        safe = printable(_SECRET.sub("...", line))
        if self.options.show:
            self.options.show(name, safe)
        else:
            self.options.say(f"{name:>8} | {safe}")


@contextlib.contextmanager
def running(options: Options) -> Iterator[Stack]:
    """Start the stack, yield it, and stop it when the block ends."""
    stack = Stack(options)
    try:
        stack.start()
        yield stack
    finally:
        stack.stop()


def _make_login(url: str, login: str) -> str:
    """Create a login if it does not exist, give it the Worker's privileges, and return its new password."""
    password = secrets.token_urlsafe(24)
    with psycopg.connect(url, autocommit=True) as db:
        exists = db.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [login]).fetchone()
        statement = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}" if exists else "CREATE ROLE {} LOGIN PASSWORD {}")
        # The statement contains the SCRAM verifier instead of the password, because the server logs failed statements.
        verifier = db.pgconn.encrypt_password(password.encode(), login.encode(), b"scram-sha-256").decode()
        db.execute(statement.format(sql.Identifier(login), sql.Literal(verifier)))
        db.execute(sql.SQL("GRANT signup_worker TO {}").format(sql.Identifier(login)))
        restrictions = (ROOT / "deploy" / "restrict-login.sql").read_bytes()
        db.execute(restrictions.replace(b"ROLE sqlproxy", f"ROLE {login}".encode()))
        if login == HYPERDRIVE_LOGIN:
            timeout = sql.SQL("ALTER ROLE {} SET statement_timeout = {}")
            db.execute(timeout.format(sql.Identifier(login), sql.Literal(STATEMENT_TIMEOUT)))
    return password
