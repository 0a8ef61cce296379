"""Execute deploy/Containerfile without a container runtime, and run the result with a real Postgres."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest
from psycopg import sql

from devstack.migrate.migrations import migrate
from devstack.postgres import server as postgres
from devstack.setup.bootstrap import ROOT
from tests.contract.docs.containerfile import Image, build, instructions, is_sent
from tests.contract.sqlproxy.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILE = ROOT / "deploy/Containerfile"
LOGIN = "in_the_container"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[postgres.Postgres]:
    """Run a Postgres server with all migrations applied, and a login that may sign users up."""
    with postgres.running(tmp_path_factory.mktemp("container") / "pg") as running:
        migrate(running.url())
        with psycopg.connect(running.url(), autocommit=True) as db:
            create_role = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {} IN ROLE signup_worker")
            db.execute(create_role.format(sql.Identifier(LOGIN), sql.Literal(LOGIN)))
        yield running


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """Return the image that the Containerfile produces."""
    return build(FILE, ROOT, tmp_path_factory.mktemp("image"))


def test_the_container_becomes_ready_and_healthy(image: Image, server: postgres.Postgres) -> None:
    """The health check passes while sqlproxy runs, and fails afterwards. Only statements of the Worker are run."""
    port, token = postgres.free_port(), secrets.token_hex(32)
    variables = {
        "SQLPROXY_PORT": str(port),
        "SQLPROXY_TOKEN": token,
        "SQLPROXY_DATABASE_URL": server.url(user=LOGIN, password=LOGIN),
    }
    with image.run(image.entrypoint, **variables) as process:
        try:
            eventually(lambda: is_ready(port), "sqlproxy is ready")
            assert run_health_check(image, SQLPROXY_PORT=str(port)) == 0
            headers = {"authorization": f"Bearer {token}"}
            for query, status in (("SELECT 1", 200), ("SELECT 2", 403)):
                body = {"query": query, "params": []}
                assert httpx.post(f"http://127.0.0.1:{port}/sql", json=body, headers=headers).status_code == status
        finally:
            process.terminate()
        assert process.wait(15) == 0
    assert run_health_check(image, SQLPROXY_PORT=str(port)) != 0


def test_the_image_contains_only_sqlproxy_and_its_packages(image: Image) -> None:
    """The image contains neither pip nor other files of the repository, and runs as an unprivileged user."""
    assert {path.name for path in image.path(".").iterdir()} == {".venv", "sqlproxy"}
    assert not list(image.path(".").glob(".venv/lib/*/site-packages/pip"))
    assert image.user == "65532:65532"
    assert [word for word, _ in instructions(FILE)].count("FROM") == 2
    (install,) = [arguments for word, arguments in instructions(FILE) if word == "RUN" and "pip install" in arguments]
    assert "--require-hashes" in install


@pytest.mark.parametrize(
    "name", [".dev.vars", ".git", ".venv", "src/entry.py", "requirements/dev.txt", "sqlproxy/__pycache__"]
)
def test_secrets_and_unused_files_are_not_sent_to_the_builder(name: str) -> None:
    """.dockerignore excludes files with secrets, and files that sqlproxy does not need."""
    assert not is_sent(name, ROOT / ".dockerignore")


def test_a_containerfile_that_cannot_be_executed_fails(tmp_path: Path) -> None:
    """A COPY of a file that is missing or not sent fails, and so does an unsupported instruction."""
    (tmp_path / ".dockerignore").write_text("*\n!there\n!gone\n")
    (tmp_path / "there").touch()
    for number, (line, message) in enumerate(
        (("COPY gone gone", "gone does not exist"), ("COPY other other", "not sent"), ("SHELL sh", "not supported"))
    ):
        (tmp_path / "Containerfile").write_text(f"FROM nothing\nCOPY there there\n{line}\n")
        (home := tmp_path / f"{number}").mkdir()
        with pytest.raises(AssertionError, match=message):
            build(tmp_path / "Containerfile", tmp_path, home)


def run_health_check(image: Image, **more: str) -> int:
    """Run the health check; return its exit status."""
    with image.run(image.health, **more) as process:
        process.communicate(timeout=15)
        return process.returncode


def is_ready(port: int) -> bool:
    """Return whether sqlproxy on this port is ready."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready").is_success
    except httpx.TransportError:
        return False
