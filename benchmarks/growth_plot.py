"""The figure of `make bench-growth`: calls/s and p99, side by side, a row for what grows."""

from __future__ import annotations

import statistics
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # the backend is chosen before
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from service.pictures.look import PictureLook, on_both_grounds

COLUMNS = (("rps", "calls/s"), ("p99", "p99, ms"))
OURS = "fc-event-service"


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


class Curve(NamedTuple):
    """A contender's rounds at each value of a sweep, and how they are drawn."""

    label: str
    points: Mapping[str, Sequence[Mapping[str, float]]]
    style: Mapping[str, Any]


def draw(
    found: Sequence[Mapping[str, Any]], sweeps: Sequence[Sweep], files: Sequence[Path]
) -> None:
    """Draw the figure to each file, on light and on dark ground: all contenders of the newest
    Python, the last one of `found`, and ours of the one before.
    """
    newest = list(reversed(found))[:2]
    here = [sweep for sweep in sweeps if newest[0]["sweeps"].get(sweep.name)]
    for look, file in on_both_grounds(files):
        with plt.rc_context(look.style):
            _draw(newest, here, file, look)


def _draw(
    newest: Sequence[Mapping[str, Any]], here: Sequence[Sweep], file: Path, look: PictureLook
) -> None:
    size = (8.3, 2.6 * len(here) + 0.8)
    figure, grid = plt.subplots(len(here), 2, figsize=size, layout="constrained", squeeze=False)
    for row, sweep in enumerate(here):
        curves = list(_curves(newest, sweep, look))
        for axes, (key, title) in zip(grid[row], COLUMNS, strict=True):
            _panel(axes, list(sweep.points), curves, key)
            axes.set_title(title if row == 0 else "", loc="left", weight="bold")
            axes.set_xlabel(textwrap.fill(sweep.title, 40))
    lines, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(lines, labels, loc="outside upper left", ncols=len(labels), frameon=False)
    told = f"{_told(newest)} Both axes of y are logarithmic."
    figure.supxlabel(told, fontsize=8.5, color=look.quiet, x=0.01, ha="left")
    figure.savefig(file, dpi=200)
    plt.close(figure)


def _told(newest: Sequence[Mapping[str, Any]]) -> str:
    cpu = newest[0]["machine"]["cpu"]
    return f"Python {newest[0]['python']}, one process on one core of {cpu}; the band: all rounds."


def _curves(
    newest: Sequence[Mapping[str, Any]], sweep: Sweep, look: PictureLook
) -> Iterator[Curve]:
    measures = newest[0]["sweeps"][sweep.name]
    others = iter((look.text, look.third, look.other))
    for title, points in measures.items():
        ours = title == OURS
        colour = look.ours if ours else next(others)
        yield Curve(title, points, {"color": colour, "linewidth": 2.4 if ours else 1.4})
    for before in newest[1:]:
        if points := before["sweeps"].get(sweep.name, {}).get(OURS):
            style = {"color": look.ours_pale, "linewidth": 1.8, "linestyle": "--"}
            yield Curve(f"{OURS}, Python {before['python']}", points, style)


def _panel(axes: Axes, names: Sequence[str], curves: Sequence[Curve], key: str) -> None:
    """Draw each curve's medians, and from the lowest to the highest round."""
    for curve in curves:
        there = [(at, curve.points[name]) for at, name in enumerate(names) if name in curve.points]
        places = [place for place, _ in there]
        rounds = [[each[key] for each in found] for _, found in there]
        middle = [statistics.median(each) for each in rounds]
        axes.plot(places, middle, marker="o", markersize=4, label=curve.label, **curve.style)
        lowest, highest = [*map(min, rounds)], [*map(max, rounds)]
        axes.fill_between(places, lowest, highest, color=curve.style["color"], alpha=0.15)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(range(len(names)), names)
    axes.grid(visible=True)
