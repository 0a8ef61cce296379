"""The plot of `make timing`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["draw"]

# Okabe and Ito's, which all eyes can tell apart.
_COLOURS = {"new": "#0072B2", "known": "#D55E00"}


def draw(times: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Writes the cumulative distributions of both kinds in each mode, as SVG.

    Args:
        times: Milliseconds by mode and kind.
        path: Of the file.
    """
    figure = Figure(figsize=(10, 3.6), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    for axes, (mode, kinds) in zip(figure.subplots(1, len(times), squeeze=False)[0], times.items(), strict=True):
        for kind, values in kinds.items():
            parts = [(number + 1) / len(values) for number in range(len(values))]
            axes.step(sorted(values), parts, where="post", color=_COLOURS[kind], label=f"{kind} address")
        axes.set_title(f"DUPLICATE_RESPONSE={mode}")
        axes.set_xlabel("time of the answer, ms")
        axes.set_ylabel("share answered by then")
        axes.set_ylim(0, 1)
        axes.legend(loc="lower right")
    # Without these an SVG has a date, and ids drawn at random.
    with rc_context({"svg.hashsalt": "timing", "svg.fonttype": "none"}):
        figure.savefig(path, metadata={"Date": None})
