"""A simulated fleet as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...pictures.look import LIGHT
from ..picture import NO_PICTURE, pyplot, save_picture
from .fleet_page import relative
from .simulate import FleetRow, FleetStudy


def draw_fleet(study: FleetStudy, rows: Sequence[FleetRow], file: Path) -> str:
    """Draw a bar for each concurrency: instances, cold starts, p99 and the bill; return "", or why
    there is no picture. Raises UsageError if the file cannot be written.
    """
    plt = pyplot()
    if plt is None:
        return NO_PICTURE
    names = [str(row.at_once) for row in rows]
    calls = [max(row.course.calls, 1) for row in rows]
    panels = {
        "instances at most": [float(row.course.most) for row in rows],
        "% of calls that wait for a start": [
            100 * row.course.cold / each for row, each in zip(rows, calls, strict=True)
        ],
        "p99 in ms": [1000 * row.course.p99 for row in rows],
        "bill, % of the first": [100 * relative(row, rows) for row in rows],
    }
    with plt.rc_context({**LIGHT.style, "axes.grid": True}):
        figure, axes = plt.subplots(1, 4, figsize=(13, 3.8))
        for panel, (title, values) in zip(axes, panels.items(), strict=True):
            bars = panel.bar(names, values, color=LIGHT.third, width=0.7)
            panel.bar_label(bars, [f"{value:,.3g}" for value in values], fontsize=8)
            panel.set_title(title, loc="left")
            panel.set_xlabel("calls at once")
            panel.grid(visible=False, axis="x")
        figure.suptitle(
            f"{study.report.subject.function}: {study.pattern.name}, {study.pattern.most:,g}"
            " calls/s at most",
            x=0.01,
            ha="left",
        )
        return save_picture(plt, figure, file)
