"""The picture of a soak: memory, descriptors, threads, tasks and lag over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib

from tests.soak.course import Course

matplotlib.use("Agg")
from matplotlib import pyplot as plt  # the backend is chosen before

COLOURS = {"async": "#d9480f", "plain": "#1971c2"}
PANELS = {
    "descriptors": "fds",
    "threads": "threads",
    "tasks": "tasks",
    "the loop is late by, ms at p99": "lag_p99",
}


def plot(courses: Sequence[Course], file: Path) -> None:
    """Draw the courses to a file."""
    figure, axes = plt.subplots(
        1 + len(PANELS), 1, figsize=(9, 11), sharex=True, height_ratios=(3, 1, 1, 1, 1)
    )
    memory, *others = axes
    for course in courses:
        colour = COLOURS[course.name]
        memory.plot(*zip(*course.load, strict=True), color=colour, alpha=0.3, linewidth=0.7)
        seconds = [each.second for each in course.samples]
        label = f"{course.name}: {course.slope():+.2f} MB per 100,000 calls"
        memory.plot(seconds, [each.rss for each in course.samples], color=colour, label=label)
        for panel, what in zip(others, PANELS.values(), strict=True):
            scale = 1000 if what == "lag_p99" else 1
            values = [scale * getattr(each, what) for each in course.samples]
            panel.plot(seconds, values, color=colour)
    memory.set_ylabel("resident MB")
    memory.set_ylim(0)
    memory.legend(loc="lower right")
    calls = sum(course.tally.calls for course in courses)
    memory.set_title(f"{calls:,} calls; pale: under load, strong: between rounds", loc="left")
    for panel, title in zip(others, PANELS, strict=True):
        panel.set_title(title, loc="left", fontsize=9)
        panel.set_ylim(0)
    others[-1].set_xlabel("seconds")
    figure.tight_layout()
    figure.savefig(file, dpi=120)
    plt.close(figure)
