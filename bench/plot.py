"""The demonstration's plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matplotlib import rc_context

# Not pyplot, which looks for a display and keeps every figure.
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from bench.outcome import Demo

__all__ = ["draw"]

# Okabe and Ito's, which all eyes can tell apart.
_DIRECT = "#D55E00"
_POOLED = "#0072B2"
_LIMIT = "#444444"
_REFUSED = "#D0D0D0"


def draw(demo: Demo, path: Path) -> None:
    """Writes the plot as SVG and PNG.

    Args:
        demo: What to draw.
        path: Without a suffix.
    """
    figure = Figure(figsize=(10, 7), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    parts = figure.subplot_mosaic([["time", "time"], ["outcome", "latency"]], height_ratios=[3, 2])
    figure.suptitle(f"{demo.isolates} isolates, {demo.each} sign-ups each, one Postgres", fontsize=14)
    for axes in parts.values():
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_axisbelow(True)
    _connections(parts["time"], demo)
    _outcome(parts["outcome"], demo)
    _latency(parts["latency"], demo)
    figure.savefig(path.with_suffix(".png"), dpi=150)
    # Nothing in it but the plot: no date, and no ids drawn at random.
    with rc_context({"svg.hashsalt": "pool-demo"}):
        figure.savefig(path.with_suffix(".svg"), metadata={"Date": None})


def _connections(axes: Axes, demo: Demo) -> None:
    for run, colour in ((demo.direct, _DIRECT), (demo.pooled, _POOLED)):
        times = [moment.at for moment in run.moments]
        counts = [moment.connections for moment in run.moments]
        axes.step(times, counts, where="post", color=colour, linewidth=2, label=f"{run.name}: at most {run.most}")
    axes.axhline(
        demo.max_connections,
        color=_LIMIT,
        linestyle="--",
        linewidth=1.2,
        label=f"max_connections = {demo.max_connections}",
    )
    axes.set(xlabel="time (s)", ylabel="connections to Postgres", ylim=(0, demo.max_connections * 1.15))
    axes.set_xlim(left=0)
    axes.set_title("Connections, from pg_stat_activity", loc="left", fontsize=11)
    axes.grid(axis="y", color="#E5E5E5")
    axes.legend(loc="center", frameon=True, facecolor="white", edgecolor="#CCCCCC")


def _outcome(axes: Axes, demo: Demo) -> None:
    runs = (demo.pooled, demo.direct)
    names = [run.name for run in runs]
    answered = [run.answered for run in runs]
    axes.barh(names, answered, height=0.5, color=[_POOLED, _DIRECT], label="answered")
    axes.barh(names, [run.refused for run in runs], height=0.5, left=answered, color=_REFUSED)
    total = demo.isolates * demo.each
    for row, run in enumerate(runs):
        if run.answered > total / 5:
            axes.text(run.answered / 2, row, f"{run.answered}\nanswered", ha="center", va="center", color="white")
        if run.refused > total / 5:
            axes.text(run.answered + run.refused / 2, row, f"{run.refused}\nrefused", ha="center", va="center")
    axes.set(xlabel="sign-ups", xlim=(0, total))
    axes.set_title("What became of the sign-ups", loc="left", fontsize=11)


def _latency(axes: Axes, demo: Demo) -> None:
    labels = ("p50", "p99", "first of an\nisolate, p50")
    width = 0.36
    tallest = 0.0
    for shift, run, colour in ((-width / 2, demo.direct, _DIRECT), (width / 2, demo.pooled, _POOLED)):
        values = [run.milliseconds(0.5), run.milliseconds(0.99), run.milliseconds(0.5, first=True)]
        tallest = max(tallest, *values)
        bars = axes.bar([place + shift for place in range(len(labels))], values, width, color=colour, label=run.name)
        axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=9)
    axes.set_xticks(range(len(labels)), labels)
    axes.set(ylabel="time to the answer (ms)", ylim=(0, tallest * 1.35))
    axes.set_title("Time of those that were answered", loc="left", fontsize=11)
    axes.grid(axis="y", color="#E5E5E5")
    axes.legend(loc="upper center", ncols=2, frameon=False)
