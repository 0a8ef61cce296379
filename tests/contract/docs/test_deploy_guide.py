"""Follow docs/deploy.md step by step, with a local Postgres and without a Cloudflare account."""

from __future__ import annotations

import re
import shutil
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest
from psycopg import sql

from devstack.postgres import server as postgres
from devstack.setup.bootstrap import ROOT
from tests.contract.docs import unit
from tests.contract.docs.documents import Step, steps
from tests.contract.docs.walker import Reader, Rule
from tests.contract.sqlproxy.harness import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

GUIDE = ROOT / "docs" / "deploy.md"
PASSWORD = "a-password-of-the-login"
# The database of each section. The section on releases uses a database that an earlier section has migrated.
RELEASES = "4. Releases"
HYPERDRIVE = "Hyperdrive"
DATABASES = {
    "Neon": "neon",
    "Prisma Postgres": "prisma",
    "A Postgres of your own": "own",
    HYPERDRIVE: "hyperdrive",
    RELEASES: "own",
}
DEPLOYED = "there is no deployed Worker; tests/e2e sends this to workerd"
HAS_ANALYZE = shutil.which("systemd-analyze") is not None


@dataclass
class Environment:
    """The machine on which the guide is followed.

    Args:
        server: the Postgres server.
        reader: follows the commands in a copy of the repository.
        port: the port of sqlproxy.
        folder: the folder that stands for `/`.
    """

    server: postgres.Postgres
    reader: Reader
    port: int
    folder: Path

    @property
    def unit(self) -> Path:
        """Return the path of the installed systemd unit."""
        return self.folder / "etc/systemd/system/sqlproxy.service"


@pytest.fixture
def environment(tmp_path: Path) -> Iterator[Environment]:
    """Start a Postgres with the databases of the sections, and copy the repository with paths below a folder."""
    with postgres.running(tmp_path / "pg") as server:
        with psycopg.connect(server.url(), autocommit=True) as db:
            for name in sorted(set(DATABASES.values())):
                db.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        root, port = tmp_path / "root", postgres.free_port()
        (root / "etc/systemd/system").mkdir(parents=True)
        replacements = {
            "'PASSWORD'": f"'{PASSWORD}'",
            "127.0.0.1:4444": f"127.0.0.1:{port}",
            **{path: str(root) + path for path in ("/opt/sqlproxy", "/etc/sqlproxy", "/etc/systemd")},
        }
        login = server.url("own", user="sqlproxy", password=PASSWORD)
        urls = {section: server.url(name) for section, name in DATABASES.items()}
        reader = Reader(tmp_path, rules(urls, login), replacements)
        shipped = reader.copy / "deploy/sqlproxy.service"
        shipped.write_text(reader.replace(shipped.read_text()))
        yield Environment(server, reader, port, root)


def rules(urls: Mapping[str, str], login: str) -> list[Rule]:
    """Return the rules for the guide's commands.

    Args:
        urls: the URLs of the databases by section.
        login: the URL of sqlproxy's login.
    """
    not_local = r"(?!.*(127\.0\.0\.1)).*"
    return [
        Rule(r"make setup"),
        Rule(r"export PATH=.*"),
        *(
            Rule(r"read -rs DATABASE_URL && export DATABASE_URL", stdin=f"{url}\n", section=section)
            for section, url in urls.items()
        ),
        Rule(r"make migrate", prints="nothing to apply", section=RELEASES),
        Rule(r"make migrate", prints="applied .*least_privilege"),
        Rule(r"psql --dbname=DATABASE --file=\S+", "skip", "psql is not on the PATH; the test executes the file's SQL"),
        Rule(r"sudo (mkdir|cp|install) .*"),
        Rule(r"sudo python3 -m venv .*"),
        Rule(r"sudo .*pip install --require-hashes -r requirements/sqlproxy.txt"),
        Rule(r"\(umask 077; openssl rand .*/token >/dev/null\)"),
        Rule(r"\(umask 077; sudo tee .*/database-url >/dev/null\)", stdin=f"{login}\n"),
        Rule(
            r"sudo systemd-analyze verify .*",
            **({} if HAS_ANALYZE else {"how": "skip", "reason": "systemd-analyze is not installed"}),
        ),
        Rule(r"sudo systemctl .*", "skip", "systemd does not run here; the test starts the unit's command"),
        Rule(r"curl --fail http://127\.0\.0\.1:4444/ready", prints='"status"'),
        Rule(rf"curl {not_local}https://proxy\.example\.com/ready", "skip", "tests/e2e/test_tls_proxy.py covers it"),
        Rule(rf"curl {not_local}https://signup.*", "skip", DEPLOYED),
        Rule(r"docker .*", "skip", "needs a container runtime and a registry; test_container.py executes the file"),
        # The output contains no warning about the configuration.
        Rule(
            r"npx wrangler deploy --dry-run .*",
            prints=r"(?s)\A(?!.*WARNING).*pg\.mjs.*env\.HYPERDRIVE.*--dry-run: exiting now",
        ),
        Rule(r"pywrangler deploy .*", more="--dry-run", prints="--dry-run: exiting now"),
        Rule(r"npx wrangler versions upload .*", more="--dry-run", prints="--dry-run: exiting now"),
        Rule(r'echo "2026a:\$\(openssl rand -base64 32\)"', prints=r"^2026a:[A-Za-z0-9+/]{43}=$"),
        Rule(r"read -rs HYPERDRIVE_URL", stdin=f"{login}\n"),
        # These commands need a Cloudflare account.
        Rule(r"npx wrangler hyperdrive create .*", "exists"),
        Rule(r"npx wrangler (secret|versions secret) put .*", "exists"),
        Rule(r"npx wrangler (login|whoami|secret list|versions list|versions deploy) ?.*", "exists"),
        Rule(r"npx wrangler (deployments list|rollback|tail) .*", "exists"),
    ]


def add_hyperdrive(environment: Environment, step: Step) -> None:
    """Change wrangler.toml as the section on Hyperdrive describes: replace a line, and uncomment the bindings."""
    config = environment.reader.copy / "wrangler.toml"
    text = config.read_text()
    line, *tables = step.text.strip().split("\n\n")
    commented = ["".join(f"# {each}\n" for each in table.splitlines()) for table in tables]
    changes = {'\nglobs = ["edge.mjs", "kdf.mjs"]\n': f"\n{line}\n", **dict(zip(commented, tables, strict=True))}
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, f"{new}\n" if old.startswith("#") else new)
    config.write_text(text)


def replace_table(environment: Environment, step: Step) -> None:
    """Replace the table of wrangler.toml that has the same header as the code block."""
    config = environment.reader.copy / "wrangler.toml"
    text = config.read_text()
    header = step.text.splitlines()[0]
    changed, count = re.subn(rf"^{re.escape(header)}\n(?:[^\[\n].*\n|\n)*", step.text, text, flags=re.MULTILINE)
    assert count == 1
    config.write_text(changed)


def test_the_guide_can_be_followed(environment: Environment) -> None:
    """Each command succeeds, exists in wrangler's help, or is skipped for a stated reason; every rule is used.

    The unit's command runs sqlproxy, which accepts only its token and the Worker's statements. Only
    the owner of the token file can access it.
    """
    with ExitStack() as stack:
        for step in steps(GUIDE):
            if step.language == "sql":
                with psycopg.connect(environment.server.url(DATABASES[step.section]), autocommit=True) as db:
                    db.execute(environment.reader.replace(step.text).encode())
            elif step.language == "toml" and step.section == HYPERDRIVE:
                add_hyperdrive(environment, step)
            elif step.language == "toml":
                replace_table(environment, step)
            else:
                assert step.language == "sh"
                if script := re.match(r"psql .*--file=(\S+)", step.text):
                    with psycopg.connect(environment.server.url("own"), autocommit=True) as db:
                        db.execute((environment.reader.copy / script[1]).read_bytes())
                environment.reader.follow(step)
                if "systemctl enable" in step.text:
                    process = stack.enter_context(
                        unit.start(
                            environment.unit, environment.folder / "credentials", SQLPROXY_PORT=str(environment.port)
                        )
                    )
                    stack.callback(process.terminate)
                    eventually(lambda: is_ready(environment.port), "sqlproxy is ready")
        assert environment.reader.used == set(environment.reader.rules)
        assert 'routes = [{ pattern = "signup.example.com"' in (environment.reader.copy / "wrangler.toml").read_text()
        base = f"http://127.0.0.1:{environment.port}"
        token = (environment.folder / "etc/sqlproxy/token").read_text().strip()
        for bearer, query, status in ((token, "SELECT 1", 200), (token, "SELECT 2", 403), ("x" * 64, "SELECT 1", 401)):
            headers = {"authorization": f"Bearer {bearer}"}
            response = httpx.post(f"{base}/sql", json={"query": query, "params": []}, headers=headers)
            assert response.status_code == status, response.text
        assert (environment.folder / "etc/sqlproxy/token").stat().st_mode & 0o077 == 0


def is_ready(port: int) -> bool:
    """Return whether sqlproxy on this port is ready."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready").is_success
    except httpx.TransportError:
        return False


def test_a_wrong_command_is_detected(tmp_path: Path) -> None:
    """Each command has no rule, fails, or has an unknown option or subcommand, or too many arguments."""
    reader = Reader(tmp_path, [*rules({}, ""), Rule("npx wrangler deployments get", "exists")], {})
    for text, message in (
        ("rm -rf /", "no rule for"),
        ("sudo cp nothing-there /opt/sqlproxy/", "ended with 1"),
        ("npx wrangler rollback --gently", "no option --gently"),
        ("npx wrangler secret list put too many", "arguments"),
        ("npx wrangler deployments get", "no such command"),
    ):
        with pytest.raises(AssertionError, match=message):
            reader.follow(Step(1, "sh", text))


@pytest.mark.skipif(not HAS_ANALYZE, reason="systemd-analyze is not installed")
def test_systemd_rates_the_unit_as_hardened(tmp_path: Path) -> None:
    """The exposure level of `systemd-analyze security` is at most 1.3 of 10."""
    shutil.copy(ROOT / "deploy/sqlproxy.service", tmp_path)
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=13", f"{tmp_path}/sqlproxy.service"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_unit_has_a_long_stop_timeout_and_no_secrets() -> None:
    """The stop timeout is longer than sqlproxy's default, and the secrets are not environment variables."""
    settings = unit.settings(ROOT / "deploy/sqlproxy.service")
    assert int(settings["TimeoutStopSec"][0]) > 10
    assert settings["DynamicUser"] == ["yes"]
    names = {pair.split("=")[0] for line in settings["Environment"] for pair in line.split()}
    assert not names & {"SQLPROXY_TOKEN", "SQLPROXY_DATABASE_URL"}
