"""The picture of a soak: memory, descriptors, threads, tasks and lag over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

from tests.soak.course import Course

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # the backend is chosen before

from service.pictures.look import PictureLook, on_both_grounds

PANELS = {
    "descriptors": "fds",
    "threads": "threads",
    "tasks": "tasks",
    "the loop is late by, ms at p99": "lag_p99",
}


def plot(courses: Sequence[Course], file: Path) -> None:
    """Draw the courses to a file, and on dark ground to one beside it."""
    for look, each in on_both_grounds([file]):
        with plt.rc_context(look.style):
            _plot(courses, each, look)


def _plot(courses: Sequence[Course], file: Path, look: PictureLook) -> None:
    colours = {"async": (look.ours, look.ours_pale), "plain": (look.third, look.other_pale)}
    figure, axes = plt.subplots(
        1 + len(PANELS),
        1,
        figsize=(8.3, 8.3),
        sharex=True,
        height_ratios=(3, 1, 1, 1, 1),
        layout="constrained",
    )
    memory, *others = axes
    for course in courses:
        strong, pale = colours[course.name]
        memory.plot(*zip(*course.load, strict=True), color=pale, alpha=0.6, linewidth=0.7)
        seconds = [each.second for each in course.samples]
        label = f"{course.name}: {course.slope():+.2f} MB per 100,000 calls"
        memory.plot(
            seconds, [each.rss for each in course.samples], color=strong, label=label, zorder=3
        )
        for panel, what in zip(others, PANELS.values(), strict=True):
            scale = 1000 if what == "lag_p99" else 1
            values = [scale * getattr(each, what) for each in course.samples]
            panel.plot(seconds, values, color=strong)
    calls = sum(course.tally.calls for course in courses)
    memory.set_title(f"What two services hold over {calls:,} calls", loc="left", weight="bold")
    memory.set_ylabel("resident MB")
    memory.legend(
        loc="lower right", frameon=False, title="strong: between rounds; pale: under load"
    )
    for panel, title in zip(others, PANELS, strict=True):
        panel.set_title(title, loc="left", fontsize=9.5)
    for panel in axes:
        panel.set_ylim(0, 1.15 * max(panel.get_ylim()[1], 1))
        panel.grid(visible=True, axis="y")
    others[-1].set_xlabel("seconds")
    figure.savefig(file, dpi=150)
    plt.close(figure)
