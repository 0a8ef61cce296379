"""`python -m devstack.users` on a real Postgres, with the project's table and with tables of other applications."""

from __future__ import annotations

import json
import os
import pty
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
import pytest

from devstack.migrate import migrations as migrate
from devstack.setup.bootstrap import ROOT
from devstack.users import table
from devstack.users.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    Run = Callable[..., tuple[int, str, str]]

HASH = "$argon2id$v=19$m=19456,t=2,p=1$" + "a" * 22 + "$" + "b" * 43
# A table of another application. The types of its ids and addresses are parameters.
LEGACY = """
CREATE TABLE "User" (
    id {id_type} PRIMARY KEY, email {email_type} UNIQUE, "fullName" TEXT, password TEXT, "resetToken" TEXT,
    settings JSONB, credential TEXT, "updatedAt" TIMESTAMP NOT NULL DEFAULT '2026-01-02 03:04:05'
)"""


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Return a function that runs the command line on the database and returns exit status, stdout and stderr."""
    monkeypatch.setenv("DATABASE_URL", url)

    def run_command(*arguments: str) -> tuple[int, str, str]:
        capfdbinary.readouterr()
        try:
            status = main(arguments)
        except SystemExit as exc:
            status = int(str(exc.code))
        printed = capfdbinary.readouterr()
        return status, printed.out.decode(), printed.err.decode()

    return run_command


def sign_users_up(url: str, *addresses: str) -> None:
    """Create the project's table, and sign users up with the Worker's function."""
    migrate.migrate(url)
    with psycopg.connect(url, autocommit=True) as db:
        for number, address in enumerate(addresses):
            arguments = [f"User {number}", address, HASH, f"{number:064x}"]
            db.execute("SELECT * FROM sign_up(%s, %s, %s, %s)", arguments)


def create_legacy_table(
    url: str, rows: Iterable[tuple[object, str]], id_type: str = "INT", email_type: str = "TEXT"
) -> None:
    """Create a table of another application with these ids and addresses."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE EXTENSION IF NOT EXISTS citext")
        db.execute(LEGACY.format(id_type=id_type, email_type=email_type).encode())
        insert = """INSERT INTO "User" (id, email, "fullName", password, "resetToken", settings, credential)
            VALUES (%s, %s, 'Ada', 'canary in the clear', 'canary-token',
                jsonb_build_object('login', jsonb_build_object('x', %s::TEXT)), %s)"""
        for identity, address in rows:
            db.execute(insert, [identity, address, HASH, HASH])


def read_ids(url: str) -> list[str]:
    """Return the ids of the remaining users."""
    with psycopg.connect(url) as db:
        return [identity for (identity,) in db.execute('SELECT id::TEXT FROM "User" ORDER BY id')]


def test_users_are_found_exported_and_deleted(url: str, run: Run, tmp_path: Path) -> None:
    """Users are selected by address or id; neither the hash nor the idempotency key is shown.

    An export creates a file that only its owner can read.
    """
    sign_users_up(url, "ada@example.com", "zoe@xn--bcher-kva.example", "eve@example.com")
    for arguments in (("find", "ADA@Example.com"), ("find", "--id", "1")):
        status, out, err = run(*arguments)
        assert (status, err) == (0, "")
        fields = dict(line.split(maxsplit=1) for line in out.splitlines() if line)
        assert fields.items() >= {"id": "1", "name": "User 0", "email": "ada@example.com"}.items()
        assert {"password", "idempotency_key"}.isdisjoint(fields)
    with psycopg.connect(url, autocommit=True) as db:
        options = json.dumps({"terms": "2026-11", "extra": {"plan": "team", "seats": 3}})
        db.execute("SELECT FROM sign_up_recorded('Max', 'max@example.com', %s, %s, %s)", [HASH, "f" * 64, options])
    fields = dict(line.split(maxsplit=1) for line in run("find", "max@example.com")[1].splitlines() if line)
    assert json.loads(fields["extra"]) == {"plan": "team", "seats": 3}
    assert (fields["terms_version"], fields["terms_accepted_at"]) == ("2026-11", fields["created_at"])
    assert run("delete", "--yes", "max@example.com")[0] == 0
    status, out, err = run("export", "zoe@b\u00fccher.example")
    (record,) = map(json.loads, out.splitlines())
    assert (status, record["id"], record["email"]) == (0, 2, "zoe@xn--bcher-kva.example")
    assert err == "exported 1 user; omitted secret columns: password, idempotency_key\n"
    file = tmp_path / "users.jsonl"
    assert run("export", "--output", str(file))[::2] == (0, err.replace("1 user", "3 users"))
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [json.loads(line)["id"] for line in file.read_text().splitlines()] == [1, 2, 3]
    # An existing file is not replaced.
    assert run("export", "--output", str(file))[0] == 1
    for printed in (out, file.read_text()):
        assert "argon2" not in printed
        assert "0" * 30 not in printed
    assert run("delete", "--yes", "Eve@example.com") == (0, "deleted  id 3\n", "")
    assert read_ids(url) == ["1", "2"]
    # The address is available again.
    sign_users_up(url, "ada@example.com", "zoe@xn--bcher-kva.example", "eve@example.com")
    assert len(read_ids(url)) == 3


def test_a_value_is_shown_on_one_line(url: str, run: Run) -> None:
    """A value cannot look like another column or control the terminal."""
    create_legacy_table(url, [(1, "ada@example.com")])
    with psycopg.connect(url, autocommit=True) as db:
        db.execute('UPDATE "User" SET "fullName" = %s', ["Ada\n  id  7\x1b[2J \u202e \u00eb"])
    _, out, _ = run("find", "--id", "1")
    assert [line.split()[0] for line in out.splitlines() if line] == [
        *("id", "email", "fullName", "settings", "credential", "updatedAt"),
    ]
    assert "  fullName    Ada\\n  id  7\\x1b[2J \\u202e \u00eb\n" in out


def test_errors_have_a_message_and_an_exit_status(url: str, run: Run) -> None:
    """The status is 1 if no user matches, and 2 for a usage error; nothing is deleted."""
    sign_users_up(url, "ada@example.com")
    cases: list[tuple[tuple[str, ...], int, str]] = [
        (("find", "nobody@example.com"), 1, "there is no user with this address"),
        (("find", "' OR true --"), 1, "there is no user with this address"),
        (("find", "--id", "7"), 1, "there is no user with this id"),
        (("find", "--id", "not-a-number"), 1, "there is no user with this id"),
        (("find", "--id", "9" * 30), 1, "there is no user with this id"),
        (("delete", "--yes", "%"), 1, "there is no user with this address"),
        (("delete", "ada@example.com"), 2, "add --yes"),
        (("delete",), 2, "needs an address, or --id"),
        (("find", "ada@example.com", "--id", "1"), 2, "not both"),
        (("find", "\udcff"), 2, "not in UTF-8"),
        ((), 2, "COMMAND"),
        (("drop",), 2, "invalid choice"),
    ]
    for arguments, status, message in cases:
        exit_status, out, err = run(*arguments)
        assert (exit_status, out, message in err) == (status, "", True), err
    assert read_ids(url) == ["1"]


def test_delete_asks_for_confirmation_on_a_terminal(url: str) -> None:
    """The user and the tables with dependent rows are shown. An empty answer does not delete the user; `yes` does."""
    sign_users_up(url, "ada@example.com")
    with psycopg.connect(url, autocommit=True) as db:
        db.execute('CREATE TABLE "Post" (author INT REFERENCES "User" ON DELETE CASCADE)')
        db.execute('INSERT INTO "Post" VALUES (1)')
    for answer, status, remaining in ((b"\n", 1, ["1"]), (b"yes\n", 0, [])):
        controller, terminal = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "devstack.users", "delete", "ada@example.com"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": "src", "DATABASE_URL": url},
            stdin=terminal,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.write(controller, answer)
        out, err = process.communicate(timeout=60)
        os.close(controller)
        os.close(terminal)
        assert (process.returncode, read_ids(url)) == (status, remaining), err
        assert b"ada@example.com" in out
        assert b'also deleted from: "Post"' in out
        assert b"argon2" not in out + err


@pytest.mark.parametrize(
    ("id_type", "identities"),
    [
        ("BIGINT", [-(2**40), 0, 2**62]),
        ("UUID", [f"00000000-0000-0000-0000-{n:012x}" for n in range(3)]),
        ("TEXT", ["ckz1", "\u00fcber, 'x'", "~; DROP"]),
        ("CHAR(8)", ["a", "b", "c"]),
    ],
)
def test_tables_of_other_applications_work(url: str, run: Run, id_type: str, identities: list[object]) -> None:
    """The tables have ids of other types, addresses as typed, and secrets in columns with other names."""
    addresses = ["Ada@Example.COM", "zoe@B\u00fccher.example", "no-address"]
    create_legacy_table(url, zip(identities, addresses, strict=True), id_type)
    for identity, address in zip(
        identities, ["ada@example.com", "ZOE@xn--bcher-kva.example", "NO-address"], strict=True
    ):
        for selection in ((address,), (f"--id={identity}",)):
            status, out, err = run("export", *selection)
            record = json.loads(out)
            assert (status, str(record["id"]).strip(), record["fullName"]) == (0, str(identity), "Ada")
            assert record["updatedAt"] == "2026-01-02T03:04:05"
            assert (record["credential"], record["settings"]) == ("[removed]", {"login": {"x": "[removed]"}})
            assert "canary" not in out
            assert err.endswith("omitted secret columns: password, resetToken\n")
    assert run("delete", "--yes", "--id", str(identities[1]))[0] == 0
    assert len(read_ids(url)) == 2
    status, _, err = run("verify", "ada@example.com")
    assert (status, "no column" in err, "email_verified_at" in err) == (1, True, True)


@pytest.mark.parametrize("email_type", ["TEXT", "CHAR(60)", "CITEXT"])
def test_addresses_that_differ_in_case_belong_to_different_users(url: str, run: Run, email_type: str) -> None:
    """Both are found, and deleting one of them requires its id. A CITEXT column cannot contain both."""
    create_legacy_table(
        url,
        [(1, "Ada@example.com"), *([] if email_type == "CITEXT" else [(2, "ada@example.com")])],
        email_type=email_type,
    )
    status, out, _ = run("export", "ADA@example.com")
    ids = [json.loads(line)["id"] for line in out.splitlines()]
    assert (status, ids) == (0, [1] if email_type == "CITEXT" else [1, 2])
    if email_type == "CITEXT":
        return
    status, _, err = run("delete", "--yes", "ada@example.com")
    assert (status, err) == (
        1,
        "users: 2 users have this address in different spellings: choose one with --id (1, 2)\n",
    )
    assert run("delete", "--yes", "--id", "1")[0] == 0
    assert read_ids(url) == ["2"]


def test_addresses_with_the_same_upper_case_are_distinct(url: str, run: Run) -> None:
    """The upper case of `ß` is `SS`, and the upper case of a dotless i is `I`."""
    create_legacy_table(url, [(1, "Strasse@example.com"), (2, "IDA@EXAMPLE.COM"), (3, "STRA\u00dfE@example.com")])
    assert run("delete", "--yes", "stra\u00dfe@example.com")[0] == 0
    assert run("delete", "--yes", "stra\u00dfe@example.com")[0] == 1
    assert run("delete", "--yes", "\u0131da@example.com")[0] == 1
    assert read_ids(url) == ["1", "2"]
    assert run("delete", "--yes", "ida@example.com")[0] == 0


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ('CREATE RULE r AS ON DELETE TO "User" DO INSTEAD NOTHING', "rule"),
        ('CREATE TRIGGER t BEFORE DELETE ON "User" FOR EACH ROW EXECUTE FUNCTION swallow()', "trigger, rule or policy"),
        ('CREATE TABLE post (author INT REFERENCES "User"); INSERT INTO post VALUES (1)', 'on table "post"'),
        ('ALTER TABLE "User" DROP CONSTRAINT "User_pkey"', '"id" may be NULL or duplicate'),
        ('ALTER TABLE "User" RENAME email TO mail', "no column email"),
        ('ALTER TABLE "User" RENAME TO users; CREATE VIEW "User" AS SELECT * FROM users', "not a table"),
        ('ALTER TABLE "User" RENAME TO users', 'the users are in "users"'),
    ],
)
def test_a_table_that_prevents_the_command_is_refused(url: str, run: Run, statement: str, reason: str) -> None:
    """The reason is reported and nothing is changed; a table with another name (@@map) is refused too."""
    create_legacy_table(url, [(1, "canary@example.com")])
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE FUNCTION swallow() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'")
        db.execute(statement.encode())
    status, out, err = run("delete", "--yes", "--id", "1")
    assert (status, out, reason in err, "canary" in err) == (1, "", True, False), err
    with psycopg.connect(url) as db:
        tables = db.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname IN ('User', 'users')")
        ((name,),) = tables.fetchall()
        assert db.execute(
            psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(name))
        ).fetchone() == (1,)


def test_an_address_is_recorded_as_verified(url: str, run: Run) -> None:
    """A verification is recorded once and deletes the pending e-mail; deleting a user deletes the user's messages."""
    sign_users_up(url, "ada@example.com", "eve@example.com")
    with psycopg.connect(url, autocommit=True) as db:
        for identity in "12":
            for kind in ("verify_email", "user.created"):
                db.execute("""INSERT INTO "Outbox" (user_id, kind, payload) VALUES (%s, %s, '{}')""", [identity, kind])
        outbox_query = 'SELECT user_id, kind FROM "Outbox" ORDER BY 1, 2'
        assert run("verify", "ADA@example.com") == (0, "verified  id 1\n", "")
        assert run("verify", "ada@example.com") == (0, "already verified  id 1\n", "")
        verified = db.execute(
            "SELECT id FROM \"User\" WHERE email_verified_at > now() - INTERVAL '1 minute'"
        ).fetchall()
        assert verified == [(1,)]
        assert db.execute(outbox_query).fetchall() == [
            ("1", "user.created"),
            ("2", "user.created"),
            ("2", "verify_email"),
        ]
        assert "email_verified_at" in run("find", "--id", "1")[1]
        assert run("delete", "--yes", "--id", "2")[0] == 0
        assert db.execute(outbox_query).fetchall() == [("1", "user.created")]


def test_a_large_table_is_streamed(url: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The records are ordered by id, and all pages are from one snapshot; a closed pipe causes no traceback."""
    sign_users_up(url)
    monkeypatch.setattr(table, "_PAGE", 100)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("""INSERT INTO "User" (name, email, password)
            SELECT repeat('x', 90), n || '@example.com', 'x' FROM generate_series(1, 2000) n""")
    with psycopg.connect(url, autocommit=True) as db:
        users = table.Users(db)
        records = users.records()
        first = json.loads(next(records))
        with psycopg.connect(url, autocommit=True) as other:
            other.execute('DELETE FROM "User" WHERE id > 1000')
        assert [first["id"], *(json.loads(record)["id"] for record in records)] == list(range(1, 2001))
    status, out, _ = run("export")
    assert (status, len(out.splitlines())) == (0, 1000)
    command = f"{sys.executable} -m devstack.users export | head -n 1"
    env = {**os.environ, "PYTHONPATH": "src", "DATABASE_URL": url}
    done = subprocess.run(["/bin/sh", "-c", command], cwd=ROOT, env=env, capture_output=True, check=True)
    assert json.loads(done.stdout)["id"] == 1
    assert done.stderr == b""


def test_row_level_security_that_hides_users_is_an_error(url: str, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is not "there is no user", which would be wrong, and does not contain the password of the URL."""
    create_legacy_table(url, [(1, "ada@example.com")])
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE ROLE hidden_users LOGIN PASSWORD 'canary-password'")
        db.execute('ALTER TABLE "User" OWNER TO hidden_users, ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY')
        login = psycopg.conninfo.conninfo_to_dict(url)
        server = f"{login['host']}:{login['port']}/{login['dbname']}"
        monkeypatch.setenv("DATABASE_URL", f"postgres://hidden_users:canary-password@{server}")
        status, out, err = run("find", "ada@example.com")
        db.execute("DROP OWNED BY hidden_users")
        db.execute("DROP ROLE hidden_users")
    assert (status, out, "row-level security" in err) == (1, "", True)
    monkeypatch.setenv("DATABASE_URL", "prisma://canary-password@example.com")
    status, _, usage_error = run("find", "ada@example.com")
    assert (status, "needs a postgres:// URL" in usage_error) == (2, True)
    assert "canary" not in err + usage_error
