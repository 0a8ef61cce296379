"""The user store: one statement per user."""

import json
import time
from dataclasses import asdict

import pytest
from pydantic import SecretStr

from signup.database.proxy import Rows
from signup.problems import BadInvitation, EmailTaken, ProxyBusy, ProxyUnavailable
from signup.registration.user_store import (
    SIGN_UP,
    SIGN_UP_RECORDED,
    SIGN_UP_WITH_DETAILS,
    Details,
    Entry,
    InvitationUse,
    PostgresUserStore,
    Recording,
)
from tests.fakes import FakeProxy, SingleAttempt, stored, user_json, user_row

pytestmark = pytest.mark.anyio
KEY = bytes(range(32))
FIELDS = stored(name="Ada", email="ada@example.com")
ADA = [KEY.hex(), *user_row()[:-1]]


async def add(proxy: FakeProxy) -> Entry:
    """Add the user Ada."""
    store = PostgresUserStore(SingleAttempt(proxy))
    return await store.add(FIELDS, SecretStr("$scrypt$"), KEY, deadline=time.monotonic() + 60)


async def test_a_new_user_takes_one_statement() -> None:
    """The parameters are the fields, the hash and the key in hexadecimal. The user is built from the returned row."""
    proxy = FakeProxy([[*ADA, None]])
    entry = await add(proxy)
    assert entry.user.model_dump() == user_json()
    assert entry.password is None
    assert proxy.executed == [(SIGN_UP, (*FIELDS, "$scrypt$", KEY.hex()))]


@pytest.mark.parametrize(
    ("details", "extra"),
    [(Details(extra={"a": 1}), {"a": 1}), (Details(extra={}), {"a": 1}), (Details(terms="1"), None)],
)
async def test_only_configured_extra_fields_are_read(details: Details, extra: object) -> None:
    """A column `extra` of another application may have any text."""
    text = "theirs" if extra is None else json.dumps(extra)
    store = PostgresUserStore(SingleAttempt(FakeProxy([[*ADA, None, "false", text, None]])))
    entry = await store.add(FIELDS, SecretStr("$"), KEY, deadline=time.monotonic() + 60, details=details)
    assert entry.extra == extra


async def test_an_existing_user_is_returned_with_the_hash() -> None:
    """An earlier request with this key created the user; the caller compares the password."""
    entry = await add(FakeProxy([[KEY.hex(), *user_row("$other$", name="Bob")]]))
    assert (entry.user.name, entry.password) == ("Bob", SecretStr("$other$"))


async def test_a_row_without_a_user_means_that_the_address_is_taken() -> None:
    """The unique index enforces uniqueness; the address is not looked up first."""
    proxy = FakeProxy([[KEY.hex(), *[None] * len(ADA)]])
    with pytest.raises(EmailTaken):
        await add(proxy)
    assert len(proxy.executed) == 1


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [[KEY.hex(), "x", *ADA[2:], None]],
        [["1"]],
        [ADA],
        [[*ADA, None, None]],
        [[*ADA[:-1], None, None]],
        [[*ADA, None], [*ADA, None]],
    ],
)
async def test_an_invalid_row_raises_proxy_unavailable(rows: Rows) -> None:
    """An invalid row means neither success nor a taken address."""
    with pytest.raises(ProxyUnavailable, match="invalid_response"):
        await add(FakeProxy(rows))


@pytest.mark.parametrize("key", ["00" * 32, None, ""])
@pytest.mark.parametrize(
    "user", [[*ADA[1:], None], [*ADA[1:], "$other$"], [None] * len(ADA)], ids=["new", "replayed", "taken"]
)
async def test_the_row_of_another_request_is_rejected(key: str | None, user: list[str | None]) -> None:
    """A row without this request's key is rejected, with or without a user."""
    with pytest.raises(ProxyUnavailable, match="mismatched_row"):
        await add(FakeProxy([[key, *user]]))


async def test_problems_of_the_proxy_are_raised() -> None:
    """The caller gets the problem unchanged."""
    with pytest.raises(ProxyBusy):
        await add(FakeProxy(ProxyBusy("no_free_connection")))


async def test_messages_are_recorded_by_the_same_statement() -> None:
    """The last parameter has the options of the messages; the last column states whether the address is verified."""
    recording = Recording(verify=True, ttl=3600, webhook=False, conceal=True)
    rows: list[Rows] = [
        [[*ADA, None, "false"]],
        [[*ADA, "$other$", "true"]],
        [[KEY.hex(), *[None] * (len(ADA) + 1)]],
        [[*ADA, None]],
        [[KEY.hex()]],
    ]
    proxy = FakeProxy(*rows)
    store = PostgresUserStore(SingleAttempt(proxy), recording)

    async def add_in_german() -> Entry:
        deadline = time.monotonic() + 60
        return await store.add(FIELDS, SecretStr("$scrypt$"), KEY, deadline=deadline, details=Details("de"))

    assert [(await add_in_german()).email_verified for _ in range(2)] == [False, True]
    with pytest.raises(EmailTaken):
        await add_in_german()
    for _ in range(2):
        with pytest.raises(ProxyUnavailable, match="invalid_response"):
            await add_in_german()
    statement, (*parameters, options) = proxy.executed[0]
    assert (statement, parameters) == (SIGN_UP_RECORDED, [*FIELDS, "$scrypt$", KEY.hex()])
    expected = {"verify": True, "ttl": 3600, "webhook": False, "conceal": True, "language": "de"}
    assert json.loads(options or "") == expected


async def test_details_are_stored_by_the_same_statement() -> None:
    """The details are options of the SQL function, with and without messages. The stored extra fields are returned."""
    invitation = InvitationUse("a", uses=2, expires_at=9, verified=False, count_taken=True)
    details = Details("", "2026-11", {"newsletter": True}, invitation)
    for recording in (None, Recording(verify=True, ttl=3600, webhook=False, conceal=True)):
        proxy = FakeProxy([[*ADA, None, "false", '{"newsletter": true}', None]])
        store = PostgresUserStore(SingleAttempt(proxy), recording)
        deadline = time.monotonic() + 60
        entry = await store.add(FIELDS, SecretStr("$scrypt$"), KEY, deadline=deadline, details=details)
        assert entry.extra == details.extra
        statement, (*_, options) = proxy.executed[0]
        assert statement == SIGN_UP_WITH_DETAILS
        parsed_options = json.loads(options or "")
        assert (
            parsed_options.items()
            >= {"terms": "2026-11", "extra": details.extra, "invitation": asdict(invitation)}.items()
        )
        assert ("verify" in parsed_options) == (recording is not None)


async def test_a_used_invitation_raises_bad_invitation() -> None:
    """The row has only the key and the reason for the refusal.

    Without a reason, the address is taken. An unknown reason is an invalid response.
    """
    details = Details(invitation=InvitationUse("a", uses=1, expires_at=9, verified=False, count_taken=False))
    for refusal, problem in (("invitation_used", BadInvitation), (None, EmailTaken), ("later", ProxyUnavailable)):
        store = PostgresUserStore(SingleAttempt(FakeProxy([[KEY.hex(), *[None] * (len(ADA) + 2), refusal]])))
        with pytest.raises(problem):
            await store.add(FIELDS, SecretStr("$scrypt$"), KEY, deadline=time.monotonic() + 60, details=details)
