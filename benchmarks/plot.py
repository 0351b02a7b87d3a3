"""The chart of small events per second: `python -m benchmarks.plot reports/bench/speed.json`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # the backend is chosen before
from matplotlib.axes import Axes

OURS, PEER, LIMIT, TEXT = "#d9480f", "#adb5bd", "#e9ecef", "#343a40"
WORK = "small"


def draw(found: dict[str, Any], files: Sequence[Path]) -> bool:
    """Draw the chart to each file; say whether there was something to draw."""
    contenders = found["works"].get(WORK, {}).get("contenders", {})
    run = {name: each for name, each in contenders.items() if each["median"]}
    if not run:
        return False
    plt.rcParams.update({"font.size": 11, "svg.hashsalt": "speed", "text.color": TEXT})
    figure, axes = plt.subplots(figsize=(8.3, 1.3 + 0.34 * len(run)), layout="constrained")
    _bars(axes, run)
    axes.set_title("Events per second, one process on one core", loc="left", weight="bold")
    figure.supxlabel(_caption(found, run), fontsize=8.5, color="#868e96", x=0.01, ha="left")
    for file in files:
        dates = {"Date": None} if file.suffix == ".svg" else {}
        figure.savefig(file, dpi=200, facecolor="white", metadata=dates)
    plt.close(figure)
    return True


def _bars(axes: Axes, run: dict[str, Any]) -> None:
    rates = [each["median"]["rps"] for each in run.values()]
    colours = [{"ours": OURS, "limit": LIMIT}.get(name, PEER) for name in run]
    bars = axes.barh([each["title"] for each in run.values()], rates, color=colours, height=0.72)
    labels = axes.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=4, color=TEXT)
    axes.set_ylim(len(run) - 0.5, -0.5)
    axes.set_xlim(0, max(rates) * 1.12)
    axes.xaxis.set_visible(False)
    axes.tick_params(axis="y", length=0, colors=TEXT)
    for side in axes.spines.values():
        side.set_visible(False)
    for name, tick, label in zip(run, axes.get_yticklabels(), labels, strict=True):
        if name == "ours":
            for text in (tick, label):
                text.set(weight="bold", color=OURS)


def _caption(found: dict[str, Any], run: dict[str, Any]) -> str:
    machine = found["machine"]
    rounds = max(len(each["rounds"]) for each in run.values())
    work = "1.4 KB of JSON with the platform's headers, both marker lines written, 100 connections"
    where = f"Python {machine['python']}, {machine['cpu']}, {found['date'][:10]}"
    return f"{work}.\nMedian of {rounds} {'round' if rounds == 1 else 'rounds'}. {where}."


if __name__ == "__main__":
    source = Path(sys.argv[1])
    draw(json.loads(source.read_text()), [source.with_suffix(s) for s in (".png", ".svg")])
