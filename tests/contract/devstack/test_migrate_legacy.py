"""`make migrate` on a "User" table of another application: sign-ups work afterwards, or no migration is applied."""

from __future__ import annotations

import re

import psycopg
import pytest

from devstack.migrate import history
from devstack.migrate import migrations as migrate
from devstack.setup.bootstrap import ROOT
from signup.registration.user_store import SIGN_UP
from tests.fakes import stored

INIT = "20261122000000_init"
TABLE = """
    CREATE TABLE "User" (id SERIAL PRIMARY KEY, name TEXT NOT NULL, email TEXT NOT NULL, password TEXT NOT NULL);
    CREATE UNIQUE INDEX "User_email_key" ON "User"(email);
"""
RETYPE = 'ALTER TABLE "User" ALTER name TYPE {0}, ALTER email TYPE {0}, ALTER password TYPE {0}'
OLD_USER = "INSERT INTO \"User\" (name, email, password) VALUES ('Ada', 'Ada@Example.com', 'in the clear')"
PASSWORD = "$scrypt$ln=14,r=8,p=5$" + "a" * 22 + "$" + "b" * 43
TRIGGER = """
    CREATE FUNCTION f() RETURNS TRIGGER LANGUAGE plpgsql AS 'BEGIN {}; END';
    CREATE TRIGGER t BEFORE INSERT ON "User" FOR EACH ROW EXECUTE FUNCTION f()
"""
POLICY = """
    ALTER TABLE "User" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY, OWNER TO not_all_rows;
    CREATE POLICY p ON "User" USING (false) WITH CHECK (true)
"""
DEFERRED = """
    CREATE TABLE team (id INT PRIMARY KEY);
    ALTER TABLE "User" ADD team INT NOT NULL DEFAULT 1;
    ALTER TABLE "User" ADD FOREIGN KEY (team) REFERENCES team DEFERRABLE INITIALLY DEFERRED NOT VALID
"""
IMPORTED = """
    INSERT INTO "User" (id, name, email, password) SELECT n, n, n || '@example.com', 'x' FROM generate_series(2, 20) n
"""
UNOWNED = IMPORTED + """; CREATE SEQUENCE s; ALTER TABLE "User" ALTER id SET DEFAULT nextval('s')"""
TWICE = """DROP INDEX "User_email_key"; INSERT INTO "User" SELECT 2, name, email, password FROM "User\""""


def sign_up(db: psycopg.Connection, email: str, key: str = "01", name: str = "Ada") -> tuple[object, ...] | None:
    """Run the Worker's statement; return the id, name, address, creation time and hash, or None for a taken address."""
    parameters = [*stored(name=name, email=email), PASSWORD, key * 32]
    row = psycopg.RawCursor(db).execute(SIGN_UP.encode(), parameters).fetchone()
    assert row is not None
    assert row[0] == key * 32
    return (*row[1:4], *row[-2:]) if row[1] is not None else None


@pytest.mark.parametrize(
    "change",
    [
        "",
        RETYPE.format("VARCHAR(255)"),
        RETYPE.format("CHAR(255)"),
        'ALTER TABLE "User" ADD "updatedAt" TIMESTAMP(3) NOT NULL',
        "ALTER TABLE \"User\" ADD updated_at TIMESTAMPTZ NOT NULL, ADD age INT, ADD role TEXT NOT NULL DEFAULT 'user'",
        'CREATE EXTENSION citext; ALTER TABLE "User" ALTER email TYPE CITEXT',
        'CREATE SCHEMA ext; CREATE EXTENSION citext SCHEMA ext; ALTER TABLE "User" ALTER email TYPE ext.CITEXT',
        'ALTER TABLE "User" ALTER id TYPE BIGINT; ALTER SEQUENCE "User_id_seq" AS BIGINT RESTART 5000000000',
        'ALTER TABLE "User" ALTER id TYPE SMALLINT',
        'ALTER TABLE "User" ALTER id DROP DEFAULT; ALTER TABLE "User" ALTER id ADD GENERATED ALWAYS AS IDENTITY',
        'ALTER TABLE "User" ADD created_at TIMESTAMP(3) NOT NULL DEFAULT CURRENT_TIMESTAMP',
        'ALTER TABLE "User" ADD address TEXT, ADD violated TEXT, ADD options TEXT, ADD entry TEXT',
        IMPORTED,
        'ALTER TABLE "User" ALTER password DROP NOT NULL, ALTER email DROP NOT NULL',
        'DROP INDEX "User_email_key"; CREATE UNIQUE INDEX users_email_unique ON "User"(email)',
        'DROP INDEX "User_email_key"; ALTER TABLE "User" ADD CONSTRAINT "User_email_key" UNIQUE (email)',
        'CREATE TYPE "Role" AS ENUM (\'USER\'); ALTER TABLE "User" ADD role "Role" NOT NULL DEFAULT \'USER\'',
    ],
)
def test_sign_ups_work_with_compatible_tables(url: str, change: str) -> None:
    """The values fit the column types and are returned as text; addresses are unique without regard to case."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("SET timezone = 'Asia/Tokyo'")
        db.execute(TABLE.encode())
        db.execute(change.encode())
        migrate.baseline(url, INIT)
        migrate.migrate(url)
        if change != IMPORTED:
            db.execute(OLD_USER)
            # The address is also taken if the old application writes the row after the migration.
            assert sign_up(db, "ada@example.com") is None
        created = sign_up(db, "bob@example.com")
        assert created is not None
        assert (created[1:3], created[4]) == (("Ada", "bob@example.com"), None)
        now = db.execute("SELECT to_char(now() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI')").fetchone()
        assert now is not None
        assert str(created[3])[:16] in (now[0], f"{now[0][:15]}{(int(now[0][15]) - 1) % 10}")
        assert sign_up(db, "bob@example.com") == (*created[:4], PASSWORD)
        if "created_at TIMESTAMP" in change:
            # Prisma stores UTC in a column without a time zone.
            is_utc = """SELECT abs(extract(epoch FROM created_at - (now() AT TIME ZONE 'UTC'))) < 60
                        FROM "User" WHERE email = 'bob@example.com'"""
            assert db.execute(is_utc).fetchone() == (True,)
        assert sign_up(db, "bob@example.com", "02") is None
        assert migrate.migrate(url) == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ('ALTER TABLE "User" ALTER id DROP DEFAULT, ALTER id TYPE UUID USING gen_random_uuid()', '"id" is uuid'),
        ('ALTER TABLE "User" ALTER id DROP DEFAULT, ALTER id TYPE TEXT', '"id" is text'),
        ('ALTER TABLE "User" ALTER id DROP DEFAULT', '"id" has no default: ALTER TABLE'),
        ('ALTER TABLE "User" DROP CONSTRAINT "User_pkey"', '"id" may be NULL or duplicate'),
        ('ALTER TABLE "User" ADD role TEXT NOT NULL', '"role" is required and has no default: ALTER TABLE'),
        (
            'ALTER TABLE "User" ALTER password TYPE VARCHAR(60)',
            '"password" holds 60 characters, but needs 128: ALTER',
        ),
        ('ALTER TABLE "User" ALTER email TYPE VARCHAR(100)', '"email" holds 100 characters'),
        ('ALTER TABLE "User" ALTER name TYPE VARCHAR(50)', '"name" holds 50 characters'),
        ("ALTER TABLE \"User\" ALTER password TYPE BYTEA USING ''", '"password" is bytea, not text'),
        ('ALTER TABLE "User" ADD created_at DATE DEFAULT now()', '"created_at" is date, not a timestamp'),
        ('ALTER TABLE "User" ADD created_at TIMESTAMP NOT NULL', '"created_at" has no default: ALTER TABLE'),
        ('ALTER TABLE "User" ADD idempotency_key TEXT', 'a column "idempotency_key" already'),
        ('ALTER TABLE "User" RENAME TO users', 'no table "User".* the users are in "users"'),
        ('ALTER TABLE "User" RENAME password TO hash', "no column password"),
        ('ALTER TABLE "User" RENAME TO users; CREATE VIEW "User" AS SELECT * FROM users', "not a table"),
        ('DROP INDEX "User_email_key"; CREATE INDEX "User_email_key" ON "User"(email)', "not a unique index"),
        (
            'DROP INDEX "User_email_key"; CREATE UNIQUE INDEX "User_email_key" ON "User"(email, name)',
            "not a unique index",
        ),
        (
            'DROP INDEX "User_email_key"; CREATE UNIQUE INDEX "User_email_key" ON "User"(email) WHERE id > 5',
            "not a unique index",
        ),
    ],
)
def test_an_incompatible_table_is_refused_before_anything_is_recorded(url: str, change: str, reason: str) -> None:
    """The error of the baseline names the column, index or table, and no history table is created."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(TABLE.encode())
        db.execute(change.encode())
        with pytest.raises(migrate.MigrationError, match=reason):
            migrate.baseline(url, INIT)
        assert db.execute("SELECT to_regclass('_prisma_migrations')").fetchone() == (None,)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ('ALTER TABLE "User" ADD CONSTRAINT short CHECK (length(password) <= 60)', '"short", or widen it'),
        (TRIGGER.format("RETURN NULL"), 'trigger or rule of "User" discards new rows'),
        (TRIGGER.format("NEW.email = upper(NEW.email); RETURN NEW"), "does not return the user"),
        (TRIGGER.format("NEW.idempotency_key = NULL; RETURN NEW"), "does not find its user"),
        (POLICY, "row-level security"),
        (DEFERRED, "foreign key"),
        (UNOWNED, '"User_pkey": .* sequence'),
        (TWICE, "_sign_up failed.*23505"),
    ],
)
def test_the_rehearsal_finds_obstacles_that_the_baseline_does_not_find(url: str, change: str, reason: str) -> None:
    """A constraint, trigger, policy, sequence or duplicate address is reported, and no migration is applied."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DROP ROLE IF EXISTS not_all_rows")
        db.execute("CREATE ROLE not_all_rows LOGIN PASSWORD 'not_all_rows'")
        db.execute("GRANT CREATE ON SCHEMA public TO not_all_rows")
        db.execute(TABLE.encode())
        db.execute(OLD_USER)
        db.execute(change.encode())
        if "OWNER TO" in change:
            url = psycopg.conninfo.make_conninfo(url)
            parts = psycopg.conninfo.conninfo_to_dict(url)
            url = f"postgres://not_all_rows:not_all_rows@{parts['host']}:{parts['port']}/{parts['dbname']}"
        migrate.baseline(url, INIT)
        with pytest.raises(migrate.MigrationError, match=reason) as caught:
            migrate.migrate(url)
        assert "ada@" not in str(caught.value).lower()
        assert db.execute("SELECT migration_name FROM _prisma_migrations").fetchall() == [(INIT,)]
        assert db.execute("SELECT to_regprocedure('sign_up(text, text, text, text)')").fetchone() == (None,)
        db.execute("DROP OWNED BY not_all_rows CASCADE")
        db.execute("DROP ROLE not_all_rows")


def test_a_table_that_became_incompatible_is_refused_by_the_next_run(url: str) -> None:
    """Each run checks the table, even if there is nothing to apply, and reports the obstacle."""
    migrate.migrate(url)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute('DROP INDEX "User_email_key"')
        with pytest.raises(migrate.MigrationError, match="CREATE UNIQUE INDEX"):
            migrate.migrate(url)
        db.execute('CREATE UNIQUE INDEX "User_email_key" ON "User"(email)')
        db.execute('ALTER TABLE "User" ADD role TEXT NOT NULL')
        with pytest.raises(migrate.MigrationError, match='"role" is required'):
            migrate.migrate(url)


def test_a_conflict_in_another_unique_index_is_an_error_and_not_a_taken_address(url: str) -> None:
    """The error names the violated index, here one of the application or the primary key, and quotes no row."""
    migrate.migrate(url)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute('CREATE UNIQUE INDEX one_of_each ON "User"(name)')
        created = sign_up(db, "ada@example.com")
        assert created is not None
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            sign_up(db, "eve@example.com", "02")
        assert caught.value.diag.constraint_name == "one_of_each"
        assert "Ada" not in f"{caught.value}{caught.value.diag.message_detail}"
        db.execute(IMPORTED.encode())
        db.execute("""SELECT setval('"User_id_seq"', 1, false)""")
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            sign_up(db, "bob@example.com", "03", "Bob")
        assert caught.value.diag.constraint_name == "User_pkey"
        assert sign_up(db, "ada@example.com", "04", "Eve") is None


def test_the_migration_for_older_tables_keeps_the_function_and_its_grants(url: str) -> None:
    """If ids are integers, `sign_up` keeps its object id, so prepared statements remain valid."""
    migrations = history.read_folder(migrate.FOLDER)
    with psycopg.connect(url, autocommit=True) as db:
        for migration in migrations[:3]:
            db.execute(migration.script.encode())
        before = db.execute(
            "SELECT 'sign_up'::regproc::oid, proacl::TEXT FROM pg_proc WHERE proname = 'sign_up'"
        ).fetchone()
        db.execute(migrations[3].script.encode())
        assert db.execute("SELECT oid, proacl::TEXT FROM pg_proc WHERE proname = 'sign_up'").fetchone() == before


def test_the_old_application_uses_a_view_after_a_mapped_table_was_renamed(url: str) -> None:
    """docs/migrate-from-accelerate.md has statements for `@@map` that create a view for the old application."""
    guide = (ROOT / "docs" / "migrate-from-accelerate.md").read_text()
    statements = re.findall("```sql\n(BEGIN;.*?)```", guide, re.DOTALL)[0]
    with psycopg.connect(url, autocommit=True) as db:
        mapped = TABLE.replace('"User"', "users").replace("name TEXT", "full_name TEXT")
        db.execute(mapped.replace("User_email_key", "users_email_key").encode())
        db.execute(statements.encode())
        migrate.baseline(url, INIT)
        migrate.migrate(url)
        insert = (
            "INSERT INTO users (full_name, email, password) VALUES ('Bob', 'Bob@example.com', 'x') RETURNING full_name"
        )
        assert db.execute(insert).fetchone() == ("Bob",)
        assert sign_up(db, "bob@example.com") is None
        assert sign_up(db, "eve@example.com") is not None
        assert db.execute("SELECT count(*) FROM users").fetchone() == (2,)
