"""Sign-ups over every dialect store each user once and unchanged."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from signup.problems import BadInvitation, EmailTaken
from signup.registration.user_store import Details, Entry, InvitationUse
from tests.contract.proxies.cases import PLANES
from tests.contract.proxies.counterparts import add

if TYPE_CHECKING:
    import psycopg

    from signup.fields.models import User
    from tests.contract.proxies.counterparts import Counterpart

pytestmark = pytest.mark.anyio
CREATED_AT = (
    'SELECT to_char(created_at AT TIME ZONE \'UTC\', \'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\') FROM "User" WHERE id = %s'
)


@pytest.mark.parametrize(
    ("name", "password"),
    [("Ada", "$scrypt$ln=14,r=8,p=5$c2FsdA$aGFzaA"), (PLANES, PLANES), ("'; --", "x" * 5000), ("", "")],
)
async def test_a_user_is_stored_unchanged(
    counterpart: Counterpart, users: psycopg.Connection, name: str, password: str
) -> None:
    """The returned user and the row have the values that were sent."""
    async with counterpart.proxy() as proxy:
        user = (await add(proxy, name, "ada@example.com", password)).user
    row = users.execute('SELECT name, email, password FROM "User" WHERE id = %s', [user.id]).fetchone()
    assert row == (name, "ada@example.com", password)
    assert (user.id, user.name, user.email) == (2, name, "ada@example.com")
    assert users.execute(CREATED_AT, [user.id]).fetchone() == (user.model_dump(mode="json")["created_at"],)


async def test_an_invited_user_is_stored_with_terms_and_extra_fields(
    counterpart: Counterpart, users: psycopg.Connection
) -> None:
    """The extra fields are returned, and a repeated request does not count as another use of the invitation."""
    extra = {"plan": PLANES, "seats": -1, "adult": True}
    use = InvitationUse(os.urandom(8).hex(), 1, int(time.time()) + 60, verified=True, count_taken=False)
    details = Details(terms="2026-11", extra=extra, invitation=use)
    async with counterpart.proxy() as proxy:
        for key in (bytes(32), bytes(32)):
            entry = await add(proxy, "Ada", "ada@example.com", "x", key, details=details)
            assert (entry.extra, entry.email_verified) == (extra, True)
        with pytest.raises(BadInvitation):
            await add(proxy, "Bob", "bob@example.com", "y", details=details)
    query = "SELECT terms_version, extra FROM \"User\" WHERE email <> 'taken@example.com'"
    assert users.execute(query).fetchall() == [("2026-11", extra)]


async def test_a_taken_address_is_refused(counterpart: Counterpart, users: psycopg.Connection) -> None:
    """The existing row is unchanged."""
    async with counterpart.proxy() as proxy:
        with pytest.raises(EmailTaken):
            await add(proxy, "Eve", "taken@example.com", "y")
    assert users.execute('SELECT name, email, password FROM "User"').fetchall() == [("Ada", "taken@example.com", "x")]


async def run_sign_ups(counterpart: Counterpart, *addresses: str) -> list[User | BaseException]:
    """Return the results of simultaneous sign-ups over one proxy."""
    async with counterpart.proxy(deadline=30) as proxy:
        entries = await asyncio.gather(*(add(proxy, a, a, "x") for a in addresses), return_exceptions=True)
        return [entry.user if isinstance(entry, Entry) else entry for entry in entries]


def sign_up_count(counterpart: Counterpart) -> int:
    """Return the number of simultaneous sign-ups.

    PGlite allows ten connections, including the executor's pool and the test's own.
    """
    return 8 if counterpart.name == "prisma dev" else 64


async def test_simultaneous_sign_ups_get_their_own_results(counterpart: Counterpart, users: psycopg.Connection) -> None:
    """Each sign-up returns the user that its own statement created."""
    addresses = [f"{number}@example.com" for number in range(sign_up_count(counterpart))]
    results = await run_sign_ups(counterpart, *addresses)
    created = {(user.id, user.email) for user in results if not isinstance(user, BaseException)}
    assert sorted(email for _, email in created) == sorted(addresses)
    assert created == set(users.execute("SELECT id, email FROM \"User\" WHERE name <> 'Ada'").fetchall())


async def test_simultaneous_sign_ups_of_one_address_create_one_user(
    counterpart: Counterpart, users: psycopg.Connection
) -> None:
    """One sign-up creates the user; all others get `EmailTaken`."""
    number = sign_up_count(counterpart)
    results = await run_sign_ups(counterpart, *["same@example.com"] * number)
    assert sorted(type(result).__name__ for result in results) == ["EmailTaken"] * (number - 1) + ["User"]
    assert users.execute('SELECT count(*) FROM "User"').fetchone() == (2,)


async def test_simultaneous_sign_ups_with_one_key_create_one_user(
    counterpart: Counterpart, users: psycopg.Connection
) -> None:
    """One sign-up creates the user; all others get the same user and its hash."""
    key = bytes(32)
    async with counterpart.proxy(deadline=30) as proxy:
        adding = [
            add(proxy, "Ada", "ada@example.com", f"hash {number}", key) for number in range(sign_up_count(counterpart))
        ]
        entries = await asyncio.gather(*adding)
    assert len({entry.user for entry in entries}) == 1
    assert [entry.password for entry in entries].count(None) == 1
    (stored,) = {entry.password for entry in entries if entry.password is not None}
    query = "SELECT count(*), min(password) FROM \"User\" WHERE email = 'ada@example.com'"
    assert users.execute(query).fetchone() == (1, stored.get_secret_value())


async def test_a_key_is_valid_for_24_hours(counterpart: Counterpart, users: psycopg.Connection) -> None:
    """A repeated key returns its user, even with a different body; after 24 hours it can create another user."""
    key = bytes(32)
    async with counterpart.proxy() as proxy:
        first = await add(proxy, "Ada", "ada@example.com", "x", key)
        repeated = await add(proxy, "Bob", "bob@example.com", "y", key)
        assert (repeated.user, repeated.password) == (first.user, SecretStr("x"))
        users.execute("UPDATE \"User\" SET created_at = created_at - interval '24 hours 1 second'")
        later = await add(proxy, "Bob", "bob@example.com", "y", key)
        assert (later.user.name, later.password) == ("Bob", None)
        users.execute("UPDATE \"User\" SET created_at = created_at - interval '24 hours 1 second'")
        with pytest.raises(EmailTaken):
            await add(proxy, "Bob", "bob@example.com", "y", key)
