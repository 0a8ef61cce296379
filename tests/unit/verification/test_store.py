"""The statements of the verification store, and invalid results."""

import time

import pytest

from signup.database.proxy import Rows
from signup.problems import ProxyUnavailable
from signup.verification.store import REMOVE, REQUEST, VERIFY, PostgresVerificationStore
from tests.fakes import FakeProxy, SingleAttempt

pytestmark = pytest.mark.anyio

ADA = ("12", "ada@example.com")


def store(*rows: Rows, webhook: bool = False) -> tuple[PostgresVerificationStore, FakeProxy]:
    """Return a store, and its proxy, which returns these results."""
    proxy = FakeProxy(*rows)
    return PostgresVerificationStore(SingleAttempt(proxy), webhook=webhook), proxy


async def test_each_operation_is_one_statement() -> None:
    """Parameters are text. An option of VERIFY states whether a webhook is sent."""
    deadline = time.monotonic() + 5
    verification_store, proxy = store(
        [[*ADA, "verified"]], [[*ADA, "true"]], [[*ADA, "false"]], [[ADA[1], "accepted"]], webhook=True
    )
    assert await verification_store.verify(*ADA, deadline=deadline) == "verified"
    assert [await verification_store.remove(*ADA, deadline=deadline) for _ in range(2)] == [True, False]
    await verification_store.request(ADA[1], "de", deadline=deadline)
    assert proxy.executed == [
        (VERIFY, (*ADA, '{"webhook":true}')),
        *[(REMOVE, ADA)] * 2,
        (REQUEST, (ADA[1], '{"language":"de"}')),
    ]


@pytest.mark.parametrize(
    "rows",
    [
        *([], [["13", ADA[1], "verified"]], [["12", "eve@example.com", "verified"]], [[*ADA, None]]),
        *([[*ADA, "verified"]] * 2, [["verified"]], [[]]),
    ],
)
async def test_the_result_of_another_request_is_refused(rows: Rows) -> None:
    """If a data proxy mixes up responses, the client gets an error and not the result for another user."""
    for name in ("verify", "remove"):
        verification_store, _ = store(rows)
        with pytest.raises(ProxyUnavailable):
            await getattr(verification_store, name)(*ADA, deadline=time.monotonic() + 5)
