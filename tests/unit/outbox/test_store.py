"""The outbox's statements: their parameters, and invalid results."""

import json
import time
from datetime import UTC, datetime

import pytest
from pydantic import SecretBytes

from signup.database.proxy import Rows
from signup.outbox.message import MAILS, DeliveryFailed, Message
from signup.outbox.store import CLAIM, COUNTS, FAIL, FINISH, Counts, PostgresOutbox
from signup.problems import ProxyUnavailable
from signup.verification.mails import MailComposer
from signup.verification.tokens import TokenSigner
from tests.fakes import FakeProxy, SingleAttempt

pytestmark = pytest.mark.anyio
PAYLOAD = {"name": "Ada", "email": "ada@example.com", "language": "de"}
ROW: list[str | None] = ["5", "key", "verify_email", "7", json.dumps(PAYLOAD), "2", "2026-11-29T12:00:00.500Z"]
CREATED = datetime(2026, 11, 29, 12, 0, 0, 500_000, UTC)
MESSAGE = Message("5", "key", "verify_email", "7", "ada@example.com", "Ada", "de", 2, CREATED)


def outbox(*outcomes: Rows) -> tuple[PostgresOutbox, FakeProxy]:
    """Return an outbox and the proxy that it uses."""
    proxy = FakeProxy(*outcomes)
    return PostgresOutbox(SingleAttempt(proxy)), proxy


def soon() -> float:
    """Return a deadline in 60 s."""
    return time.monotonic() + 60


async def test_claimed_rows_are_messages() -> None:
    """The language may be unknown. The payload has the time of the sign-up if it differs from that of the message."""
    payload = json.dumps(PAYLOAD | {"language": None, "signed_up_at": CREATED.timestamp() - 60})
    store, proxy = outbox([ROW, [*ROW[:4], payload, *ROW[5:]]])
    first, second = await store.claim(MAILS, 10, 60, soon())
    assert first == MESSAGE
    assert (second.language, second.signed_up_at) == ("", datetime(2026, 11, 29, 11, 59, 0, 500_000, UTC))
    ((statement, (options,)),) = proxy.executed
    assert (statement, json.loads(options or "")) == (CLAIM, {"kinds": list(MAILS), "limit": 10, "lease": 60})
    assert "ada" not in repr(first).lower()


async def test_extra_fields_are_part_of_a_message() -> None:
    """Users without extra fields, and rows of earlier versions, have none."""
    rows = [[*ROW[:4], json.dumps(PAYLOAD | more), *ROW[5:]] for more in ({"extra": {"a": 1}}, {"extra": None}, {})]
    store, _ = outbox(rows)
    assert [each.extra for each in await store.claim(MAILS, 10, 60, soon())] == [{"a": 1}, None, None]


async def test_a_user_without_a_name_gets_emails() -> None:
    """The table of another application may allow NULL in the name."""
    store, _ = outbox([[*ROW[:4], json.dumps(PAYLOAD | {"name": None}), *ROW[5:]]])
    (message,) = await store.claim(MAILS, 10, 60, soon())
    signer = TokenSigner([SecretBytes(b"k" * 32)], CREATED.timestamp)
    mail = MailComposer(signer, "https://signup.example/", "Tea", 3600, CREATED.timestamp).compose(message)
    assert (mail.to, "verify?token=" in mail.text) == ("ada@example.com", True)


@pytest.mark.parametrize(
    "row",
    [
        ROW[:-1],
        [*ROW[:4], "{", *ROW[5:]],
        [*ROW[:4], "{}", *ROW[5:]],
        [*ROW[:4], "[]", *ROW[5:]],
        [*ROW[:5], "x", ROW[6]],
        [*ROW[:6], "then"],
        [None] * 7,
    ],
)
async def test_invalid_rows_are_refused(row: list[str | None]) -> None:
    """Such rows may be the response to another request."""
    store, _ = outbox([row])
    with pytest.raises(ProxyUnavailable, match="invalid_response"):
        await store.claim(MAILS, 10, 60, soon())


async def test_results_are_recorded_with_the_attempt_of_the_claim() -> None:
    """The statement has the number of attempts from the claimed row."""
    store, proxy = outbox([["true"]], [["true"]], [["false"]])
    await store.finish(MESSAGE, soon())
    assert await store.fail(MESSAGE, DeliveryFailed("busy", permanent=True, retry_after=9), soon())
    assert not await store.fail(MESSAGE, DeliveryFailed("busy"), soon())
    assert proxy.executed == [
        (FINISH, ("5", "2")),
        (FAIL, ("5", "2", "busy", '{"permanent":true,"retry_after":9}')),
        (FAIL, ("5", "2", "busy", '{"permanent":false,"retry_after":null}')),
    ]


async def test_messages_are_counted() -> None:
    """A result that is not three numbers is an error."""
    store, proxy = outbox([["3", "2", "1"]], [], [["3", "2"]], [[None, "2", "1"]])
    assert await store.counts(soon()) == Counts(3, 2, 1)
    assert proxy.executed == [(COUNTS, ())]
    for _ in range(3):
        with pytest.raises(ProxyUnavailable, match="invalid_response"):
            await store.counts(soon())
