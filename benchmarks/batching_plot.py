"""The chart of `make bench-batching`: calls a second of each server, for each number of callers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # the backend is chosen before

TEXT, GREY = "#343a40", "#868e96"
OURS, OTHERS = ("#ffa94d", "#d9480f"), ("#ced4da", "#868e96")
"""Colours of few and of many callers."""


def draw(report: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Draw the chart to each file."""
    callers = report["callers"]
    names = [name for name in report["rounds"] if name not in report["missing"]]
    plt.rcParams.update({"font.size": 11, "text.color": TEXT})
    figure, axes = plt.subplots(figsize=(8.3, 0.9 + 0.55 * len(names)), layout="constrained")
    for number, count in enumerate(callers):
        rates = [
            statistics.median(each["rps"] for each in _rounds(report, name, count))
            for name in names
        ]
        places = [place + (number - 0.5) * 0.4 for place in range(len(names))]
        colours = [(OURS if name.startswith("ours, @") else OTHERS)[number] for name in names]
        bars = axes.barh(places, rates, height=0.37, color=colours)
        labels = [f"{rate:,.0f}  ({count} callers)" for rate in rates]
        axes.bar_label(bars, labels, padding=4, fontsize=9, color=GREY)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.spines[["top", "right", "bottom"]].set_visible(False)
    axes.set_xticks([])
    axes.margins(x=0.2)
    axes.set_title("Calls per second of a model, one core", loc="left", weight="bold")
    for file in files:
        figure.savefig(file, dpi=150, facecolor="white")
    plt.close(figure)


def _rounds(report: Mapping[str, Any], name: str, count: int) -> Sequence[Mapping[str, float]]:
    by_callers = report["rounds"][name]
    found: Sequence[Mapping[str, float]] = by_callers.get(count) or by_callers[str(count)]
    return found
