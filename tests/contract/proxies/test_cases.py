"""Every dialect makes the same of the same statements; where a counterpart cannot, the table says so and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.proxies.cases import CASES, DIFFERENCES, OUTCOMES, expected, outcome
from tests.contract.proxies.counterparts import NAMES

if TYPE_CHECKING:
    from tests.contract.proxies.counterparts import Counterpart

pytestmark = pytest.mark.anyio


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("name", CASES)
async def test_a_case(counterpart: Counterpart, name: str) -> None:
    """A statement has the outcome of its case, or the accepted other one as long as there is a difference."""
    async with counterpart.proxy() as proxy:
        assert await outcome(proxy, CASES[name].statement, CASES[name].parameters) == expected(name, counterpart.name)


def test_differences_differ() -> None:
    """What the table accepts is another outcome than the usual, of a case and a counterpart that there are."""
    for difference in DIFFERENCES:
        assert difference.reason
        for name in difference.cases:
            assert difference.outcome != OUTCOMES[name]
        assert set(difference.counterparts) <= set(NAMES)
