"""The database functions of the outbox and of address verification, on a real Postgres."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from hashlib import sha256
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from psycopg import sql

from devstack import outbox
from devstack.migrate import history
from devstack.migrate import migrations as migrate
from signup.fields.email_address import AddressError, canonical
from signup.fields.models import STORED
from tests.contract.devstack.conftest import connect_as_worker
from tests.fakes import stored

if TYPE_CHECKING:
    from collections.abc import Sequence

ADA = "ada@example.com"
MAILS = ["verify_email", "already_registered"]
WEBHOOKS = ["user.created", "user.verified"]
LAST_ATTEMPT = 12


# Columns of the result of a sign-up.
USER = ("id", "name", "email", "password", "created_at", "email_verified_at")


def _call(
    db: psycopg.Connection, function: str, *arguments: object, columns: Sequence[str] = ()
) -> list[tuple[Any, ...]]:
    """Call a function, and return all or the given columns. Arguments other than text and None are sent as JSON."""
    texts = [each if isinstance(each, str | None) else json.dumps(each) for each in arguments]
    placeholders = sql.SQL(", ").join([sql.SQL("%s::text")] * len(texts))
    selected = sql.SQL(", ").join(map(sql.Identifier, columns)) if columns else sql.SQL("*")
    query = sql.SQL("SELECT {} FROM {}({})").format(selected, sql.Identifier(function), placeholders)
    return db.execute(query, texts).fetchall()


def sign_up(db: psycopg.Connection, email: str = ADA, key: str = "01", **options: object) -> tuple[Any, ...] | None:
    """Return the row of a sign-up, or None if the address is taken."""
    all_options = {"verify": True, "ttl": 3600, "language": "de", **options}
    values = stored(name="Ada", email=email)
    rows = _call(db, "sign_up_recorded", *values, f"hash {key}", key * 32, all_options, columns=USER)
    return rows[0] if rows else None


def expire(owner: psycopg.Connection) -> None:
    """Move the users' verification deadlines into the past."""
    owner.execute("""UPDATE "User" SET verification_expires_at = now() - interval '1 second'""")


def messages(owner: psycopg.Connection) -> list[tuple[str, str]]:
    """Return the kind and the user id of each message."""
    return owner.execute('SELECT kind, user_id FROM "Outbox" ORDER BY id').fetchall()


def claim(db: psycopg.Connection, kinds: list[str] | None = None, limit: int = 10) -> list[tuple[Any, ...]]:
    """Claim due messages with a lease of a minute."""
    return _call(db, "claim_messages", {"kinds": kinds or MAILS, "limit": limit, "lease": 60})


def age(owner: psycopg.Connection, *, minutes: int) -> None:
    """Move `created_at` and `reminded_at` of all users into the past."""
    ((shift,),) = owner.execute("SELECT make_interval(mins => %s)", [minutes]).fetchall()
    owner.execute('UPDATE "User" SET created_at = created_at - %s, reminded_at = reminded_at - %s', [shift, shift])


def make_due(owner: psycopg.Connection) -> None:
    """End all leases and pauses, so that every message is due."""
    owner.execute('UPDATE "Outbox" SET next_attempt_at = now()')


def test_a_sign_up_records_the_requested_messages(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """One statement writes the user, the verification deadline and the requested messages."""
    row = sign_up(worker, webhook=True)
    assert row is not None
    assert (row[:4], row[5]) == ((1, "Ada", ADA, None), None)
    assert messages(owner) == [("verify_email", "1"), ("user.created", "1")]
    ((payload, same_time, has_deadline),) = owner.execute("""
        SELECT payload, m.created_at = u.created_at, verification_expires_at - u.created_at = interval '1 hour'
        FROM "Outbox" m JOIN "User" u ON u.id::text = user_id WHERE kind = 'verify_email'
    """).fetchall()
    assert (payload, same_time, has_deadline) == ({"name": "Ada", "email": ADA, "language": "de"}, True, True)
    assert sign_up(worker, "bob@example.com", "02", verify=False) is not None
    assert owner.execute('SELECT verification_expires_at FROM "User" WHERE id = 2').fetchone() == (None,)
    assert len(messages(owner)) == len(["verify_email", "user.created"])


def test_a_sign_up_without_options_records_no_message(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """A Worker with all settings off leaves the outbox and the columns for verification empty."""
    _call(worker, "sign_up", *stored(name="Ada", email=ADA), "hash", "01" * 32)
    assert messages(owner) == []
    columns = 'SELECT email_verified_at, verification_expires_at, reminded_at FROM "User"'
    assert owner.execute(columns).fetchall() == [(None, None, None)]


def test_each_field_is_stored_and_returned(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """`sign_up` and `sign_up_recorded` store and return all fields, even when the request is repeated."""
    columns = sql.SQL(", ").join(map(sql.Identifier, STORED))
    options: dict[str, tuple[object, ...]] = {"sign_up": (), "sign_up_recorded": ({},)}
    for function, more_arguments in options.items():
        values = tuple(f"{name} of {function}" for name in STORED)
        arguments = (*values, "hash", sha256(function.encode()).hexdigest(), *more_arguments)
        for _ in range(2):
            assert _call(worker, function, *arguments, columns=STORED) == [values]
        query = sql.SQL('SELECT {} FROM "User" ORDER BY id DESC LIMIT 1').format(columns)
        assert owner.execute(query).fetchone() == values


def test_a_repeated_sign_up_records_no_second_message(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """A request with the same key returns the user and the hash, even after the verification deadline."""
    first = sign_up(worker, webhook=True)
    assert first is not None
    expire(owner)
    assert sign_up(worker, webhook=True) == (*first[:3], "hash 01", *first[4:])
    assert sign_up(worker, "bob@example.com") == (*first[:3], "hash 01", *first[4:])
    assert len(messages(owner)) == len(["verify_email", "user.created"])
    _call(worker, "verify_email", "1", ADA, {})
    verified = sign_up(worker)
    assert verified is not None
    assert verified[5] is not None


def test_an_expired_unverified_user_is_replaced(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """The new user has a new id, and the old user's messages are deleted; before the deadline the address is taken."""
    sign_up(worker)
    assert sign_up(worker, key="02") is None
    expire(owner)
    replaced = sign_up(worker, key="02")
    assert replaced is not None
    assert replaced[0] > 1
    assert owner.execute('SELECT id, password FROM "User"').fetchall() == [(replaced[0], "hash 02")]
    assert messages(owner) == [("verify_email", str(replaced[0]))]


@pytest.mark.parametrize(
    "state",
    [
        "verification_expires_at = NULL",
        "verification_expires_at = now() + interval '1 minute'",
        "email_verified_at = now()",
        "email_verified_at = now(), verification_expires_at = NULL",
    ],
)
def test_no_other_user_is_replaced(worker: psycopg.Connection, owner: psycopg.Connection, state: str) -> None:
    """Users are kept if they have no verification deadline, if it has not passed, or if they are verified."""
    sign_up(worker)
    expire(owner)
    owner.execute(sql.SQL('UPDATE "User" SET ') + sql.SQL(state))
    assert sign_up(worker, key="02") is None
    assert owner.execute('SELECT id, password FROM "User"').fetchall() == [(1, "hash 01")]


@pytest.mark.parametrize("constraint", ["", "DEFERRABLE INITIALLY DEFERRED", "ON DELETE RESTRICT"])
def test_an_expired_user_that_another_table_refers_to_is_replaced(
    worker: psycopg.Connection, owner: psycopg.Connection, constraint: str
) -> None:
    """The row stays for the other table, without the address and the password."""
    sign_up(worker)
    expire(owner)
    owner.execute('CREATE TABLE post AS SELECT id AS author FROM "User"')
    owner.execute(f'ALTER TABLE post ADD FOREIGN KEY (author) REFERENCES "User" {constraint}'.encode())
    try:
        assert sign_up(worker, key="02") is not None
        rows = owner.execute('SELECT name, password = %s FROM "User" ORDER BY id', ["hash 01"]).fetchall()
        assert rows == [("removed", False), ("Ada", False)]
    finally:
        owner.execute("DROP TABLE post")


def test_an_expired_user_protected_by_constraints_is_not_replaced(
    worker: psycopg.Connection, owner: psycopg.Connection
) -> None:
    """If the row can be neither deleted nor overwritten, the address remains taken, and no SQL error is raised."""
    sign_up(worker)
    expire(owner)
    owner.execute('CREATE TABLE post AS SELECT id AS author FROM "User"')
    owner.execute('ALTER TABLE post ADD FOREIGN KEY (author) REFERENCES "User"')
    owner.execute("""ALTER TABLE "User" ADD CONSTRAINT own CHECK (email LIKE '%@example.com')""")
    try:
        assert sign_up(worker, key="02") is None
        assert owner.execute('SELECT id FROM "User"').fetchall() == [(1,)]
    finally:
        owner.execute('ALTER TABLE "User" DROP CONSTRAINT own')
        owner.execute("DROP TABLE post")


def test_simultaneous_sign_ups_replace_a_user_once(
    worker: psycopg.Connection, owner: psycopg.Connection, database: str
) -> None:
    """Of eight sign-ups, one gets the expired user's address, and one message is recorded."""
    sign_up(worker)
    expire(owner)

    def sign_up_again(number: int) -> object:
        with connect_as_worker(database) as db:
            return sign_up(db, key=f"1{number}")

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(sign_up_again, range(8)))
    assert len([row for row in results if row is not None]) == 1
    assert owner.execute('SELECT count(*) FROM "User"').fetchone() == (1,)
    assert [kind for kind, _ in messages(owner)] == ["verify_email"]


def test_a_user_who_verifies_during_another_sign_up_is_not_replaced(
    worker: psycopg.Connection, owner: psycopg.Connection, database: str
) -> None:
    """The sign-up waits for the verification, and then finds the address taken."""
    sign_up(worker)
    expire(owner)
    with ThreadPoolExecutor(1) as pool, connect_as_worker(database) as other:
        with other.transaction():
            assert _call(other, "verify_email", "1", ADA, {}) == [("verified",)]
            later = pool.submit(sign_up, worker, key="02")
            lock_query = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            while owner.execute(lock_query).fetchone() == (0,):
                assert not later.done()
        assert later.result() is None
    assert owner.execute('SELECT id, email_verified_at IS NOT NULL FROM "User"').fetchall() == [(1, True)]


def test_the_owner_of_a_taken_address_is_notified_once_an_hour(
    worker: psycopg.Connection, owner: psycopg.Connection
) -> None:
    """Notifications require the option `conceal`. Here the owner has no pending verification."""
    sign_up(worker, verify=False)
    assert sign_up(worker, key="02") is None
    assert messages(owner) == []
    for key in ("03", "04"):
        assert sign_up(worker, key=key, conceal=True) is None
    assert messages(owner) == [("already_registered", "1")]
    owner.execute("""UPDATE "User" SET reminded_at = reminded_at - interval '1 hour'""")
    sign_up(worker, key="05", conceal=True)
    assert messages(owner) == [("already_registered", "1")] * 2


def test_a_concealed_sign_up_for_an_unverified_user_sends_the_email_again(
    worker: psycopg.Connection, owner: psycopg.Connection
) -> None:
    """The message has the time of the first sign-up, by which the owner can recognise that it was not theirs."""
    sign_up(worker)
    age(owner, minutes=5)
    owner.execute('DELETE FROM "Outbox"')
    assert sign_up(worker, key="02") is None
    assert sign_up(worker, key="03", conceal=True, verify=False) is None
    assert messages(owner) == []
    assert sign_up(worker, key="04", conceal=True) is None
    ((payload, created),) = owner.execute("""
        SELECT payload, floor(extract(epoch FROM u.created_at)) FROM "Outbox" JOIN "User" u ON u.id::text = user_id
    """).fetchall()
    assert payload == {"name": "Ada", "email": ADA, "language": "de", "signed_up_at": created}


def test_the_owner_of_an_address_in_mixed_case_is_notified(
    worker: psycopg.Connection, owner: psycopg.Connection
) -> None:
    """The message has the address as it is stored."""
    owner.execute("INSERT INTO \"User\" (name, email, password) VALUES ('Ada', 'Ada@Example.com', 'x')")
    assert sign_up(worker, conceal=True) is None
    assert owner.execute("SELECT payload->>'email' FROM \"Outbox\"").fetchall() == [("Ada@Example.com",)]


def test_an_address_is_verified_once(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """The first call with the user's id and address records the event and deletes the e-mail.

    Another id or address is `unknown`.
    """
    sign_up(worker)
    assert _call(worker, "verify_email", "2", ADA, {"webhook": True}) == [("unknown",)]
    assert _call(worker, "verify_email", "1", "bob@example.com", {"webhook": True}) == [("unknown",)]
    assert _call(worker, "verify_email", "1", ADA, {"webhook": True}) == [("verified",)]
    assert _call(worker, "verify_email", "1", ADA, {"webhook": True}) == [("already_verified",)]
    assert messages(owner) == [("user.verified", "1")]
    expire(owner)
    assert sign_up(worker, key="02") is None


def test_a_token_of_a_replaced_user_is_invalid(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """The token has the id of the replaced user, and the new user has another id."""
    sign_up(worker)
    expire(owner)
    sign_up(worker, key="02")
    assert _call(worker, "verify_email", "1", ADA, {}) == [("unknown",)]


def test_only_a_user_with_a_pending_verification_is_removed(
    worker: psycopg.Connection, owner: psycopg.Connection
) -> None:
    """Verified users, users without a verification deadline, and users whose address is not the given one are kept."""
    sign_up(worker, webhook=True)
    assert _call(worker, "remove_unverified_user", "1", "bob@example.com") == [(False,)]
    assert _call(worker, "remove_unverified_user", "1", ADA) == [(True,)]
    assert _call(worker, "remove_unverified_user", "1", ADA) == [(False,)]
    assert messages(owner) == []
    sign_up(worker, key="02", verify=False)
    sign_up(worker, "bob@example.com", "03")
    owner.execute('UPDATE "User" SET email_verified_at = now() WHERE email <> %s', [ADA])
    for user_id, email in owner.execute('SELECT id::text, email FROM "User"').fetchall():
        assert _call(worker, "remove_unverified_user", user_id, email) == [(False,)]


@pytest.mark.parametrize("constraint", ["", "ON DELETE RESTRICT", "DEFERRABLE INITIALLY DEFERRED"])
def test_a_removed_user_that_another_table_refers_to_loses_all_fields(
    worker: psycopg.Connection, owner: psycopg.Connection, constraint: str
) -> None:
    """Links and the password become invalid, the address becomes available, and the row stays for the other table."""
    fields = stored(**{name: f"the {name}" for name in STORED} | {"email": ADA})
    options = {"verify": True, "ttl": 3600, "webhook": True, "extra": {"phone": "+49 30 1234"}}
    _call(worker, "sign_up_recorded", *fields, "hash 01", "01" * 32, options)
    owner.execute('CREATE TABLE post AS SELECT id AS author FROM "User"')
    owner.execute(f'ALTER TABLE post ADD FOREIGN KEY (author) REFERENCES "User" {constraint}'.encode())
    try:
        assert _call(worker, "remove_unverified_user", "1", ADA) == [(True,)]
        assert _call(worker, "remove_unverified_user", "1", ADA) == [(False,)]
        assert _call(worker, "verify_email", "1", ADA, {}) == [("unknown",)]
        assert messages(owner) == []
        ((name, email, password, extra, verified, pending),) = owner.execute("""
            SELECT name, email, password, extra, email_verified_at, verification_expires_at IS NOT NULL FROM "User"
        """).fetchall()
        assert (name, extra, verified, pending) == ("removed", None, None, True)
        ((row,),) = owner.execute('SELECT to_jsonb(u) FROM "User" u').fetchall()
        assert not {row[name] for name in STORED} & {*fields}
        with pytest.raises(AddressError):
            canonical(email)
        with pytest.raises(VerifyMismatchError):
            PasswordHasher().verify(password, "hash 01")
        new_user = sign_up(worker)
        assert new_user is not None
        assert (new_user[0] > 1, new_user[3]) == (True, None)
    finally:
        owner.execute("DROP TABLE post")


def test_a_resent_verification_reveals_no_user(
    worker: psycopg.Connection, owner: psycopg.Connection, database: str
) -> None:
    """The result is the same for every address; only an unverified user without a pending e-mail gets one."""
    sign_up(worker)
    age(owner, minutes=5)
    assert _call(worker, "request_verification", ADA, {"language": "en"}) == [("accepted",)]
    assert len(messages(owner)) == 1
    owner.execute('DELETE FROM "Outbox"')

    def request(_: int) -> object:
        with connect_as_worker(database) as db:
            return _call(db, "request_verification", ADA, {"language": "en"})

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(request, range(8))) == [[("accepted",)]] * 8
    assert messages(owner) == [("verify_email", "1")]
    _call(worker, "verify_email", "1", ADA, {})
    age(owner, minutes=120)
    assert _call(worker, "request_verification", ADA, {"language": "en"}) == [("accepted",)]
    assert _call(worker, "request_verification", "nobody@example.com", {"language": "en"}) == [("accepted",)]
    assert messages(owner) == []


def test_an_unverified_user_gets_few_emails(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """A request every five minutes for a day, with immediate delivery, causes fewer than two e-mails an hour."""
    sign_up(worker)
    sent = []
    for minute in range(0, 1440, 5):
        owner.execute('DELETE FROM "Outbox"')
        _call(worker, "request_verification", ADA, {"language": "en"})
        sent += [minute] * len(messages(owner))
        age(owner, minutes=5)
    assert sent[0] == 5
    assert 24 < len(sent) < 40
    assert 60 <= max(later - earlier for earlier, later in pairwise(sent)) <= 65


def test_a_user_without_a_sign_up_time_gets_one_email_an_hour(
    worker: psycopg.Connection, owner: psycopg.Connection
) -> None:
    """`created_at` may be NULL in the table of another application."""
    owner.execute('ALTER TABLE "User" ALTER created_at DROP NOT NULL')
    try:
        owner.execute(
            """INSERT INTO "User" (name, email, password, created_at) VALUES ('Ada', %s, 'hash', NULL)""", [ADA]
        )
        sent = []
        for minutes in (0, 55, 10):
            owner.execute('DELETE FROM "Outbox"')
            age(owner, minutes=minutes)
            _call(worker, "request_verification", ADA, {"language": "en"})
            sent.append(messages(owner))
        assert sent == [[("verify_email", "1")], [], [("verify_email", "1")]]
    finally:
        owner.execute('TRUNCATE "User"')
        owner.execute('ALTER TABLE "User" ALTER created_at SET NOT NULL')


def test_a_message_is_claimed_by_one_caller_at_a_time(
    worker: psycopg.Connection, owner: psycopg.Connection, database: str
) -> None:
    """Eight simultaneous callers share the messages, and no message is claimed again before its lease ends."""
    for number in range(40):
        sign_up(worker, f"{number}@example.com", f"{number:02}")

    def work(_: int) -> list[str]:
        with connect_as_worker(database) as db:
            return [str(row[1]) for _ in range(5) for row in claim(db, limit=3)]

    with ThreadPoolExecutor(8) as pool:
        claimed = [key for keys in pool.map(work, range(8)) for key in keys]
    assert len(claimed) == len(set(claimed)) == 40
    make_due(owner)
    assert {str(row[1]) for row in claim(worker, limit=100)} == set(claimed)


def test_a_claim_does_not_wait_for_other_callers_and_has_the_requested_lease(
    worker: psycopg.Connection, owner: psycopg.Connection, database: str
) -> None:
    """An open transaction locks only the messages that it has claimed."""
    sign_up(worker)
    sign_up(worker, "bob@example.com", "02")
    with connect_as_worker(database) as other, other.transaction():
        assert len(claim(other, limit=1)) == 1
        worker.execute("SET statement_timeout = '2s'")
        assert len(_call(worker, "claim_messages", {"kinds": MAILS, "limit": 10, "lease": 600})) == 1
    leases = 'SELECT next_attempt_at - now() > %s FROM "Outbox" ORDER BY next_attempt_at'
    assert owner.execute(leases, [timedelta(minutes=9)]).fetchall() == [(False,), (True,)]


def test_a_claim_returns_the_messages_that_have_been_due_for_longest(
    worker: psycopg.Connection, owner: psycopg.Connection
) -> None:
    """The messages have the requested kinds, and their number is limited."""
    sign_up(worker, webhook=True)
    sign_up(worker, "bob@example.com", "02", webhook=True)
    owner.execute("UPDATE \"Outbox\" SET next_attempt_at = now() - interval '1 hour' WHERE user_id = '2'")
    ((_, _, kind, user, payload, attempts, _),) = claim(worker, limit=1)
    assert (kind, user, payload["email"], attempts) == ("verify_email", "2", "bob@example.com", 1)
    assert [(row[2], row[3]) for row in claim(worker, WEBHOOKS)] == [("user.created", "1"), ("user.created", "2")]


def test_only_the_current_claim_can_finish_a_message(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """A caller whose lease has ended cannot finish or fail a message that another caller has claimed since."""
    sign_up(worker)
    ((number, key, *_),) = claim(worker)
    make_due(owner)
    ((same_number, same_key, *_),) = claim(worker)
    assert (same_number, same_key) == (number, key)
    assert _call(worker, "finish_message", str(number), "1") == [(False,)]
    assert _call(worker, "fail_message", str(number), "1", "late", {"permanent": True}) == [(False,)]
    assert _call(worker, "outbox_counts") == [(1, 0, 0)]
    assert _call(worker, "finish_message", str(number), "2") == [(True,)]
    assert _call(worker, "finish_message", str(number), "2") == [(False,)]
    assert messages(owner) == []


def test_the_pause_after_a_failure_doubles(worker: psycopg.Connection, owner: psycopg.Connection) -> None:
    """The first pause is about one minute, and the longest about four hours. A longer Retry-After takes precedence."""
    sign_up(worker)
    pauses = []
    pause = 'SELECT extract(epoch FROM next_attempt_at - now()) / 60 FROM "Outbox"'
    for attempt in range(1, LAST_ATTEMPT):
        ((number, *_),) = claim(worker)
        assert _call(worker, "fail_message", str(number), str(attempt), "refused", {"permanent": False}) == [(False,)]
        row = owner.execute(pause).fetchone()
        assert row is not None
        pauses.append(float(row[0]))
        make_due(owner)
    expected = [1, 2, 4, 8, 16, 32, 64, 128, 240, 240, 240]
    assert all(0.85 * e < p < 1.15 * e for p, e in zip(pauses, expected, strict=True)), pauses
    owner.execute('UPDATE "Outbox" SET attempts = 0')
    ((number, *_),) = claim(worker)
    _call(worker, "fail_message", str(number), "1", "busy", {"permanent": False, "retry_after": 600})
    row = owner.execute(pause).fetchone()
    assert row is not None
    assert 9 < float(row[0]) <= 10


def test_a_message_is_dead_after_a_permanent_error_or_the_last_attempt(
    worker: psycopg.Connection, owner: psycopg.Connection
) -> None:
    """A dead message is not claimed. A last attempt without a result makes it dead too; a late result is ignored."""
    dead = 'SELECT dead_at IS NOT NULL, attempts, last_error FROM "Outbox"'
    sign_up(worker)
    ((number, *_),) = claim(worker)
    assert _call(worker, "fail_message", str(number), "1", "recipient", {"permanent": True}) == [(True,)]
    assert owner.execute(dead).fetchall() == [(True, 1, "recipient")]
    make_due(owner)
    assert claim(worker) == []
    assert _call(worker, "outbox_counts") == [(0, 0, 1)]
    revive = 'UPDATE "Outbox" SET dead_at = NULL, attempts = %s, last_error = NULL'
    owner.execute(revive, [LAST_ATTEMPT - 1])
    make_due(owner)
    ((number, *_),) = claim(worker)
    assert _call(worker, "fail_message", str(number), str(LAST_ATTEMPT), "refused", {}) == [(True,)]
    owner.execute(revive, [LAST_ATTEMPT])
    make_due(owner)
    assert claim(worker) == []
    late = (str(number), str(LAST_ATTEMPT))
    assert _call(worker, "finish_message", *late) == _call(worker, "fail_message", *late, "refused", {}) == [(False,)]
    assert owner.execute(dead).fetchall() == [(True, LAST_ATTEMPT, "no_result")]


@pytest.mark.parametrize("column", ["dead_at", "next_attempt_at"])
def test_the_scheduled_count_deletes_messages_that_were_not_delivered_for_30_days(
    worker: psycopg.Connection, owner: psycopg.Connection, column: str
) -> None:
    """Dead messages and messages that no Worker claims are deleted after 30 days, not earlier."""
    sign_up(worker)
    owner.execute("""UPDATE "Outbox" SET next_attempt_at = now() - interval '1 minute'""")
    past = sql.SQL('UPDATE "Outbox" SET {} = now() - %s::interval').format(sql.Identifier(column))
    owner.execute(past, ["30 days -1 minute"])
    assert _call(worker, "outbox_counts") == [(0, 0, 1) if column == "dead_at" else (1, 1, 0)]
    owner.execute(past, ["30 days 1 minute"])
    assert _call(worker, "outbox_counts") == [(0, 0, 0)]
    assert messages(owner) == []


def test_a_retried_message_is_kept(
    worker: psycopg.Connection, owner: psycopg.Connection, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After `make outbox ARGS=--retry`, a message that was dead for 31 days is not deleted by the next count."""
    sign_up(worker)
    past = 'UPDATE "Outbox" SET dead_at = now() - %(age)s, next_attempt_at = now() - %(age)s'
    owner.execute(past, {"age": timedelta(days=31)})
    monkeypatch.setenv("DATABASE_URL", database)
    assert outbox.main(["--retry"]) == 0
    assert _call(worker, "outbox_counts") == [(1, 1, 0)]


@pytest.mark.parametrize(
    "statement",
    [
        'SELECT * FROM "Outbox"',
        'SELECT email_verified_at FROM "User"',
        "INSERT INTO \"Outbox\" (kind, user_id, payload) VALUES ('verify_email', '1', '{}')",
        'UPDATE "Outbox" SET attempts = 0',
        'DELETE FROM "Outbox"',
        "SELECT nextval('\"Outbox_id_seq\"')",
        "SELECT outbox_pause(1)",
    ],
)
def test_the_worker_cannot_access_the_tables_directly(worker: psycopg.Connection, statement: str) -> None:
    """The role may only call the functions that are granted to it."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        worker.execute(statement.encode())


def test_other_roles_may_not_call_the_functions(owner: psycopg.Connection) -> None:
    """No function is granted to PUBLIC."""
    public = """
        SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
        AND (proacl IS NULL OR EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0))
    """
    assert owner.execute(public).fetchall() == []


def test_default_privileges_do_not_apply_to_the_functions(url: str) -> None:
    """Some hosting providers let the roles of an HTTP API execute new functions. The migrations revoke these grants.

    `sign_up` is an exception: its grants are not revoked.
    """
    with psycopg.connect(url, autocommit=True) as db:
        db.execute('CREATE ROLE "Web API"')
        db.execute('ALTER DEFAULT PRIVILEGES GRANT ALL ON FUNCTIONS TO "Web API"')
        migrate.migrate(url)
        granted = """
            SELECT DISTINCT grantee::regrole::text FROM pg_proc, aclexplode(proacl)
            WHERE pronamespace = 'public'::regnamespace AND grantee <> proowner
            AND oid <> 'sign_up(text, text, text, text)'::regprocedure
        """
        assert db.execute(granted).fetchall() == [("signup_worker",)]
        db.execute('DROP OWNED BY "Web API"; DROP ROLE "Web API"')


def test_columns_of_the_application_may_have_the_names_of_variables(
    worker: psycopg.Connection, owner: psycopg.Connection
) -> None:
    """The functions do not confuse their variables with columns of the table."""
    names = ("address", "options", "replaced", "entry", "kind", "user_id", "attempts", "payload", "key")
    columns = [sql.Identifier(name) for name in names]
    owner.execute(
        sql.SQL('ALTER TABLE "User" ') + sql.SQL(", ").join(sql.SQL("ADD {} TEXT").format(c) for c in columns)
    )
    try:
        sign_up(worker, webhook=True)
        expire(owner)
        assert sign_up(worker, key="02", webhook=True) is not None
        age(owner, minutes=5)
        assert _call(worker, "request_verification", ADA, {"language": "en"}) == [("accepted",)]
        ((number,),) = owner.execute('SELECT id::text FROM "User"').fetchall()
        assert _call(worker, "remove_unverified_user", "0", ADA) == [(False,)]
        assert _call(worker, "verify_email", number, ADA, {"webhook": True}) == [("verified",)]
        assert [kind for kind, _ in messages(owner)] == ["user.created", "user.verified"]
    finally:
        owner.execute(
            sql.SQL('ALTER TABLE "User" ') + sql.SQL(", ").join(sql.SQL("DROP {}").format(c) for c in columns)
        )


def test_dead_messages_are_listed_without_addresses_and_retried(
    worker: psycopg.Connection,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`make outbox` groups dead messages by kind and error; a retry may be limited to a kind and an error.

    The exit status is 2 for `--kind` without `--retry`, and 1 if the database cannot be used.
    """
    monkeypatch.setenv("DATABASE_URL", database)
    for number, error in enumerate(("status_403", "status_403", "e_recipient_suppressed", "")):
        sign_up(worker, f"canary{number}@example.com", f"0{number}")
        if error:
            ((message, *_),) = claim(worker)
            _call(worker, "fail_message", str(message), "1", error, {"permanent": True})
    assert outbox.main([]) == 0
    output = capsys.readouterr().out
    assert re.sub(r"from .*", "T", output).splitlines() == [
        "pending  1",
        "dead     3",
        "  2  verify_email  status_403  T",
        "  1  verify_email  e_recipient_suppressed  T",
    ]
    assert outbox.main(["--retry", "--error", "status_403", "--kind", "verify_email"]) == 0
    assert capsys.readouterr().out == "to be retried  2\n"
    assert _call(worker, "outbox_counts") == [(3, 3, 1)]
    assert {row[5] for row in claim(worker)} == {1}
    with pytest.raises(SystemExit, match="2"):
        outbox.main(["--kind", "verify_email"])
    monkeypatch.setenv("DATABASE_URL", database.replace("migrated", "nowhere"))
    assert outbox.main(["--retry"]) == 1


@pytest.mark.parametrize(
    ("choice", "verified", "notice"),
    [(None, False, "count as not verified"), ("unverified", False, ""), ("verified", True, "verified  1 users")],
)
def test_existing_users_are_verified_only_with_the_option(
    url: str, choice: str | None, verified: bool, notice: str
) -> None:
    """The migration does not change the users of an existing table without `--existing-users verified`."""
    init, *others = history.read_folder(migrate.FOLDER)
    with psycopg.connect(url, autocommit=True) as db:
        db.execute(init.script.encode())
        db.execute("INSERT INTO \"User\" (name, email, password) VALUES ('Ada', 'ada@example.com', 'x')")
        migrate.baseline(url, init.name)
        lines: list[str] = []
        assert migrate.migrate(url, report=lines.append, existing_users=choice) == [each.name for each in others]
        assert [line for line in lines if "applied" not in line] == [
            line for line in lines if notice and notice in line
        ]
        query = 'SELECT email_verified_at = created_at, verification_expires_at, password FROM "User"'
        assert db.execute(query).fetchall() == [(verified or None, None, "x")]
        # A later run does not verify users with a pending verification.
        assert sign_up(db, "bob@example.com") is not None
        migrate.migrate(url, existing_users="verified")
        unverified = 'SELECT email FROM "User" WHERE email_verified_at IS NULL'
        assert db.execute(unverified).fetchall() == [("bob@example.com",)]


def test_the_documented_statement_verifies_users_after_prisma_migrate_deploy(url: str) -> None:
    """`prisma migrate deploy` only runs the scripts, so docs/mail.md has a statement that verifies existing users."""
    document = (migrate.FOLDER.parent.parent / "docs" / "mail.md").read_text(encoding="utf-8")
    (statement,) = re.findall("```sql\n(.*?)```", document, re.DOTALL)
    with psycopg.connect(url, autocommit=True) as db:
        for migration in history.read_folder(migrate.FOLDER):
            db.execute(migration.script.encode())
        db.execute("INSERT INTO \"User\" (name, email, password) VALUES ('Ada', 'ada@example.com', 'x')")
        sign_up(db, "bob@example.com")
        db.execute(statement.encode())
        assert db.execute('SELECT email FROM "User" WHERE email_verified_at IS NOT NULL').fetchall() == [(ADA,)]
