"""Adopt the tables of other applications: no password is lost, and remaining clear-text passwords are reported."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import argon2
import psycopg
import pytest

from devstack.kdf import cpython_kdf
from devstack.migrate import adopt, adoption, user_rows
from devstack.migrate.stored_passwords import Decisions
from devstack.migrate.user_rows import AdoptionError
from devstack.setup.bootstrap import ROOT
from signup.hashing.password_hasher import Hasher, normalise_password
from signup.hashing.profiles import CHEAP

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from devstack.migrate.adoption import Outcome
    from devstack.postgres import server as postgres

HEX = "0123456789abcdef" * 8
BCRYPT = "$2b$12$" + "abcdefghijklmnopqrstuv" + "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p"
HASHES = [
    "pbkdf2-sha256$100000$c2FsdHNhbHQ$" + "a" * 43,
    "pbkdf2_sha256$870000$saltsaltsalt$" + "a" * 43 + "=",
    f"{HEX[:32]}:{HEX}",
    f"scrypt:32768:8:1$saltsalt${HEX}",
    "{bcrypt}" + BCRYPT.replace("$2b$", "$2a$"),
    "$6$saltsalt$" + "a" * 86,
    "$argon2i$m=4096,t=3,p=1$" + "a" * 22 + "$" + "b" * 43,
    HEX[:64],
    BCRYPT + "\n",
    BCRYPT,
    "$argon2id$v=19$m=19456,t=2,p=1$" + "a" * 22 + "$" + "b" * 43,
    "$scrypt$ln=14,r=8,p=5$" + "a" * 22 + "$" + "b" * 43,
    "$P$B" + "a" * 30,
    "{SSHA512}" + "a" * 96,
    "AQAAAAEAACcQAAAAE" + "a1B2" * 16 + "aaa",
]
CLEAR = [
    "correct horse battery staple",
    "a",
    " spaces at both ends ",
    "quote ' and \" and \\",
    "Zoe\u0308s Passwort",
    "\u5bc6\u7801\u5f88\u957f\u5f88\u957f",
    "$ecret",
    "a line\nbreak",
]
MISSING = ["", None]
TABLE = 'CREATE TABLE "User" (id SERIAL PRIMARY KEY, name TEXT, email TEXT UNIQUE, password TEXT)'
CHEAP_HASHER = Hasher(cpython_kdf, CHEAP)
# Kill ten runs, each after a random number of batches or after a random time of up to a second.
KILL_TEN_RUNS = """
import os, random, signal, sys, time
from devstack.migrate import adopt
from tests.contract.devstack.test_adopt_legacy import CHEAP_HASHER
generator, killed = random.Random(17), 0
while killed < 10:
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        adopt.adopt(sys.argv[1], hasher=CHEAP_HASHER, report=lambda line: os.write(writer, b"."))
        os._exit(0)
    os.close(writer)
    if killed % 3:
        for _ in range(generator.randrange(1, 12)):
            os.read(reader, 1)
    else:
        time.sleep(generator.random())
    os.kill(child, signal.SIGKILL)
    killed += os.waitpid(child, 0)[1] == signal.SIGKILL
    os.close(reader)
"""


def verifies(password: str, stored: str | None) -> bool:
    """Return True if an independent implementation of Argon2 accepts the password, or raise its exception."""
    return argon2.PasswordHasher().verify(str(stored), password)


def fill(db: psycopg.Connection, passwords: Iterable[str | None], table: str = TABLE) -> None:
    """Create a table with a user for each of these stored passwords."""
    db.execute(table.encode())
    with db.cursor() as cursor:
        insert = 'INSERT INTO "User" (name, email, password) VALUES (%s, %s, %s)'
        cursor.executemany(insert, [("x", f"{n}@example.com", each) for n, each in enumerate(passwords, 1)])


def read_passwords(db: psycopg.Connection) -> list[str | None]:
    """Return the stored passwords, ordered by user id."""
    return [password for (password,) in db.execute('SELECT password FROM "User" ORDER BY id')]


def comparable_parts(outcome: Outcome) -> tuple[object, ...]:
    """Return the parts of an outcome that a dry run and a real run have in common."""
    ids = (outcome.taken, outcome.invalid, outcome.without_address)
    return (outcome.counts, outcome.shapes, *ids)


def run(url: str, **options: object) -> Outcome:
    """Run the adoption with a fast hash profile."""
    return adopt.adopt(url, hasher=CHEAP_HASHER, **options)  # type: ignore[arg-type]


def test_hashes_of_common_formats_are_kept(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Hashes and missing passwords do not change; the dry run lists the formats but no values."""
    values = [*HASHES, *CLEAR, *MISSING]
    with psycopg.connect(url, autocommit=True) as db:
        fill(db, values)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("DATABASE_URL", url)
            assert adopt.main(["--dry-run"]) == 0
        output = capsys.readouterr().out
        assert f"users checked: {len(values)}; passwords to hash: {len(CLEAR)}; addresses to change: 0" in output
        assert {("2", "bcrypt", "kept"), ("1", "empty", "kept")} < {tuple(line.split()) for line in output.splitlines()}
        assert not [value for value in values if value and len(value) > 4 and value in output]
        dry = run(url, write=False)
        assert read_passwords(db) == values
        outcome = run(url)
        after = read_passwords(db)
    assert comparable_parts(outcome) == comparable_parts(dry)
    assert after[: len(HASHES)] == HASHES
    assert after[-2:] == MISSING
    assert all(str(value).startswith("$argon2id$v=19$m=8,") for value in after[len(HASHES) : -2])
    assert outcome.clear_text_left == 0


def test_a_possible_hash_stops_the_run_until_the_operator_decides(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is written until options keep or hash all values that may be hashes of an unknown format.

    Options for a known format, and contradictory options, are usage errors.
    """
    values = [HEX[:32], HEX[:40], "{noop}secret", "clear text"]
    monkeypatch.setenv("DATABASE_URL", url)
    with psycopg.connect(url, autocommit=True) as db:
        fill(db, values)
        db.execute("""UPDATE "User" SET email = 'ADA@example.com' WHERE id = 1""")
        for options in ([], ["--dry-run"], ["--leave", "unknown-hex"]):
            assert adopt.main(options) == 1
            assert "--leave unknown-braces" in capsys.readouterr().err
            assert read_passwords(db) == values
        assert run(url, write=False, decisions=Decisions(frozenset({"unknown-hex"}))).counts["hashed"] == 1
        decisions = Decisions(frozenset({"unknown-braces"}), frozenset({"unknown-hex"}))
        dry = run(url, write=False, decisions=decisions)
        assert comparable_parts(run(url, decisions=decisions)) == comparable_parts(dry)
        after = read_passwords(db)
        assert after[2] == "{noop}secret"
        assert [verifies(str(value), after[n]) for n, value in enumerate(values) if n != 2] == [True] * 3
        assert run(url, decisions=decisions).counts["hashed"] == 0
    for invalid_options in (["--leave", "bcrypt"], ["--leave", "unknown-hex", "--clear-text", "unknown-hex"]):
        with pytest.raises(SystemExit, match="2"):
            adopt.main(invalid_options)


@pytest.mark.parametrize(
    ("id_type", "ids"),
    [
        ("INT", [-3, 0, 5, 7]),
        ("BIGINT", [-(2**40), 0, 9, 2**62]),
        ("UUID", [f"{n:032x}" for n in (0, 1, 2, 2**100)]),
        ("TEXT", ["ckz1", "ckz10", "ckz2", "\u00fcber, 'x'"]),
        ("CHAR(8)", ["a", "b", "c", "d"]),
    ],
)
def test_rows_with_integer_uuid_or_text_ids_are_adopted(
    url: str, id_type: str, ids: Sequence[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With pages of two rows, no row is skipped, whatever the sort order of the id's type."""
    monkeypatch.setattr(user_rows, "PAGE", 2)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(TABLE.replace("SERIAL", id_type).encode())
        for number, each in enumerate(ids):
            insert = 'INSERT INTO "User" (id, email, password) VALUES (%s, %s, %s)'
            db.execute(insert, [each, f"A{number}@example.com", f"password {number}"])
        outcome = run(url)
        verified = [verifies(f"password {n}", value) for n, value in enumerate(read_passwords(db))]
    assert outcome.counts == {"checked": 4, "hashed": 4, "addresses changed": 4}
    assert verified == [True] * 4


@pytest.mark.parametrize("email_type", ["TEXT", "CITEXT", "CHAR(60)", "VARCHAR(255)"])
def test_the_dry_run_reports_the_same_addresses_as_the_run(url: str, email_type: str) -> None:
    """If several addresses have one canonical form, the user with the lowest id gets it, unless a user already has it.

    Users without an address are reported.
    """
    addresses = [
        "Ada@example.com",
        "plain@example.com",
        "zoe@B\u00dcCHER.example",
        "zoe@xn--bcher-kva.example",
        "eve@example.com",
        None,
        "no-address",
    ]
    # A unique column of type citext does not accept these duplicates.
    addresses += [] if email_type == "CITEXT" else ["ADA@example.com", "EVE@example.com"]
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("CREATE EXTENSION IF NOT EXISTS citext")
        fill(db, [BCRYPT] * len(addresses), TABLE.replace("email TEXT", f"email {email_type}"))
        for number, address in enumerate(addresses, 1):
            db.execute('UPDATE "User" SET email = %s WHERE id = %s', [address, number])
        dry = run(url, write=False)
        outcome = run(url)
        after = [address for (address,) in db.execute('SELECT email::TEXT FROM "User" ORDER BY id')]
    assert after[:7] == ["ada@example.com", *addresses[1:7]]
    assert comparable_parts(outcome) == comparable_parts(dry)
    assert outcome.counts == Counter({"checked": len(addresses), "addresses changed": 1})
    assert (outcome.taken, outcome.without_address) == (["3"] if email_type == "CITEXT" else ["3", "8", "9"], ["6"])


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ('CREATE RULE r AS ON UPDATE TO "User" DO INSTEAD NOTHING', "trigger, rule or policy"),
        ('CREATE TRIGGER t BEFORE UPDATE ON "User" FOR EACH ROW EXECUTE FUNCTION swallow()', "trigger, rule or policy"),
        ('CREATE TRIGGER t BEFORE UPDATE ON "User" FOR EACH ROW EXECUTE FUNCTION keep()', "trigger, rule or policy"),
        ('ALTER TABLE "User" DROP CONSTRAINT "User_pkey"', '"id" may be NULL or duplicate'),
        ('ALTER TABLE "User" DROP CONSTRAINT "User_email_key"', '"email" has no unique index'),
        ('ALTER TABLE "User" ALTER password TYPE VARCHAR(60)', '"password" holds 60 characters'),
        ('ALTER TABLE "User" RENAME password TO secret', "no column password"),
        ('ALTER TABLE "User" RENAME TO users; CREATE VIEW "User" AS SELECT * FROM users', "not a table"),
        ('ALTER TABLE "User" RENAME TO users', 'the users are in "users"'),
    ],
)
@pytest.mark.parametrize("write", [True, False])
def test_a_table_that_cannot_be_changed_safely_is_refused(url: str, statement: str, reason: str, write: bool) -> None:
    """A run and a dry run fail, and the error states the reason."""
    with psycopg.connect(url, autocommit=True) as db:
        for name, body in (("swallow", "RETURN NULL"), ("keep", "NEW.password = OLD.password; RETURN NEW")):
            db.execute(f"CREATE FUNCTION {name}() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN {body}; END'".encode())
        fill(db, ["clear"])
        db.execute(statement.encode())
        with pytest.raises(AdoptionError, match=reason):
            run(url, write=write)


def test_row_level_security_that_hides_rows_is_refused(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If row-level security hides rows from the owner, the run fails instead of processing no rows."""
    with psycopg.connect(url, autocommit=True) as db:
        fill(db, ["clear"])
        db.execute("CREATE ROLE hidden_rows LOGIN PASSWORD 'hidden_rows'")
        db.execute('ALTER TABLE "User" OWNER TO hidden_rows, ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY')
        login = psycopg.conninfo.conninfo_to_dict(url)
        monkeypatch.setenv(
            "DATABASE_URL", f"postgres://hidden_rows:hidden_rows@{login['host']}:{login['port']}/{login['dbname']}"
        )
        assert adopt.main([]) == 1
        db.execute("DROP OWNED BY hidden_rows")
        db.execute("DROP ROLE hidden_rows")
    assert "row-level security" in capsys.readouterr().err


def test_a_value_that_is_not_utf_8_is_refused(
    server: postgres.Postgres, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database with the encoding SQL_ASCII may contain any bytes. The run fails before anything is written."""
    with psycopg.connect(server.url(), autocommit=True) as db:
        db.execute("CREATE DATABASE bytes ENCODING 'SQL_ASCII' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0")
    monkeypatch.setenv("DATABASE_URL", server.url("bytes"))
    with psycopg.connect(server.url("bytes"), autocommit=True) as db:
        fill(db, ["clear", "second"])
        db.execute("""UPDATE "User" SET password = E'canary \\377' WHERE id = 2""")
        assert adopt.main([]) == 1
        assert db.execute('SELECT password FROM "User" WHERE id = 1').fetchone() in (("clear",), (b"clear",))
    output = capsys.readouterr().err
    assert ("not UTF-8" in output, "canary" in output) == (True, False)


def test_rows_that_the_database_refuses_are_skipped_and_reported(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a constraint prevents the update of a row, its password stays clear text, and the exit status is 1."""
    monkeypatch.setenv("DATABASE_URL", url)
    with psycopg.connect(url, autocommit=True) as db:
        fill(db, ["first", "second", "third"])
        db.execute('ALTER TABLE "User" ADD CHECK (id <> 2 OR length(password) < 20)')
        assert adopt.main([]) == 1
        assert [value == "second" for value in read_passwords(db)] == [False, True, False]
    captured = capsys.readouterr()
    assert "users checked: 3; passwords hashed: 2" in captured.out
    assert ("ids 2\n" in captured.err, "passwords that are still clear text: 1" in captured.err) == (True, True)


def test_concurrent_runs_share_the_work(url: str) -> None:
    """Both runs hash passwords, and no password is hashed twice."""
    count = 12 * adoption.BATCH
    barrier = threading.Barrier(2, timeout=20)
    waited_threads: set[int] = set()

    def wait_after_first_batch(_: str) -> None:
        # After its first batch, each run waits for the first batch of the other one.
        if threading.get_ident() not in waited_threads:
            waited_threads.add(threading.get_ident())
            barrier.wait()

    with psycopg.connect(url, autocommit=True) as db, ThreadPoolExecutor(2) as pool:
        fill(db, (f"password {n}" for n in range(count)))
        outcomes = [each.result() for each in [pool.submit(run, url, report=wait_after_first_batch) for _ in range(2)]]
        verified = [verifies(f"password {n}", value) for n, value in enumerate(read_passwords(db))]
    hashed = [outcome.counts["hashed"] for outcome in outcomes]
    assert sum(hashed) == count
    assert min(hashed) >= adoption.BATCH
    assert [outcome.clear_text_left for outcome in outcomes] == [0, 0]
    assert all(verified)


def test_a_locked_row_is_hashed_in_the_last_pass(url: str) -> None:
    """The run hashes the passwords of all other rows first, and then waits for the lock."""
    count = 2 * adoption.BATCH
    count_clear_text = """SELECT count(*) FROM "User" WHERE password NOT LIKE '$argon2id$%'"""
    with psycopg.connect(url, autocommit=True) as db, ThreadPoolExecutor(1) as pool, psycopg.connect(url) as other:
        fill(db, (f"password {n}" for n in range(count)))
        other.execute('SELECT FROM "User" WHERE id = 1 FOR UPDATE')
        running = pool.submit(run, url)
        deadline = time.monotonic() + 20
        while db.execute(count_clear_text).fetchone() != (1,):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert not running.done()
        other.rollback()
        outcome = running.result(20)
    assert (outcome.counts["hashed"], outcome.clear_text_left) == (count, 0)


def test_ten_thousand_users_survive_ten_killed_runs(url: str) -> None:
    """No hash changes, no clear text remains, no user is lost, and the last run does what the dry run reported."""
    samples = [*HASHES, *CLEAR, *MISSING]
    assert len(samples) == 25
    values = [samples[n % 25] for n in range(10_000)]
    with psycopg.connect(url, autocommit=True) as db:
        fill(db, [])
        with db.cursor() as cursor, cursor.copy('COPY "User" (name, email, password) FROM STDIN') as copy:
            for number, value in enumerate(values):
                copy.write_row(("x", f"{'user' if number % 10 else 'User'}{number}@example.com", value))
        first = run(url, write=False)
        assert (first.counts["checked"], first.counts["hashed"]) == (10_000, 400 * len(CLEAR))
        command = [sys.executable, "-c", KILL_TEN_RUNS, url]
        subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": "src"}, check=True)
        dry = run(url, write=False)
        assert 0 < dry.counts["hashed"] < first.counts["hashed"]
        last = run(url)
        after = read_passwords(db)
        addresses = {address for (address,) in db.execute('SELECT email FROM "User"')}
    assert comparable_parts(last) == comparable_parts(dry)
    assert (last.clear_text_left, len(after), addresses) == (0, 10_000, {f"user{n}@example.com" for n in range(10_000)})
    changed = Counter(samples.index(old) for old, new in zip(values, after, strict=True) if old != new)
    assert changed == {samples.index(value): 400 for value in CLEAR}
    # Verifying one password of each kind is enough, because the same code hashed the others.
    assert all(verifies(normalise_password(str(value)), after[samples.index(value)]) for value in CLEAR)
