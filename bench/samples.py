"""Are two samples one? Two-sided tests with their limiting distributions."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import groupby
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["kolmogorov_smirnov", "mann_whitney"]


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """The p-value of Mann and Whitney's U (1947), corrected for ties and continuity.

    Small when one sample tends to be larger than the other.
    """
    n, m = len(first), len(second)
    ranks, ties, rank = 0.0, 0, 0
    pairs = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    for _, group in groupby(pairs, key=lambda pair: pair[0]):
        members = [kind for _, kind in group]
        ranks += members.count(0) * (rank + (len(members) + 1) / 2)
        rank += len(members)
        ties += len(members) ** 3 - len(members)
    u = ranks - n * (n + 1) / 2
    variance = n * m / 12 * (n + m + 1 - ties / ((n + m) * (n + m - 1)))
    if not variance:
        return 1.0
    z = max(0.0, abs(u - n * m / 2) - 0.5) / math.sqrt(variance)
    return 2 * NormalDist().cdf(-z)


def kolmogorov_smirnov(first: Sequence[float], second: Sequence[float]) -> float:
    """The p-value of the two-sample test of Kolmogorov and Smirnov, with Stephens' (1970) correction.

    Small when the distributions differ anywhere.
    """
    n, m = len(first), len(second)
    one, other = sorted(first), sorted(second)
    distance = max(abs(bisect_right(one, value) / n - bisect_right(other, value) / m) for value in one + other)
    size = math.sqrt(n * m / (n + m))
    scaled = (size + 0.12 + 0.11 / size) * distance
    # Below this the alternating series has not converged in a hundred terms, and its limit is 1.
    if scaled < 0.2:  # noqa: PLR2004
        return 1.0
    terms = ((-1.0) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return min(1.0, max(0.0, 2 * math.fsum(terms)))
