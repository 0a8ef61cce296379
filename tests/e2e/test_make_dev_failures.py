"""Real failures of `make dev`: the command ends, and prints the cause and a fix."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from devstack.postgres import cluster
from devstack.postgres import server as postgres
from devstack.postgres.server import free_port
from tests.e2e.make_dev import dev
from tests.e2e.test_full_disk import NAMESPACE

LOCAL = ".local/dev/postgres"
# A user namespace without a user ID mapping removes root's privileges.
UNMAPPED = ("unshare", "--user")


def failure(home: Path, *within: str, port: int = 0) -> str:
    """Run `make dev`, which must fail with a short output and leave no process; return the output."""
    with dev(home, port or free_port(), within) as running:
        assert running.process.wait(100) == 1, running.log.read_text()
        output = running.log.read_text()
        assert running.processes() == []
    assert not re.search("^Traceback", output, re.MULTILINE), output
    assert len(output.splitlines()) < 30
    return output


def is_explained(output: str, headline: str, cause: str, fix: str) -> bool:
    """Return True if the output has the headline, the cause and the fix; otherwise fail and show the output."""
    for pattern in (rf"^make dev: {headline}", rf"^  cause +.*{cause}", rf"^  fix +.*{fix}"):
        assert re.search(pattern, output, re.MULTILINE), f"{pattern} in {output}"
    return True


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder with a space in its name."""
    folder = tmp_path / "my checkout"
    folder.mkdir()
    return folder


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create a database as `make dev` does; return its folder."""
    data = tmp_path_factory.mktemp("database") / "postgres"
    cluster.init(data, sync=False)
    return data


@pytest.fixture
def data(database: Path, home: Path) -> Path:
    """Copy the database to where `make dev` looks for it; return its folder."""
    folder = home / LOCAL
    shutil.copytree(database, folder)
    shutil.copy2(cluster.password_file(database), cluster.password_file(folder))
    folder.chmod(0o700)
    return folder


@pytest.fixture
def unmapped() -> None:
    """Skip the test where user namespaces are forbidden, for example by Docker's default seccomp profile."""
    if not shutil.which("unshare") or subprocess.run([*UNMAPPED, "true"], check=False, capture_output=True).returncode:
        pytest.skip("user namespaces are forbidden here")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_taken_port_is_explained(home: Path) -> None:
    """The message names the process without its arguments, and a free port."""
    script = "import socket; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script, "canary"], cwd=home, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout
        port = int(other.stdout.readline())
        output = failure(home, port=port)
        other.communicate("\n")
    process = rf"by python\S* \(process {other.pid}, in {re.escape(str(home))}\)"
    assert is_explained(
        output, f"port {port} is taken {process}; ", "another process uses the port", r"PORT=\d+ make dev"
    )
    free = int(re.findall(r"PORT=(\d+)", output)[0])
    with socket.create_server(("127.0.0.1", free)):
        pass
    assert "canary" not in output


def test_a_port_below_1024_is_explained(home: Path, unmapped: None) -> None:
    """The system reserves these ports for the superuser."""
    assert unmapped is None
    if int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text()) <= 80:
        pytest.skip("this system lets all users listen on port 80")
    assert is_explained(failure(home, *UNMAPPED, port=80), "port 80 is not permitted", "superuser", "PORT=8787")


def test_a_folder_of_another_user_is_explained(home: Path, unmapped: None) -> None:
    """The folder of the checkout is not writable."""
    assert unmapped is None
    home.chmod(0o500)
    try:
        output = failure(home, *UNMAPPED)
    finally:
        home.chmod(0o700)
    assert is_explained(output, r"\[Errno 13\] Permission denied", "belongs to another user", "chown")


@pytest.mark.parametrize(
    ("text", "headline", "cause"),
    [
        (None, r".dev.vars cannot be read \(Is a directory\)", "not a text file"),
        (b'DATABASE_URL="\xffcanary"', r".dev.vars cannot be read \(not UTF-8\)", "not a text file"),
        (b"HASH_QUEUE=16", ".dev.vars has no DATABASE_URL", "does not name a database"),
    ],
)
def test_an_unusable_dev_vars_is_explained(home: Path, text: bytes | None, headline: str, cause: str) -> None:
    """The file is a folder, not UTF-8, or has no DATABASE_URL; it is not changed."""
    file = home / ".dev.vars"
    if text is None:
        file.mkdir()
    else:
        file.write_bytes(text)
    output = failure(home)
    assert is_explained(output, headline, cause, "make dev then writes")
    assert "canary" not in output
    assert text is None or file.read_bytes() == text


def test_a_wrong_setting_is_explained(home: Path) -> None:
    """The Worker rejects the setting; the command ends and names the setting without its value."""
    (home / ".dev.vars").write_text('DATABASE_URL="mysql://canary:canary@db.example.com/canary"\n')
    output = failure(home)
    cause = "the Worker refuses a setting: DATABASE_URL has an unknown form"
    assert is_explained(output, "wrangler: /ready answers 500 misconfigured", cause, ".dev.vars.example")
    assert "canary" not in output


@pytest.mark.parametrize("size", ["4k", "24m"])
def test_a_full_disk_is_explained(home: Path, size: str) -> None:
    """The disk is full from the start, or becomes full while Postgres creates its database."""
    mount = f"mount -t tmpfs -o size={size},mode=700 none '{home}'"
    if not shutil.which("unshare") or subprocess.run([*NAMESPACE, mount], check=False, capture_output=True).returncode:
        pytest.skip("mount namespaces are forbidden here")
    assert is_explained(failure(home, *NAMESPACE, f'{mount} && exec "$@"', "sh"), ".*", "the disk is full", "df -h")


def test_data_of_another_postgres_version_is_explained(home: Path, data: Path) -> None:
    """The data has another major version; the fix names the folder to delete."""
    (data / "PG_VERSION").write_text("17\n")
    output = failure(home)
    assert is_explained(output, "postgres ended with status 1", "another major version", "delete .local/dev/postgres")


def test_a_damaged_database_is_explained(home: Path, data: Path) -> None:
    """The write-ahead log of the database is missing."""
    for file in (data / "pg_wal").iterdir():
        if file.is_file():
            file.unlink()
    output = failure(home)
    assert is_explained(output, "postgres ended with status 1", "damaged", "delete .local/dev/postgres")


def test_a_missing_password_file_is_explained(home: Path, data: Path) -> None:
    """The file with the password is missing; the fix names the folder to delete."""
    cluster.password_file(data).unlink()
    assert is_explained(failure(home), ".*postgres.password is missing", "is missing", "delete .local/dev/postgres")


def test_a_postgres_of_an_earlier_run_is_explained(home: Path, data: Path) -> None:
    """A Postgres server of an earlier run still uses the database; the fix names the process to stop."""
    with postgres.running(data) as server:
        output = failure(home)
        assert is_explained(output, "a server is already running", "an earlier `make dev`", f"kill -INT {server.pid}")
        os.kill(server.pid, 0)


def test_a_database_of_another_branch_is_explained(home: Path, data: Path) -> None:
    """The database has a table that no migration of this checkout creates."""
    with postgres.running(data) as server, psycopg.connect(server.url()) as db:
        db.execute("CREATE TABLE other_branch (n int)")
    assert is_explained(failure(home), 'schema "public" has tables', "different migrations", "return to that branch")


def test_a_stopped_service_is_explained(home: Path) -> None:
    """Postgres is stopped from outside during the start; `make dev` reports it and stops the other services."""
    with dev(home, free_port()) as running:
        running.wait_for("sqlproxy")
        postgres_ids = [
            each for each in running.processes() if Path(f"/proc/{each}/comm").read_text().strip() == "postgres"
        ]
        # The server's process id is smaller than those of its children.
        os.kill(min(postgres_ids), signal.SIGINT)
        assert running.process.wait(30) == 1
        assert running.processes() == []
        assert is_explained(
            running.log.read_text(), "postgres ended with status 0", "one service was stopped", "make dev again"
        )
