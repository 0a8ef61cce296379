"""The tests by which two samples are told apart."""

import random
from collections.abc import Callable, Sequence

import pytest

from bench.samples import kolmogorov_smirnov, mann_whitney

Test = Callable[[Sequence[float], Sequence[float]], float]
BOTH = pytest.mark.parametrize("test", [mann_whitney, kolmogorov_smirnov])


def normal(seed: int, count: int = 300, mean: float = 0, deviation: float = 1) -> list[float]:
    """Return a sample of a normal distribution."""
    draw = random.Random(seed)  # noqa: S311 - figures that can be had again
    return [draw.gauss(mean, deviation) for _ in range(count)]


def test_known_p_values() -> None:
    """By hand: U = 2 of 5 and 6 samples is 2.28 deviations from its mean; D = 0.061 of 1000 each, scaled, is 1.3716.

    Kolmogorov's limiting distribution leaves 2 exp(-2 * 1.3716 ** 2) = 0.0464 beyond that.
    """
    assert mann_whitney([1, 2, 3, 4, 7], [5, 6, 8, 9, 10, 11]) == pytest.approx(0.0225, abs=0.001)
    first = [float(number) for number in range(1000)]
    second = [number + 60.5 for number in first]
    assert kolmogorov_smirnov(first, second) == pytest.approx(0.0464, abs=0.0001)


@BOTH
def test_equal_samples_are_one(test: Test) -> None:
    """A sample is like itself, and like one that is all ties."""
    assert test(normal(1), normal(1)) == pytest.approx(1, abs=0.01)
    assert test([1.0] * 50, [1.0] * 50) == 1


@BOTH
def test_a_shift_is_seen_and_chance_is_not(test: Test) -> None:
    """A shift of half a deviation is seen in 300; of 200 pairs of the same kind about a twentieth look different."""
    assert test(normal(1), normal(2, mean=0.5)) < 0.001
    alarms = sum(test(normal(seed, 60), normal(seed + 1000, 60)) < 0.05 for seed in range(200))
    assert 2 <= alarms <= 20


def test_a_change_of_shape_is_seen_by_one_of_them() -> None:
    """Another spread around the same middle moves no rank on average, and is seen by Kolmogorov and Smirnov."""
    first, second = normal(1, 600), normal(2, 600, deviation=2)
    assert mann_whitney(first, second) > 0.05
    assert kolmogorov_smirnov(first, second) < 0.001
