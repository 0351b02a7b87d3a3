"""The chart of `make bench-batching`: calls a second of each server, for each number of callers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # the backend is chosen before

from service.pictures.look import PictureLook, on_both_grounds


def draw(report: Mapping[str, Any], files: Sequence[Path]) -> None:
    """Draw the chart to each file, on light and on dark ground."""
    for look, file in on_both_grounds(files):
        with plt.rc_context(look.style):
            _draw(report, file, look)


def _draw(report: Mapping[str, Any], file: Path, look: PictureLook) -> None:
    names = [name for name in report["rounds"] if name not in report["missing"]]
    ours, others = (look.ours_pale, look.ours), (look.other_pale, look.other)
    figure, axes = plt.subplots(figsize=(8.3, 0.9 + 0.55 * len(names)), layout="constrained")
    for number, count in enumerate(report["callers"]):
        rates = [
            statistics.median(each["rps"] for each in _rounds(report, name, count))
            for name in names
        ]
        places = [place + (number - 0.5) * 0.4 for place in range(len(names))]
        colours = [(ours if name.startswith("ours, @") else others)[number] for name in names]
        bars = axes.barh(places, rates, height=0.37, color=colours)
        labels = [f"{rate:,.0f}  ({count} callers)" for rate in rates]
        axes.bar_label(bars, labels, padding=4, fontsize=9, color=look.quiet)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.spines["bottom"].set_visible(False)
    axes.set_xticks([])
    axes.margins(x=0.2)
    axes.set_title("Calls per second of a model, one core", loc="left", weight="bold")
    figure.savefig(file, dpi=150)
    plt.close(figure)


def _rounds(report: Mapping[str, Any], name: str, count: int) -> Sequence[Mapping[str, float]]:
    by_callers = report["rounds"][name]
    found: Sequence[Mapping[str, float]] = by_callers.get(count) or by_callers[str(count)]
    return found
