"""What it costs, as docs/deploy.md says."""

from pathlib import Path

import pytest

from bench import costs

GUIDE = Path(__file__).parents[2] / "docs" / "deploy.md"


def test_the_guide_has_the_tables_as_computed() -> None:
    """Both tables stand in the guide, figure by figure."""
    assert costs.table() in GUIDE.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("requests", "cpu_ms", "dollars"), [(15_000_000, 7, 8.00), (100_000_000, 7, 45.40), (720, 180_000, 6.99)]
)
def test_cloudflares_own_examples_come_out(requests: int, cpu_ms: int, dollars: float) -> None:
    """The examples of Cloudflare's page of prices, which are without logs."""
    cost = costs.WORKERS_BASE + costs.WORKERS_REQUESTS.cost(requests) + costs.WORKERS_CPU_MS.cost(requests * cpu_ms)
    assert round(cost, 2) == dollars


def test_what_is_included_costs_nothing() -> None:
    """Up to the included amount nothing, and from there by the unit."""
    metered = costs.Metered(10, 5, 2.0)
    assert [metered.cost(amount) for amount in (0, 10, 15, 20)] == [0, 0, 2.0, 4.0]


def test_prismas_cheapest_plan_counts() -> None:
    """Few sign-ups are cheapest in the smallest plan, many in the largest."""
    assert costs.prisma(10_000) == 10
    largest = costs.PRISMA[-1]
    sign_ups = 100_000_000
    dearest = largest.base + largest.operations.cost(sign_ups) + largest.gigabytes.cost(costs.gigabytes(sign_ups))
    assert costs.prisma(sign_ups) == dearest
