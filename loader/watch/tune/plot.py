"""The plot of `loader tune`. The only file that imports matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from loader.watch.tune.recommend import Point

_LINE = "#1f6fb4"
_GREY = "#666666"
_TITLE_COLUMNS = 80


def draw(points: Sequence[Point], chosen: Point, reason: str, path: Path) -> None:
    """Draw samples per second over worker counts: medians as a line, all rounds as dots, the chosen point circled.

    Args:
        points: what was measured; the curve is that of the slots which were measured with most worker counts.
        chosen: the recommended one.
        reason: shown above it.
        path: of a PNG, whatever its name ends with.
    """
    numbers = [point.slots for point in points]
    slots = max(set(numbers), key=numbers.count)
    curve = sorted((point for point in points if point.slots == slots), key=lambda point: point.workers)
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    for point in curve:
        axes.plot([point.workers] * len(point.rates), point.rates, ".", color=_LINE, alpha=0.35, markersize=5)
    axes.plot([point.workers for point in curve], [point.rate for point in curve], "-o", color=_LINE, markersize=4, label=f"{slots} slots")
    for point in points:
        if point.slots != slots:
            axes.plot(point.workers, point.rate, "x", color=_GREY)
            axes.annotate(f"{point.slots} slots", (point.workers, point.rate), textcoords="offset points", xytext=(6, -4), fontsize=8, color=_GREY)
    axes.plot(chosen.workers, chosen.rate, "o", markersize=13, markerfacecolor="none", markeredgecolor="black")
    axes.set(xlabel="workers", ylabel="samples/s", title=textwrap.fill(reason, _TITLE_COLUMNS))
    axes.title.set_fontsize(10)
    axes.set_ylim(bottom=0)
    axes.set_xticks([point.workers for point in curve])
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(path, format="png")
