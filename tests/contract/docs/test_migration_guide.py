"""docs/migrate-from-accelerate.md, followed with a table of plaintext passwords."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import psycopg

from devstack.migrate import history
from devstack.migrate import migrations as migrate
from devstack.postgres import server as postgres
from devstack.setup.bootstrap import ROOT
from tests.contract.docs.documents import steps
from tests.contract.docs.test_deploy_guide import DEPLOYED
from tests.contract.docs.walker import Reader, Rule

GUIDE = ROOT / "docs" / "migrate-from-accelerate.md"
USERS = [
    ("Ada", "Ada@Example.COM", "correct horse battery staple"),
    ("Bob", "bob@example.com", "a"),
    # NFD, which another keyboard may send.
    ("Zo\u00eb", "zoe@example.com", "Zoe\u0308s Passwort"),
]


def rules(url: str) -> list[Rule]:
    """Return the rules for the guide's commands."""
    return [
        Rule(r"read -rs DATABASE_URL && export DATABASE_URL", stdin=f"{url}\n"),
        Rule(r"pg_dump .*", "not", "the wheel that Postgres comes from has no pg_dump"),
        Rule(r"make migrate ARGS='--baseline 20261122000000_init'", prints="recorded as applied  20261122000000_init"),
        Rule(r"make migrate", prints="applied .*least_privilege"),
        Rule(r"make setup"),
        Rule(r"export PATH=.*"),
        Rule(r"npx wrangler (login|secret put .*|tail .*)", "exists"),
        Rule(r"(pywrangler deploy .*)", more="--dry-run", prints="--dry-run: exiting now"),
        Rule(r"npx wrangler deploy --dry-run .*", prints="--dry-run: exiting now"),
        Rule(r"curl .*", "not", DEPLOYED),
        Rule(r"make adopt ARGS=--dry-run", prints="would do: 3 looked at, 3 hashed, 1 address changed"),
        Rule(r"make adopt", prints="done: 3 looked at, 3 hashed, 1 address changed"),
    ]


def test_the_guide_can_be_followed(tmp_path: Path) -> None:
    """Each command works in order, exists, or has a reason not to be run; the users are kept and can log in.

    The JavaScript of docs/passwords.md verifies their hashes; it returns null for plaintext and false for a wrong
    password.
    """
    script = tmp_path / "verify.mjs"
    script.write_text(next(step.text for step in steps(ROOT / "docs" / "passwords.md") if step.language == "js"))
    with postgres.running(tmp_path / "pg") as server, psycopg.connect(server.url(), autocommit=True) as db:
        db.execute(history.read_folder(migrate.FOLDER)[0].script.encode())
        for user in USERS:
            db.execute('INSERT INTO "User" (name, email, password) VALUES (%s, %s, %s)', user)
        reader = Reader(tmp_path, rules(server.url()), {})
        for step in steps(GUIDE):
            if step.language == "sql":
                db.execute(step.text.encode())
            else:
                assert step.language == "sh"
                reader.follow(step)
        assert reader.used == set(reader.rules)
        rows = db.execute('SELECT id, name, email, password FROM "User" ORDER BY id').fetchall()
    assert [row[:3] for row in rows] == [
        (number, name, email.lower()) for number, (name, email, _) in enumerate(USERS, 1)
    ]
    for (_, _, typed), (*_, stored) in zip(USERS, rows, strict=True):
        assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert verify(script, typed, stored) == "true"
        assert verify(script, typed + "x", stored) == "false"
        assert verify(script, typed, typed) == "null"


def verify(script: Path, password: str, stored: str) -> str:
    """Call the guide's function `verify`."""
    call = f"import('{script}').then((it) => console.log(it.verify(...{json.dumps([password, stored])})))"
    command = [str(Path(sys.executable).with_name("node")), "-e", call]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout.strip()
