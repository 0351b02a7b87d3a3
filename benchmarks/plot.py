"""The chart of small events per second: a bar for each contender and Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # the backend is chosen before
from matplotlib.axes import Axes

WORK = "small"
TEXT, GREY = "#343a40", "#868e96"
COLOURS = {"ours": ("#d9480f", "#ffa94d"), "limit": ("#ced4da", "#e9ecef")}
PEERS = ("#868e96", "#ced4da")
"""The newest Python's colour, and that of the one before."""

Run = dict[str, dict[str, Any]]
"""What a run found of each contender."""


def draw(found: Sequence[dict[str, Any]], files: Sequence[Path]) -> bool:
    """Draw the chart of the two newest Pythons, the oldest first in `found`; say if there was
    anything to draw.
    """
    newest = list(reversed(found))[:2]
    runs = {f"Python {each['python']}": _run(each) for each in newest if _run(each)}
    if not runs:
        return False
    names = list(next(iter(runs.values())))
    plt.rcParams.update({"font.size": 11, "svg.hashsalt": "speed", "text.color": TEXT})
    height = 1.3 + (0.14 + 0.18 * len(runs)) * len(names)
    figure, axes = plt.subplots(figsize=(8.3, height), layout="constrained")
    _bars(axes, names, runs)
    axes.set_title("Events per second, one process on one core", loc="left", weight="bold")
    figure.supxlabel(_caption(newest, runs), fontsize=8.5, color=GREY, x=0.01, ha="left")
    for file in files:
        dates = {"Date": None} if file.suffix == ".svg" else {}
        figure.savefig(file, dpi=200, facecolor="white", metadata=dates)
    plt.close(figure)
    return True


def _run(found: dict[str, Any]) -> Run:
    contenders: Run = found["works"].get(WORK, {}).get("contenders", {})
    return {name: each for name, each in contenders.items() if each["median"]}


def _bars(axes: Axes, names: list[str], runs: dict[str, Run]) -> None:
    """Draw the contenders in the order of the newest Python, a bar for each Python."""
    first, *_ = runs.values()
    thick = 0.78 / len(runs)
    for number, (python, run) in enumerate(runs.items()):
        rates = [run[name]["median"]["rps"] if name in run else 0 for name in names]
        places = [place + (number - (len(runs) - 1) / 2) * thick for place in range(len(names))]
        colours = [COLOURS.get(name, PEERS)[number] for name in names]
        bars = axes.barh(places, rates, height=thick * 0.92, color=colours)
        labels = [f"{rate:,.0f}" if rate else "not run" for rate in rates]
        if len(runs) > 1:
            labels[names.index("ours")] += f"  {python}"
        texts = axes.bar_label(bars, labels, padding=4, color=TEXT, fontsize=9.5)
        texts[names.index("ours")].set(weight="bold", color=COLOURS["ours"][0])
    axes.set_yticks(range(len(names)), [first[name]["title"] for name in names])
    _clean(axes)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, axes.dataLim.x1 * 1.14)
    axes.get_yticklabels()[names.index("ours")].set(weight="bold", color=COLOURS["ours"][0])


def _clean(axes: Axes) -> None:
    axes.xaxis.set_visible(False)
    axes.tick_params(axis="y", length=0, colors=TEXT)
    for side in axes.spines.values():
        side.set_visible(False)


def _caption(found: Sequence[dict[str, Any]], runs: dict[str, Run]) -> str:
    first = found[0]
    rounds = max(len(each["rounds"]) for run in runs.values() for each in run.values())
    work = "1.4 KB of JSON with the platform's headers, both marker lines written, 100 connections"
    each = "dark" if len(runs) > 1 else ""
    said = ", ".join(f"{p}{f' ({each})' if n == 0 and each else ''}" for n, p in enumerate(runs))
    own = "; a run of its own for each Python" if len(runs) > 1 else ""
    median = f"Median of {rounds} {'round' if rounds == 1 else 'rounds'}{own}"
    return f"{work}.\n{median}. {said}; {first['machine']['cpu']}, {first['date'][:10]}."
