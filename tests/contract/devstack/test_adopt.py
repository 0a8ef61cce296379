"""Adopt the users of an application with the schema of Prisma's tutorials, some of them stored by Prisma Client."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import argon2
import psycopg
import pytest
from pydantic import SecretStr

from devstack.kdf import cpython_kdf
from devstack.migrate import adopt, adoption, history
from devstack.migrate import migrations as migrate
from devstack.postgres import dburl
from devstack.scratch import scratch_folder
from devstack.setup.bootstrap import ROOT
from signup.hashing.password_hasher import Hasher
from signup.hashing.profiles import CHEAP
from tests.contract.proxies import counterparts

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
# The schema of Prisma's tutorials.
SCHEMA = """
datasource db {
  provider = "postgresql"
}
generator client {
  provider = "prisma-client"
  output   = "client"
}
model User {
  id       Int    @id @default(autoincrement())
  name     String
  email    String @unique
  password String
}
"""
CHEAP_HASHER = Hasher(cpython_kdf, CHEAP)
USERS = [
    {"name": "Ada", "email": "Ada@Example.COM", "password": "correct horse battery staple"},
    {"name": "Bob", "email": "bob@example.com", "password": "a"},
    # The password is in NFD, which some keyboards send.
    {"name": "Zo\u00eb", "email": "zoe@b\u00fccher.example", "password": "Zoe\u0308s Passwort"},
    {"name": "Eve", "email": "BOB@example.com", "password": "another password"},
    {"name": "", "email": "no-address", "password": ""},
]


@pytest.fixture
def old_client() -> Iterator[Path]:
    """Generate Prisma Client for the old table, inside the checkout, because the client imports from node_modules."""
    with scratch_folder("old-stack") as folder:
        (folder / "schema.prisma").write_text(SCHEMA)
        command = [counterparts.NODE, str(ROOT / "node_modules" / "prisma" / "build" / "index.js"), "generate"]
        environment = {"XDG_CACHE_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), "CHECKPOINT_DISABLE": "1"}
        done = subprocess.run(
            [*command, "--schema", str(folder / "schema.prisma")],
            cwd=ROOT,
            # Without this setting Prisma downloads an engine, although `generate` does not run it. Any program will do.
            env={**os.environ, **environment, "PRISMA_SCHEMA_ENGINE_BINARY": counterparts.NODE},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        yield folder / "client" / "client.ts"


def create_and_read_users(client: Path, url: str, users: list[dict[str, str]]) -> list[dict[str, Any]]:
    """Create users with Prisma Client over the Accelerate protocol; return all users that it then reads."""
    script = [counterparts.NODE, "--disable-warning=MODULE_TYPELESS_PACKAGE_JSON", str(HERE / "old_stack.mjs")]
    with counterparts.executor(url) as executor:
        request = json.dumps({"client": str(client), "url": executor.url, "users": users})
        done = subprocess.run(script, input=request, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    stored_users: list[dict[str, Any]] = json.loads(done.stdout)
    return stored_users


def create_old_table(url: str) -> None:
    """Create the old table with the first migration, whose script Prisma generated for the old schema."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(history.read_folder(migrate.FOLDER)[0].script.encode())


def test_users_are_adopted_and_the_previous_application_can_still_use_the_table(url: str, old_client: Path) -> None:
    """Ids and names do not change, passwords are hashed, and addresses become canonical or are reported by user id.

    The previous application can still read and write the table, and the next run adopts its new users.
    """
    create_old_table(url)
    before = create_and_read_users(old_client, url, USERS)
    assert [user["password"] for user in before] == [user["password"] for user in USERS]
    migrate.baseline(url, history.read_folder(migrate.FOLDER)[0].name)
    migrate.migrate(url)

    dry = adopt.adopt(url, write=False)
    assert create_and_read_users(old_client, url, []) == before
    outcome = adopt.adopt(url)
    assert (outcome.counts, outcome.taken, outcome.invalid) == (dry.counts, dry.taken, dry.invalid)
    assert outcome.counts == {"checked": 5, "hashed": 4, "addresses changed": 2}
    assert (outcome.taken, outcome.invalid) == (["4"], ["5"])

    after = create_and_read_users(old_client, url, [])
    assert [(user["id"], user["name"]) for user in after] == [(user["id"], user["name"]) for user in before]
    emails = ["ada@example.com", "bob@example.com", "zoe@xn--bcher-kva.example", "BOB@example.com", "no-address"]
    assert [user["email"] for user in after] == emails
    for user, password in zip(after, [*(u["password"] for u in USERS[:2]), "Zo\u00ebs Passwort"], strict=False):
        assert user["password"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert argon2.PasswordHasher().verify(user["password"], password)

    second_outcome = adopt.adopt(url)
    assert (second_outcome.counts, second_outcome.taken, second_outcome.invalid) == ({"checked": 5}, ["4"], ["5"])
    new_user = {"name": "Late", "email": "Late@example.com", "password": "a $2b$ is in mine"}
    assert create_and_read_users(old_client, url, [new_user])[-1]["name"] == "Late"
    assert adopt.adopt(url).counts == {"checked": 6, "hashed": 1, "addresses changed": 1}


def test_addresses_are_canonicalised_as_in_a_sign_up(url: str) -> None:
    """Two addresses that differ only in case and in the form of a sigma have the same canonical form.

    The first one gets this form, and the second one is reported as taken. Canonical addresses do not change, and
    invalid ones are reported.
    """
    create_old_table(url)
    with psycopg.connect(url, autocommit=True) as db:
        for local in ("plain", "\u039f\u03a3", "\u03bf\u03c3", "\ufb01n", "p\u0430ypal"):
            insert = 'INSERT INTO "User" (name, email, password) VALUES (%s, %s, %s)'
            db.execute(insert, ["x", f"{local}@example.com", "x"])
        outcome = adopt.adopt(url, hasher=CHEAP_HASHER)
        assert (outcome.counts["addresses changed"], outcome.taken, outcome.invalid) == (1, ["3"], ["4", "5"])
        changed = db.execute('SELECT email FROM "User" WHERE id < 3 ORDER BY id').fetchall()
    assert changed == [("plain@example.com",), ("\u03bf\u03c2@example.com",)]


def test_several_batches_are_adopted_while_a_user_signs_up(url: str) -> None:
    """Each password is hashed once, and a sign-up between two batches does not wait for a lock.

    The progress messages contain no address or password.
    """
    create_old_table(url)
    migrate.baseline(url, history.read_folder(migrate.FOLDER)[0].name)
    migrate.migrate(url)
    lines: list[str] = []
    with psycopg.connect(url, autocommit=True) as db:
        insert = """INSERT INTO "User" (name, email, password)
                  SELECT 'x', n || '@example.com', 'password ' || n FROM generate_series(1, %s) n"""
        db.execute(insert, [3 * adoption.BATCH + 1])

        def report(line: str) -> None:
            lines.append(line)
            if len(lines) == 1:
                db.execute("SET lock_timeout = 100")
                hashed = "$argon2id$v=19$m=19456,t=2,p=1$" + "a" * 22 + "$" + "b" * 43
                db.execute("SELECT * FROM sign_up('New', 'new@example.com', %s, %s)", [hashed, "ab" * 32])

        outcome = adopt.adopt(url, report=report, hasher=CHEAP_HASHER)
        clear_text_count = db.execute(
            """SELECT count(*) FROM "User" WHERE password NOT LIKE '$argon2id$%'"""
        ).fetchone()
    assert (outcome.counts["hashed"], len(lines), clear_text_count) == (3 * adoption.BATCH + 1, 4, (0,))
    assert not [line for line in lines if "@" in line or "password" in line]


def test_the_command_line_reports_users_whose_address_cannot_change(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit status is 1 if the table is missing or addresses cannot change, and 2 for an invalid URL.

    Neither the URL nor an address is printed.
    """
    monkeypatch.setenv("DATABASE_URL", "prisma://canary@example.com")
    with pytest.raises(SystemExit, match="2"):
        adopt.main([])
    assert "canary" not in capsys.readouterr().err
    monkeypatch.setenv("DATABASE_URL", url)
    # The table does not exist yet.
    assert adopt.main([]) == 1
    assert 'no table "User"' in capsys.readouterr().err
    create_old_table(url)
    assert adopt.main([]) == 0
    with psycopg.connect(url, autocommit=True) as db:
        insert = 'INSERT INTO "User" (name, email, password) VALUES (%s, %s, %s)'
        bcrypt_hash = SecretStr("$2b$12$" + "a" * 53).get_secret_value()
        for email in ("canary@example.com", "Canary@example.com", "canary"):
            db.execute(insert, ["x", email, bcrypt_hash])
    assert adopt.main(["--dry-run"]) == 1
    captured = capsys.readouterr()
    assert "users checked: 3; passwords to hash: 0; addresses to change: 0" in captured.out
    assert ("ids 2\n" in captured.err, "ids 3\n" in captured.err) == (True, True)
    assert "canary" not in (captured.out + captured.err).lower()


def test_urls_are_parsed_as_for_migrations(url: str) -> None:
    """The URL of a connection pooler is refused, and Prisma's parameter `schema` is used."""
    with pytest.raises(dburl.UrlError):
        adopt.adopt("postgres://u:p@ep-x-pooler.example.com/db")
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE SCHEMA other")
        db.execute('CREATE TABLE other."User" (id INT PRIMARY KEY, name TEXT, email TEXT UNIQUE, password TEXT)')
        db.execute("""INSERT INTO other."User" VALUES (1, 'x', 'x@example.com', 'clear')""")
        adopt.adopt(f"{url}?schema=other", hasher=CHEAP_HASHER)
        assert db.execute('SELECT password FROM other."User"').fetchall() != [("clear",)]
