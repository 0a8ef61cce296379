"""The plot of a run: each ratio with its spread, and what a sign-up costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib import rc_context

# Not pyplot, which looks for a display and keeps every figure.
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bench.workers.contenders import CONTENDERS
from bench.workers.report import PLAIN

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from matplotlib.axes import Axes

__all__ = ["draw"]

# Okabe and Ito's, which all eyes can tell apart.
_BETTER, _WORSE, _OURS, _OTHERS = "#0072B2", "#D55E00", "#0072B2", "#999999"


def draw(result: Mapping[str, Any], path: Path) -> None:
    """Writes the plot as SVG."""
    figure = Figure(figsize=(11, 9), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
        axes.grid(axis="x", color="#E5E5E5")
    _ratios(left, {name: each for name, each in result["ratios"].items() if name not in PLAIN})
    _costs(right, result["detail"].get("sign-ups", {}))
    # Nothing in it but the plot: no date, and no ids drawn at random.
    with rc_context({"svg.hashsalt": "bench"}):
        figure.savefig(path, metadata={"Date": None})


def _ratios(axes: Axes, ratios: Mapping[str, Mapping[str, float]]) -> None:
    for place, (name, each) in enumerate(reversed(list(ratios.items()))):
        colour = _BETTER if each["median"] >= 1 else _WORSE
        axes.plot([each["min"], each["max"]], [place, place], color=colour, linewidth=2)
        axes.plot([each["median"]], [place], "o", color=colour)
        axes.annotate(f"{each['median']:.2f}", (each["median"], place), (0, 5), textcoords="offset points", ha="center")
        axes.text(-0.01, place, name, transform=axes.get_yaxis_transform(), ha="right", va="center", fontsize=9)
    axes.set_xscale("log")
    axes.axvline(1, color="#444444", linestyle="--", linewidth=1.2)
    axes.set_yticks([])
    axes.set(xlabel="times better than the peer (above 1, ours is better)")
    axes.set_title("Median of the rounds' ratios, and their spread", loc="left", fontsize=11)


def _costs(axes: Axes, found: Mapping[str, Any]) -> None:
    names = [name for name in reversed(list(found)) if "16" in found[name]]
    values = [found[name]["16"]["cpu_us"] for name in names]
    colours = [_OURS if name == "ours" else _OTHERS for name in names]
    bars = axes.barh([CONTENDERS[name].title for name in names], values, color=colours)
    axes.bar_label(bars, fmt="%.0f", padding=3, fontsize=9)
    axes.set(xlabel="µs")
    axes.margins(x=0.15)
    axes.set_title("CPU of workerd a sign-up, without the hash", loc="left", fontsize=11)
