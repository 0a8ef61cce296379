"""Invitations, terms and extra fields in the database function of a sign-up, on a real Postgres."""

from __future__ import annotations

import json
from base64 import b64decode
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
from pydantic import SecretBytes

from devstack.migrate import history
from devstack.migrate import migrations as migrate
from devstack.users import invite
from signup.fields.models import STORED
from signup.invitations.tokens import InvitationTokens
from tests.contract.devstack.conftest import connect_as_worker
from tests.fakes import stored

if TYPE_CHECKING:
    import pytest

    from devstack.postgres.server import Postgres

# The parameters are the stored fields, the password, the key and the options.
PLACEHOLDERS = ", ".join(["%s::text"] * (len(STORED) + 3))
CALL = f'SELECT id IS NOT NULL, email_verified_at IS NOT NULL, extra, refusal FROM "sign_up_recorded"({PLACEHOLDERS})'  # noqa: S608 - a constant
NEW = (True, False, None, None)
USED = (False, False, None, "invitation_used")


def sign_up(db: psycopg.Connection, number: int, key: int | None = None, **options: object) -> tuple[Any, ...] | None:
    """Sign a user up, or repeat a sign-up. Return None for a taken address.

    Otherwise return whether there is a user, whether the user is verified, the extra fields and the refusal.
    """
    digest = f"{number if key is None else key:064x}"
    values = stored(name="Ada", email=f"a{number}@example.com")
    return db.execute(CALL.encode(), [*values, "hash", digest, json.dumps(options)]).fetchone()


def invitation(uses: int = 1, **other: object) -> dict[str, object]:
    """Return a value for the option `invitation`."""
    return {"id": "a", "uses": uses, "expires_at": 4_000_000_000, "verified": False, "count_taken": False, **other}


def uses(owner: psycopg.Connection) -> int | None:
    """Return how often the invitation was used, or None if it has no row."""
    row = owner.execute('SELECT uses FROM "SignUpInvitation"').fetchone()
    return None if row is None else row[0]


def test_an_invitation_has_a_limited_number_of_uses(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """Repeated requests and taken addresses do not count as uses. After the last use only repeated requests succeed."""
    two_uses = invitation(2)
    assert sign_up(worker, 1, invitation=two_uses) == NEW
    assert sign_up(worker, 1, invitation=two_uses) == NEW
    assert sign_up(worker, 1, key=9, invitation=two_uses) is None
    assert uses(owner) == 1
    assert sign_up(worker, 2, invitation=two_uses) is not None
    assert sign_up(worker, 3, invitation=two_uses) == sign_up(worker, 1, key=9, invitation=two_uses) == USED
    assert sign_up(worker, 2, invitation=two_uses) is not None
    assert (uses(owner), owner.execute('SELECT count(*) FROM "User"').fetchone()) == (2, (2,))


def test_a_taken_address_counts_as_a_use_if_accounts_are_concealed(
    worker: psycopg.Connection, owner: psycopg.Connection
) -> None:
    """If it did not count, the number of remaining uses would reveal whether the address was taken."""
    assert sign_up(worker, 1) is not None
    assert sign_up(worker, 1, key=9, invitation=invitation(count_taken=True)) is None
    # A retry after a lost response does not count again.
    assert sign_up(worker, 1, key=9, invitation=invitation(count_taken=True)) is None
    assert uses(owner) == 1
    assert sign_up(worker, 2, invitation=invitation(count_taken=True)) == USED


def test_simultaneous_sign_ups_cannot_share_the_last_use(database: str, owner: psycopg.Connection) -> None:
    """Of 200 sign-ups over eight connections, exactly as many succeed as the invitation allows."""
    connections = [connect_as_worker(database) for _ in range(8)]

    def run(part: int) -> list[tuple[Any, ...] | None]:
        with connections[part] as db:
            return [sign_up(db, number, invitation=invitation(7)) for number in range(part, 200, 8)]

    with ThreadPoolExecutor(8) as pool:
        rows = [row for part in pool.map(run, range(8)) for row in part]
    assert (len(rows), rows.count(USED), uses(owner)) == (200, 193, 7)
    assert owner.execute('SELECT count(*) FROM "User"').fetchone() == (7,)


def test_the_operator_shows_the_uses_of_an_invitation_and_revokes_it(
    worker: psycopg.Connection,
    owner: psycopg.Connection,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The commands take the invitation's link. After the revocation only repeated sign-ups succeed.

    If the database has no table of invitations, the error contains the fix.
    """
    key = "A" * 43 + "="
    monkeypatch.setenv("INVITATION_SECRET", f"a:{key}")
    monkeypatch.setenv("DATABASE_URL", database)
    assert invite.main(["--domain", "example.com", "--uses", "3", "--url", "https://a.example"]) == 0
    link = capsys.readouterr().out.strip()
    id_ = InvitationTokens([SecretBytes(b64decode(key))]).verify(link.partition("=")[2]).id
    option = invitation(3, id=id_)
    states = []
    for command, number in (("uses", 1), ("uses", 2), ("revoke", 3), ("uses", 1)):
        assert invite.main([command, link]) == 0
        states.append(capsys.readouterr().out.partition(",")[0])
        row = sign_up(worker, number, invitation=option)
        assert row == (USED if number == 3 else NEW)
    assert states == ["used 0 of 3", "used 1 of 3", "revoked", "revoked"]
    assert uses(owner) == invite.REVOKED
    monkeypatch.setenv("DATABASE_URL", f"{database}?schema=none")
    assert invite.main(["revoke", link]) == 1
    assert capsys.readouterr().err == "invite: the database has no table of invitations: run `make migrate`\n"


def test_an_invitation_may_verify_the_address(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """No verification e-mail is recorded, but the messages for both webhook events are."""
    option = invitation(verified=True)
    row = sign_up(worker, 1, verify=True, ttl=60, webhook=True, extra={"plan": "x"}, invitation=option)
    assert row == (True, True, '{"plan": "x"}', None)
    messages = owner.execute("SELECT kind, payload->'extra' FROM \"Outbox\" ORDER BY id").fetchall()
    assert messages == [("user.created", {"plan": "x"}), ("user.verified", {"plan": "x"})]
    assert owner.execute('SELECT verification_expires_at FROM "User"').fetchone() == (None,)


def test_terms_and_extra_fields_are_stored_with_the_user(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """A repeated request returns the stored fields. The webhook of a later verification has the extra fields too."""
    extra = {"plan": "pro", "seats": 3, "news": False}
    first = sign_up(worker, 1, terms="2026-11", extra=extra, verify=True, ttl=60, webhook=True)
    assert first is not None
    assert (first[:2], json.loads(first[2])) == ((True, False), extra)
    repeated = sign_up(worker, 1, terms="2027-01", extra={"plan": "free"})
    assert repeated == first
    query = 'SELECT terms_version, terms_accepted_at = created_at, extra FROM "User"'
    assert owner.execute(query).fetchall() == [("2026-11", True, extra)]
    ((user_id,),) = owner.execute('SELECT id::text FROM "User"').fetchall()
    worker.execute("SELECT verify_email(%s, 'a1@example.com', %s)", [user_id, '{"webhook": true}'])
    payloads = "SELECT payload->'extra' FROM \"Outbox\" WHERE kind LIKE 'user.%'"
    assert owner.execute(payloads).fetchall() == [(extra,), (extra,)]
    assert sign_up(worker, 2) == NEW
    assert owner.execute(f"{query} WHERE email LIKE 'a2@%'").fetchall() == [(None, None, None)]


def test_an_existing_column_extra_is_used(server: Postgres) -> None:
    """A table of another application keeps its column; sign-ups without extra fields store its default."""
    with psycopg.connect(server.url(), autocommit=True) as db:
        db.execute("CREATE DATABASE sign_up_extra")
    url = server.url("sign_up_extra")
    first, *others = history.read_folder(migrate.FOLDER)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(
            'CREATE TABLE "User" (id serial PRIMARY KEY, name text NOT NULL, email text NOT NULL UNIQUE,'
            " password text NOT NULL, extra text DEFAULT 'theirs')"
        )
    migrate.baseline(url, first.name)
    assert len(migrate.migrate(url)) == len(others)
    with psycopg.connect(url, autocommit=True) as db:
        assert sign_up(db, 1, terms="1") == (True, False, "theirs", None)
        assert sign_up(db, 2, extra={"plan": "x"}) == (True, False, '{"plan": "x"}', None)
