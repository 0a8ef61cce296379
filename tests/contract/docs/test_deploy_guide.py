"""docs/deploy.md, followed by a reader who has a Postgres and this machine, and no account anywhere."""

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
# What a reader pastes, by section: the last one is of the database that is migrated by then.
RELEASES = "4. Releases"
DATABASES = {"Neon": "neon", "Prisma Postgres": "prisma", "A Postgres of your own": "own", RELEASES: "own"}
DEPLOYED = "there is no deployed Worker; tests/e2e sends this to the real workerd"
HAS_ANALYZE = shutil.which("systemd-analyze") is not None


@dataclass
class World:
    """What the reader has."""

    server: postgres.Postgres
    reader: Reader
    port: int
    folder: Path

    @property
    def unit(self) -> Path:
        """Where the unit was installed."""
        return self.folder / "etc/systemd/system/sqlproxy.service"


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Start a Postgres with a database for each way, and make the copy; its unit's paths lead into a folder."""
    with postgres.running(tmp_path / "pg") as server:
        with psycopg.connect(server.url(), autocommit=True) as db:
            for name in sorted(set(DATABASES.values())):
                db.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        root, port = tmp_path / "root", postgres.free_port()
        (root / "etc/systemd/system").mkdir(parents=True)
        replaced = {
            "'PASSWORD'": f"'{PASSWORD}'",
            "127.0.0.1:4444": f"127.0.0.1:{port}",
            **{path: str(root) + path for path in ("/opt/sqlproxy", "/etc/sqlproxy", "/etc/systemd")},
        }
        login = server.url("own", user="sqlproxy", password=PASSWORD)
        urls = {section: server.url(name) for section, name in DATABASES.items()}
        reader = Reader(tmp_path, rules(urls, login), replaced)
        shipped = reader.copy / "deploy/sqlproxy.service"
        shipped.write_text(reader.replace(shipped.read_text()))
        yield World(server, reader, port, root)


def rules(urls: Mapping[str, str], login: str) -> list[Rule]:
    """Return what becomes of the guide's commands, where a section's reader has that database."""
    nowhere = r"(?!.*(127\.0\.0\.1)).*"
    return [
        Rule(r"make setup"),
        Rule(r"export PATH=.*"),
        *(
            Rule(r"read -rs DATABASE_URL && export DATABASE_URL", stdin=f"{url}\n", section=section)
            for section, url in urls.items()
        ),
        Rule(r"make migrate", prints="nothing to apply", section=RELEASES),
        Rule(r"make migrate", prints="applied .*least_privilege"),
        Rule(
            r"psql --dbname=DATABASE --file=\S+", "not", "psql is not on the PATH: the test runs the file's SQL itself"
        ),
        Rule(r"sudo (mkdir|cp|install) .*"),
        Rule(r"sudo python3 -m venv .*"),
        Rule(r"sudo .*pip install --require-hashes -r requirements/sqlproxy.txt"),
        Rule(r"\(umask 077; openssl rand .*/token >/dev/null\)"),
        Rule(r"\(umask 077; sudo tee .*/database-url >/dev/null\)", stdin=f"{login}\n"),
        Rule(r"sudo systemd-analyze verify .*", **({} if HAS_ANALYZE else {"how": "not", "reason": "it is not here"})),
        Rule(r"sudo systemctl .*", "not", "systemd does not run here: the unit's command is started without it"),
        Rule(r"curl --fail http://127\.0\.0\.1:4444/ready", prints='"status"'),
        Rule(rf"curl {nowhere}https://proxy\.example\.com/ready", "not", "tests/e2e/test_tls_proxy.py does, elsewhere"),
        Rule(rf"curl {nowhere}https://signup.*", "not", DEPLOYED),
        Rule(
            r"docker .*", "not", "needs a container runtime and a registry; test_container.py does what the file says"
        ),
        Rule(r"npx wrangler deploy --dry-run .*", prints="--dry-run: exiting now"),
        Rule(r"pywrangler deploy .*", more="--dry-run", prints="--dry-run: exiting now"),
        Rule(r"npx wrangler versions upload .*", more="--dry-run", prints="--dry-run: exiting now"),
        Rule(r'echo "2026a:\$\(openssl rand -base64 32\)"', prints=r"^2026a:[A-Za-z0-9+/]{43}=$"),
        # These change or ask something at Cloudflare.
        Rule(r"npx wrangler (secret|versions secret) put .*", "exists"),
        Rule(r"npx wrangler (login|whoami|secret list|versions list|versions deploy) ?.*", "exists"),
        Rule(r"npx wrangler (deployments list|rollback|tail) .*", "exists"),
    ]


def configure(world: World, step: Step) -> None:
    """Put a block of TOML in the place of the table of that name, up to the next one."""
    config = world.reader.copy / "wrangler.toml"
    text = config.read_text()
    header = step.text.splitlines()[0]
    changed, count = re.subn(rf"^{re.escape(header)}\n(?:[^\[\n].*\n|\n)*", step.text, text, flags=re.MULTILINE)
    assert count == 1
    config.write_text(changed)


def test_the_guide_can_be_followed(world: World) -> None:
    """Each command of the guide works in its order, or exists, or is listed with a reason; no rule is left over.

    In the end sqlproxy runs as the unit says, lets its token in with the Worker's statements, and nobody else.
    """
    with ExitStack() as stack:
        for step in steps(GUIDE):
            if step.language == "sql":
                with psycopg.connect(world.server.url("own"), autocommit=True) as db:
                    db.execute(world.reader.replace(step.text).encode())
            elif step.language == "toml":
                configure(world, step)
            else:
                assert step.language == "sh"
                if script := re.match(r"psql .*--file=(\S+)", step.text):
                    with psycopg.connect(world.server.url("own"), autocommit=True) as db:
                        db.execute((world.reader.copy / script[1]).read_bytes())
                world.reader.follow(step)
                if "systemctl enable" in step.text:
                    process = stack.enter_context(
                        unit.start(world.unit, world.folder / "credentials", SQLPROXY_PORT=str(world.port))
                    )
                    stack.callback(process.terminate)
                    eventually(lambda: answers(world.port), "sqlproxy is ready")
        assert world.reader.used == set(world.reader.rules)
        assert 'routes = [{ pattern = "signup.example.com"' in (world.reader.copy / "wrangler.toml").read_text()
        base = f"http://127.0.0.1:{world.port}"
        token = (world.folder / "etc/sqlproxy/token").read_text().strip()
        for bearer, query, status in ((token, "SELECT 1", 200), (token, "SELECT 2", 403), ("x" * 64, "SELECT 1", 401)):
            headers = {"authorization": f"Bearer {bearer}"}
            answer = httpx.post(f"{base}/sql", json={"query": query, "params": []}, headers=headers)
            assert answer.status_code == status, answer.text
        assert (world.folder / "etc/sqlproxy/token").stat().st_mode & 0o077 == 0


def answers(port: int) -> bool:
    """Say whether sqlproxy there is ready."""
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready").is_success
    except httpx.TransportError:
        return False


def test_a_command_that_nobody_thought_of_is_told(world: World) -> None:
    """A command without a rule, one that fails, an option that wrangler lacks, and arguments that it does not take."""
    for text, said in (
        ("rm -rf /", "neither run nor on the list"),
        ("sudo cp nothing-there /opt/sqlproxy/", "ended with 1"),
        ("npx wrangler rollback --gently", "no option --gently"),
        ("npx wrangler secret list put too many", "arguments"),
    ):
        with pytest.raises(AssertionError, match=said):
            world.reader.follow(Step(1, "sh", text))


@pytest.mark.skipif(not HAS_ANALYZE, reason="systemd-analyze is not here")
def test_the_unit_is_hardened(tmp_path: Path) -> None:
    """What the service could reach is "OK" in systemd's own judgement: an exposure of 1.3 at most, of 10."""
    shutil.copy(ROOT / "deploy/sqlproxy.service", tmp_path)
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=13", f"{tmp_path}/sqlproxy.service"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_unit_waits_longer_than_sqlproxy_stops_and_gives_no_secret_away() -> None:
    """Also without systemd: its time to stop is above sqlproxy's own, and no setting holds a secret."""
    its = unit.settings(ROOT / "deploy/sqlproxy.service")
    assert int(its["TimeoutStopSec"][0]) > 10
    assert its["DynamicUser"] == ["yes"]
    names = {pair.split("=")[0] for line in its["Environment"] for pair in line.split()}
    assert not names & {"SQLPROXY_TOKEN", "SQLPROXY_DATABASE_URL"}
