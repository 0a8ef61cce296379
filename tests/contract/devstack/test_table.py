"""The "User" table after all migrations, and the privileges of `signup_worker`."""

from __future__ import annotations

import re

import psycopg
import pytest

from devstack.migrate import history
from devstack.migrate import migrations as migrate
from tests.contract.devstack.conftest import connect_as_worker

HASH = "$scrypt$ln=14,r=8,p=5$c2FsdA$aGFzaA"
VALID_USER = {"name": "Ada", "email": "ada@example.com", "password": HASH, "idempotency_key": b"k" * 32}
INSERT = 'INSERT INTO "User" (name, email, password, idempotency_key) VALUES (%(name)s, %(email)s, %(password)s, '
INSERT += "%(idempotency_key)s) RETURNING id"

COLUMNS = [
    ("id", "integer", "NO", "nextval('\"User_id_seq\"'::regclass)", None),
    ("name", "text", "NO", None, None),
    ("email", "text", "NO", None, None),
    ("password", "text", "NO", None, None),
    ("created_at", "timestamp with time zone", "NO", "CURRENT_TIMESTAMP", 3),
    ("idempotency_key", "bytea", "YES", None, None),
    ("email_verified_at", "timestamp with time zone", "YES", None, 3),
    ("verification_expires_at", "timestamp with time zone", "YES", None, 3),
    ("reminded_at", "timestamp with time zone", "YES", None, 3),
    ("extra", "jsonb", "YES", None, None),
    ("terms_version", "text", "YES", None, None),
    ("terms_accepted_at", "timestamp with time zone", "YES", None, 3),
]
INDEXES = {
    "User_pkey": "(id)",
    "User_email_key": "(email)",
    "User_idempotency_key_key": "(idempotency_key)",
    "User_email_lower_idx": "(lower(email)) WHERE (email <> lower(email))",
}


def _assert_shape(url: str) -> None:
    query = """
        SELECT column_name, data_type, is_nullable, column_default, datetime_precision
        FROM information_schema.columns WHERE table_name = 'User' ORDER BY ordinal_position
    """
    with psycopg.connect(url) as db:
        assert db.execute(query).fetchall() == COLUMNS
        indexes = db.execute("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'User'").fetchall()
    assert {name: definition.partition(" USING btree ")[2] for name, definition in indexes} == INDEXES
    assert [name for name, definition in indexes if "UNIQUE" not in definition] == ["User_email_lower_idx"]


def test_a_new_table_has_the_expected_columns_and_indexes(url: str) -> None:
    """`COLUMNS` repeats the model in schema.prisma. `INDEXES` also has an index that Prisma does not support."""
    migrate.migrate(url)
    _assert_shape(url)


def test_the_migrations_folder_has_prismas_layout() -> None:
    """Each directory is `<14 digits>_<name>` with a script, and the lock file names the provider."""
    names = [migration.name for migration in history.read_folder(migrate.FOLDER)]
    assert names
    assert all(re.fullmatch(r"\d{14}_[a-z0-9_]+", name) for name in names)
    assert (
        'provider = "postgresql"' in (migrate.FOLDER / "migration_lock.toml").read_text(encoding="utf-8").splitlines()
    )


def test_scripts_work_with_prismas_driver_adapters() -> None:
    """With these adapters, Prisma splits scripts at every semicolon, so comments and string literals contain none."""
    for migration in history.read_folder(migrate.FOLDER):
        assert not re.findall(r"--[^\n]*;|'[^'\n]*;[^'\n]*'", migration.script)


@pytest.mark.parametrize("index", [True, False])
def test_the_old_table_keeps_its_users(url: str, index: bool) -> None:
    """After a baseline, the previous application's table keeps every row and gets all new columns and indexes."""
    init = history.read_folder(migrate.FOLDER)[0]
    with psycopg.connect(url) as db:
        db.execute(init.script.encode())
        db.execute("INSERT INTO \"User\" (name, email, password) VALUES ('', 'Ada@Example.com', 'in the clear')")
        if not index:
            db.execute('DROP INDEX "User_email_key"')
    migrate.baseline(url, init.name)
    assert migrate.migrate(url) == [migration.name for migration in history.read_folder(migrate.FOLDER)[1:]]
    _assert_shape(url)
    with psycopg.connect(url) as db:
        query = 'SELECT id, name, email, password, created_at <= now(), idempotency_key FROM "User"'
        assert db.execute(query).fetchall() == [(1, "", "Ada@Example.com", "in the clear", True, None)]
        # The trial sign-up before the migrations has used two ids.
        assert db.execute(INSERT, VALID_USER).fetchone() == (4,)


def test_the_old_application_can_still_insert(url: str) -> None:
    """An INSERT with only the old columns succeeds, without validation of the values."""
    migrate.migrate(url)
    with psycopg.connect(url) as db:
        insert = (
            "INSERT INTO \"User\" (name, email, password) VALUES ('', 'Ada@Example.com', 'in the clear') RETURNING id"
        )
        assert db.execute(insert).fetchone() == (1,)


def test_a_raw_key_is_refused_by_the_table(url: str) -> None:
    """The table only accepts idempotency keys that have the length of a digest."""
    migrate.migrate(url)
    with psycopg.connect(url) as db, pytest.raises(psycopg.errors.CheckViolation) as caught:
        db.execute(INSERT, {**VALID_USER, "idempotency_key": b"the key itself"})
    assert caught.value.diag.constraint_name == "User_idempotency_key_hashed"


def test_the_worker_can_sign_users_up(url: str) -> None:
    """The role may call the function, which returns a row for a new address and none for a taken one."""
    migrate.migrate(url)
    with connect_as_worker(url) as db:
        for key, expected in (("00", [(1, True)]), ("01", [])):
            signed_up = db.execute(
                "SELECT id, created_at IS NOT NULL FROM sign_up('Ada', 'ada@example.com', '$x$', repeat(%s, 32))", [key]
            )
            assert signed_up.fetchall() == expected
    with psycopg.connect(url) as db:
        assert db.execute('SELECT id, name, email, password FROM "User"').fetchall() == [
            (1, "Ada", "ada@example.com", "$x$")
        ]


@pytest.mark.parametrize(
    "statement",
    [
        'SELECT id FROM "User"',
        'SELECT count(*) FROM "User"',
        "INSERT INTO \"User\" (name, email, password) VALUES ('a', 'b', 'c')",
        "UPDATE \"User\" SET name = 'x'",
        'DELETE FROM "User"',
        'TRUNCATE "User"',
        'DROP TABLE "User"',
        'DROP FUNCTION "sign_up"(TEXT, TEXT, TEXT, TEXT)',
        "SELECT nextval('\"User_id_seq\"')",
        'SELECT * FROM "_prisma_migrations"',
        "CREATE TABLE mine (a int)",
        "CREATE ROLE another",
    ],
)
def test_the_worker_may_not_access_tables_or_create_objects(url: str, statement: str) -> None:
    """Each statement fails with SQLSTATE 42501."""
    migrate.migrate(url)
    with connect_as_worker(url) as db, pytest.raises(psycopg.errors.InsufficientPrivilege):
        db.execute(statement.encode())


def test_a_temporary_table_does_not_replace_the_table(url: str) -> None:
    """The function runs as its owner and ignores the caller's temporary tables."""
    migrate.migrate(url)
    with connect_as_worker(url) as db:
        db.execute(
            'CREATE TEMPORARY TABLE "User" (id int, name text, email text UNIQUE, password text, created_at date)'
        )
        db.execute("SET search_path = pg_temp, public")
        assert db.execute(
            "SELECT id FROM public.sign_up('Ada', 'ada@example.com', '$x$', repeat('00', 32))"
        ).fetchall() == [(1,)]
        assert db.execute('SELECT count(*) FROM pg_temp."User"').fetchone() == (0,)


def test_other_roles_may_not_sign_users_up(url: str) -> None:
    """The function is not granted to PUBLIC."""
    migrate.migrate(url)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DROP ROLE IF EXISTS unrelated_role")
        db.execute("CREATE ROLE unrelated_role")
        try:
            db.execute("SET ROLE unrelated_role")
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                db.execute("SELECT id FROM sign_up('Ada', 'ada@example.com', '$x$', repeat('00', 32))")
        finally:
            db.execute("RESET ROLE")
            db.execute("DROP ROLE unrelated_role")


def test_an_owner_who_cannot_create_roles_can_migrate(url: str) -> None:
    """Everything except the role is created, and the owner can call the function."""
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DROP OWNED BY signup_worker")
        db.execute("ALTER ROLE signup_worker RENAME TO renamed_worker")
        db.execute("CREATE ROLE plain_owner LOGIN PASSWORD 'plain'")
        db.execute("GRANT CREATE ON SCHEMA public TO plain_owner")
    try:
        migrate.migrate(re.sub(r"//[^@]+@", "//plain_owner:plain@", url))
        with psycopg.connect(re.sub(r"//[^@]+@", "//plain_owner:plain@", url)) as db:
            assert db.execute(
                "SELECT id FROM sign_up('Ada', 'ada@example.com', '$x$', repeat('00', 32))"
            ).fetchall() == [(1,)]
    finally:
        with psycopg.connect(url, autocommit=True) as db:
            db.execute("DROP OWNED BY plain_owner CASCADE")
            db.execute("DROP ROLE plain_owner")
            db.execute("ALTER ROLE renamed_worker RENAME TO signup_worker")


@pytest.mark.parametrize(
    ("change", "constraint"),
    [({"idempotency_key": None}, "User_email_key"), ({"email": "b@example.com"}, "User_idempotency_key_key")],
)
def test_address_and_key_are_unique(url: str, change: dict[str, object], constraint: str) -> None:
    """A second user with the same address or key is refused; the indexes have Prisma's names."""
    migrate.migrate(url)
    with psycopg.connect(url) as db:
        db.execute(INSERT, VALID_USER)
        with pytest.raises(psycopg.errors.UniqueViolation) as caught:
            db.execute(INSERT, {**VALID_USER, **change})
    assert caught.value.diag.constraint_name == constraint
