"""The chart of small events per second: a bar for each contender and Python."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # the backend is chosen before
from matplotlib.axes import Axes

from service.pictures.look import PictureLook, on_both_grounds

WORK = "small"

Run = dict[str, dict[str, Any]]
"""What a run found of each contender."""


def draw(found: Sequence[dict[str, Any]], files: Sequence[Path]) -> bool:
    """Draw the chart of the two newest Pythons, the oldest first in `found`, on light and on dark
    ground; say if there was anything to draw.
    """
    newest = list(reversed(found))[:2]
    runs = {f"Python {each['python']}": _run(each) for each in newest if _run(each)}
    if not runs:
        return False
    names = list(next(iter(runs.values())))
    height = 1.3 + (0.14 + 0.18 * len(runs)) * len(names)
    for look, file in on_both_grounds(files):
        with plt.rc_context(look.style):
            figure, axes = plt.subplots(figsize=(8.3, height), layout="constrained")
            _bars(axes, names, runs, look)
            axes.set_title("Events per second, one process on one core", loc="left", weight="bold")
            said = caption(newest, runs)
            figure.supxlabel(said, fontsize=8.5, color=look.quiet, x=0.01, ha="left")
            dates = {"Date": None} if file.suffix == ".svg" else {}
            figure.savefig(file, dpi=200, metadata=dates)
            plt.close(figure)
    return True


def _run(found: dict[str, Any]) -> Run:
    contenders: Run = found["works"].get(WORK, {}).get("contenders", {})
    return {name: each for name, each in contenders.items() if each["median"]}


def _bars(axes: Axes, names: list[str], runs: dict[str, Run], look: PictureLook) -> None:
    """Draw the contenders in the order of the newest Python, a bar for each Python: the newest
    one's in the stronger colour.
    """
    peers = (look.other, look.other_pale)
    strong = {"ours": (look.ours, look.ours_pale), "limit": (look.other_pale, look.grid)}
    first, *_ = runs.values()
    thick = 0.78 / len(runs)
    for number, (python, run) in enumerate(runs.items()):
        rates = [run[name]["median"]["rps"] if name in run else 0 for name in names]
        places = [place + (number - (len(runs) - 1) / 2) * thick for place in range(len(names))]
        colours = [strong.get(name, peers)[number] for name in names]
        bars = axes.barh(places, rates, height=thick * 0.92, color=colours)
        labels = [f"{rate:,.0f}" if rate else "not run" for rate in rates]
        if len(runs) > 1:
            labels[names.index("ours")] += f"  {python}"
        texts = axes.bar_label(bars, labels, padding=4, color=look.text, fontsize=9.5)
        texts[names.index("ours")].set(weight="bold", color=look.ours)
    axes.set_yticks(range(len(names)), [first[name]["title"] for name in names])
    _clean(axes)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_xlim(0, axes.dataLim.x1 * 1.14)
    axes.get_yticklabels()[names.index("ours")].set(weight="bold", color=look.ours)


def _clean(axes: Axes) -> None:
    axes.xaxis.set_visible(False)
    axes.tick_params(axis="y", length=0)
    for side in axes.spines.values():
        side.set_visible(False)


def caption(found: Sequence[dict[str, Any]], runs: dict[str, Run]) -> str:
    """Say what was measured, and of each Python where and when."""
    work = "1.4 KB of JSON with the platform's headers, both marker lines written, 100 connections"
    bars = ("The upper bar: ", "the lower one, a run of its own: ") if len(runs) > 1 else ("",)
    said = (
        f"{bar}Python {each['python']}, {each['machine']['cpu']}, {each['date'][:10]},"
        f" {_rounds(run)}"
        for bar, each, run in zip(bars, (e for e in found if _run(e)), runs.values(), strict=True)
    )
    return f"{work}.\n" + ";\n".join(said) + "."


def _rounds(run: Run) -> str:
    rounds = max(len(each["rounds"]) for each in run.values())
    return f"median of {rounds} {'round' if rounds == 1 else 'rounds'}"
