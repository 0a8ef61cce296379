"""Samples of one run as ratios: above 1, ours is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report import spread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bench.workers.load import Sample

__all__ = ["beyond_floor", "hashed", "sign_ups"]

FEW, MANY = 1, 16


def sign_ups(samples: Mapping[tuple[str, int], Sequence[Sample]]) -> dict[str, dict[str, float]]:
    """Of everything but the hash, for each peer that was measured: p50 at one client, requests a second at 16."""
    found = {}
    for peer in _peers(samples):
        found[f"p50_1_vs_{peer}"] = _compared(samples, peer, FEW, lambda mine, other: other.p50 / mine.p50)
        found[f"rps16_vs_{peer}"] = _compared(samples, peer, MANY, lambda mine, other: mine.rate / other.rate)
    return found


def hashed(samples: Mapping[tuple[str, int], Sequence[Sample]]) -> dict[str, dict[str, float]]:
    """Of sign-ups with the hash: requests a second at 16 clients."""
    return {
        f"hashed_rps16_vs_{peer}": _compared(samples, peer, MANY, lambda mine, other: mine.rate / other.rate)
        for peer in _peers(samples)
    }


def beyond_floor(samples: Mapping[tuple[str, int], Sequence[Sample]]) -> dict[str, dict[str, float]]:
    """No ratio: milliseconds of workerd's CPU for a sign-up without the hash, beyond those of one bare fetch."""
    pairs = zip(samples["ours", MANY], samples["floor_fetch", MANY], strict=True)
    return {"cpu_ms_beyond_floor": spread([1000 * (mine.cpu - floor.cpu) for mine, floor in pairs])}


def _peers(samples: Mapping[tuple[str, int], Sequence[Sample]]) -> list[str]:
    names = dict.fromkeys(name for name, _ in samples)
    if "ours" not in names:
        return []
    return [name for name in names if name != "ours" and not name.startswith("floor_")]


def _compared(
    samples: Mapping[tuple[str, int], Sequence[Sample]],
    peer: str,
    clients: int,
    ratio: Callable[[Sample, Sample], float],
) -> dict[str, float]:
    pairs = zip(samples["ours", clients], samples[peer, clients], strict=True)
    return spread([ratio(mine, other) for mine, other in pairs])
