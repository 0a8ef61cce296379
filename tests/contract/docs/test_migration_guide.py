"""Follow docs/migrate-from-accelerate.md with a table of plaintext passwords and one bcrypt hash."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg

from devstack.postgres import server as postgres
from devstack.setup.bootstrap import ROOT
from tests.contract.docs.documents import steps
from tests.contract.docs.test_deploy_guide import DEPLOYED
from tests.contract.docs.walker import Reader, Rule

GUIDE = ROOT / "docs" / "migrate-from-accelerate.md"
# A typical table: VARCHAR(255) columns, @updatedAt, and imported ids.
TABLE = """
    CREATE TABLE "User" (id SERIAL PRIMARY KEY, name VARCHAR(255) NOT NULL, email VARCHAR(255) NOT NULL,
                         password VARCHAR(255) NOT NULL, "updatedAt" TIMESTAMP(3) NOT NULL);
    CREATE UNIQUE INDEX "User_email_key" ON "User"(email)
"""
BCRYPT = "$2b$12$" + "abcdefghijklmnopqrstuv" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p"
USERS = [
    (0, "Ada", "Ada@Example.COM", "correct horse battery staple"),
    (1, "Bob", "bob@example.com", "a"),
    # The password is in NFD, which some keyboards send.
    (2, "Zo\u00eb", "zoe@B\u00fccher.example", "Zoe\u0308s Passwort"),
    (3, "Eve", "eve@example.com", BCRYPT),
]
ADDRESSES = ["ada@example.com", "bob@example.com", "zoe@xn--bcher-kva.example", "eve@example.com"]


def rules(url: str) -> list[Rule]:
    """Return the rules for the guide's commands."""
    return [
        Rule(r"read -rs DATABASE_URL && export DATABASE_URL", stdin=f"{url}\n"),
        Rule(r"pg_dump .*", "skip", "the wheel that Postgres comes from has no pg_dump"),
        Rule(r"make migrate ARGS='--baseline 20261122000000_init'", prints="recorded as applied  20261122000000_init"),
        Rule(r"make migrate", prints="applied .*older_tables"),
        Rule(r"make setup"),
        Rule(r"export PATH=.*"),
        Rule(r"npx wrangler (login|secret put .*|tail .*)", "exists"),
        Rule(r"(pywrangler deploy .*)", more="--dry-run", prints="--dry-run: exiting now"),
        Rule(r"npx wrangler deploy --dry-run .*", prints="--dry-run: exiting now"),
        Rule(r"curl .*", "skip", DEPLOYED),
        Rule(r"make adopt ARGS='--addresses-only --dry-run'", prints="users checked: 4; addresses to change: 2"),
        Rule(r"make adopt ARGS=--addresses-only", prints="users checked: 4; addresses changed: 2"),
        Rule(r"make adopt ARGS=--dry-run", prints=r"users checked: 4; passwords to hash: 3.*\n +1 +bcrypt +kept"),
        Rule(r"make adopt", prints="users checked: 4; passwords hashed: 3; addresses changed: 0"),
    ]


def test_the_guide_can_be_followed(tmp_path: Path) -> None:
    """Each command succeeds, exists in wrangler's help, or is skipped for a stated reason; all users are kept.

    The guide's JavaScript canonicalises the users' addresses. The JavaScript of docs/passwords.md verifies the new
    hashes; it returns null for plaintext and false for a wrong password.
    """
    script = tmp_path / "verify.mjs"
    addresses = tmp_path / "addresses.mjs"
    script.write_text(next(step.text for step in steps(ROOT / "docs" / "passwords.md") if step.language == "js"))
    with postgres.running(tmp_path / "pg") as server, psycopg.connect(server.url(), autocommit=True) as db:
        db.execute(TABLE.encode())
        for user in USERS:
            insert = 'INSERT INTO "User" (id, name, email, password, "updatedAt") VALUES (%s, %s, %s, %s, now())'
            db.execute(insert, user)
        reader = Reader(tmp_path, rules(server.url()), {})
        for step in steps(GUIDE):
            if step.language == "sql":
                # tests/contract/devstack/test_migrate_legacy.py runs the statements for a table with another name.
                if "RENAME" not in step.text:
                    db.execute(step.text.encode())
            elif step.language == "js":
                addresses.write_text(step.text)
            else:
                assert step.language == "sh"
                reader.follow(step)
        assert reader.used == set(reader.rules)
        rows = db.execute('SELECT id, name, email, password FROM "User" ORDER BY id').fetchall()
    names = [(number, name) for number, name, *_ in USERS]
    assert [row[:3] for row in rows] == [(*user, email) for user, email in zip(names, ADDRESSES, strict=True)]
    assert rows[3][3] == BCRYPT
    for (*_, typed_address, password), (*_, address, stored) in zip(USERS[:3], rows, strict=False):
        assert call(addresses, "canonical", typed_address) == address
        assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert call(script, "verify", password, stored) == "true"
        assert call(script, "verify", password + "x", stored) == "false"
        assert call(script, "verify", password, password) == "null"


def call(script: Path, function: str, *arguments: str) -> str:
    """Call a JavaScript function; return its result as text."""
    code = f"import('{script}').then((module) => console.log(String(module.{function}(...{json.dumps(arguments)}))))"
    command = [str(Path(sys.executable).with_name("node")), "-e", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()
