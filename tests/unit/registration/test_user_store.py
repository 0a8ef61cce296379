"""One statement a user."""

import time

import pytest
from pydantic import SecretStr

from signup.database.proxy import Rows
from signup.problems import EmailTaken, ProxyBusy, ProxyUnavailable
from signup.registration.user_store import SIGN_UP, Entry, PostgresUserStore
from tests.fakes import FakeProxy, Once, stored, user_json, user_row

pytestmark = pytest.mark.anyio
KEY = bytes(range(32))
FIELDS = stored(name="Ada", email="ada@example.com")
ADA = [KEY.hex(), *user_row()[:-1]]


async def add(proxy: FakeProxy) -> Entry:
    """Add Ada."""
    store = PostgresUserStore(Once(proxy))
    return await store.add(FIELDS, SecretStr("$scrypt$"), KEY, deadline=time.monotonic() + 60)


async def test_a_new_user_is_one_statement() -> None:
    """One statement, whose parameters are the values and the key in hexadecimal, and whose row becomes the user."""
    proxy = FakeProxy([[*ADA, None]])
    entry = await add(proxy)
    assert entry.user.model_dump() == user_json()
    assert entry.password is None
    assert proxy.executed == [(SIGN_UP, (*FIELDS, "$scrypt$", KEY.hex()))]


async def test_a_user_who_was_there_comes_with_the_hash() -> None:
    """What a request with this key made is returned as it is there, to be compared."""
    entry = await add(FakeProxy([[KEY.hex(), *user_row("$other$", name="Bob")]]))
    assert (entry.user.name, entry.password) == ("Bob", SecretStr("$other$"))


async def test_a_key_without_a_user_means_that_the_address_is_taken() -> None:
    """The unique index decided; nothing was looked up first."""
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
async def test_an_answer_that_is_no_user_is_the_proxys_fault(rows: Rows) -> None:
    """A proxy that answers something else is not believed, in either direction."""
    with pytest.raises(ProxyUnavailable, match="not a user"):
        await add(FakeProxy(rows))


@pytest.mark.parametrize("key", ["00" * 32, None, ""])
@pytest.mark.parametrize(
    "user", [[*ADA[1:], None], [*ADA[1:], "$other$"], [None] * len(ADA)], ids=["new", "replayed", "taken"]
)
async def test_the_row_of_another_request_is_refused(key: str | None, user: list[str | None]) -> None:
    """An answer without this request's key is not believed, whether it has a user or says that the address is taken."""
    with pytest.raises(ProxyUnavailable, match="row of another request"):
        await add(FakeProxy([[key, *user]]))


async def test_the_proxys_problems_pass() -> None:
    """What the proxy raises reaches the caller."""
    with pytest.raises(ProxyBusy):
        await add(FakeProxy(ProxyBusy("full")))
