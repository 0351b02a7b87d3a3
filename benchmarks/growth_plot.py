"""The figure of `make bench-growth`: calls/s above, p99 below, a column for what grows."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # the backend is chosen before
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

COLOURS = ("#d9480f", "#495057", "#4dabf7", "#868e96")
GREY = "#868e96"
ROWS = (("rps", "calls/s"), ("p99", "p99, ms"))


class Sweep(Protocol):
    """One thing that grows."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def title(self) -> str:
        """What the axis says."""

    @property
    def points(self) -> Mapping[str, object]:
        """Its values, in their order."""


def draw(found: Mapping[str, Any], sweeps: Sequence[Sweep], files: Sequence[Path]) -> None:
    """Draw the figure to each file."""
    here = [sweep for sweep in sweeps if found["sweeps"].get(sweep.name)]
    plt.rcParams.update({"font.size": 9.5, "text.color": "#343a40"})
    size = (4.3 * len(here) + 0.4, 6.4)
    figure, grid = plt.subplots(2, len(here), figsize=size, layout="constrained", squeeze=False)
    for column, sweep in enumerate(here):
        for row, (key, title) in enumerate(ROWS):
            _curves(grid[row][column], sweep, found["sweeps"][sweep.name], key)
            grid[row][column].set_ylabel(title)
        grid[1][column].set_xlabel("\n".join(sweep.title.replace(", ", ",\n", 1).split("\n")))
    grid[0][0].legend(frameon=False)
    machine = found["machine"]
    said = f"Python {found['python']}, one process on one core of {machine['cpu']}; both axes of"
    figure.supxlabel(f"{said} y are logarithmic.", fontsize=8.5, color=GREY, x=0.01, ha="left")
    for file in files:
        figure.savefig(file, dpi=150, facecolor="white")
    plt.close(figure)


def _curves(axes: Axes, sweep: Sweep, measures: Mapping[str, Any], key: str) -> None:
    """Draw each contender's medians, and from the lowest to the highest round."""
    names = list(sweep.points)
    for (title, points), colour in zip(measures.items(), COLOURS, strict=False):
        there = [(place, points[name]) for place, name in enumerate(names) if name in points]
        places = [place for place, _ in there]
        rounds = [[each[key] for each in found] for _, found in there]
        middle = [statistics.median(each) for each in rounds]
        wide = 2.4 if colour == COLOURS[0] else 1.4
        axes.plot(
            places, middle, color=colour, linewidth=wide, marker="o", markersize=4, label=title
        )
        axes.fill_between(
            places, [*map(min, rounds)], [*map(max, rounds)], color=colour, alpha=0.15
        )
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(range(len(names)), names)
    axes.grid(visible=True, color="#e9ecef")
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
