"""The same statements have the same outcome in every dialect, except for the listed differences."""

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
async def test_a_statement_has_the_expected_outcome(counterpart: Counterpart, name: str) -> None:
    """The test also fails if a listed difference no longer occurs."""
    async with counterpart.proxy() as proxy:
        assert await outcome(proxy, CASES[name].statement, CASES[name].parameters) == expected(name, counterpart.name)


def test_listed_differences_are_consistent() -> None:
    """Each difference has a reason, an outcome that differs, and existing cases and servers."""
    for difference in DIFFERENCES:
        assert difference.reason
        for name in difference.cases:
            assert difference.outcome != OUTCOMES[name]
        assert set(difference.counterparts) <= set(NAMES)
