"""The measurement as a picture, with matplotlib, which the extra `size` has."""

from __future__ import annotations

import io
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..pictures.look import LIGHT
from ..pictures.svg import on_dark_too
from .fit import CallFit
from .recommend import SizeAdvice
from .report import SizeReport

NO_PICTURE = "no picture: it needs matplotlib; install fc-event-service[size]"


def draw_size(report: SizeReport, fitted: CallFit, advice: SizeAdvice, file: Path) -> str:
    """Draw calls a second, times and memory over the concurrency; return "", or why there is no
    picture. Raises UsageError if the file cannot be written.
    """
    plt = pyplot()
    if plt is None:
        return NO_PICTURE
    with plt.rc_context({**LIGHT.style, "axes.grid": True}):
        figure, axes = plt.subplots(1, 3, figsize=(12, 4.2))
        levels = [level for level in report.levels if not level.broken]
        x = [level.at_once for level in levels]
        curve = range(1, max(x, default=1) + 1)
        _draw_rates(axes[0], x, [each.throughput for each in levels], fitted, curve)
        _draw_times(axes[1], x, levels, fitted, curve)
        _draw_means(axes[2], x, levels)
        for panel in axes:
            _over_concurrency(panel, x)
            panel.axvline(advice.concurrency, color=LIGHT.mark, linewidth=1.2, linestyle="--")
        axes[0].annotate(
            f"{advice.concurrency} at once",
            (advice.concurrency, 0.02),
            xycoords=("data", "axes fraction"),
            xytext=(-5, 0),
            textcoords="offset points",
            ha="right",
            color=LIGHT.mark,
        )
        figure.suptitle(
            f"{report.subject.function}: {advice.concurrency} calls at once,"
            f" {advice.size.cpu:g} vCPU, {advice.size.memory} MB",
            x=0.01,
            ha="left",
        )
        return save_picture(plt, figure, file)


def _draw_rates(
    panel: Any, x: Sequence[int], rates: Sequence[float], fitted: CallFit, curve: range
) -> None:
    panel.plot(curve, [*map(fitted.throughput, curve)], color=LIGHT.other, label="fit")
    panel.plot(x, rates, "o", color=LIGHT.ours, label="measured")
    panel.set_yscale("log")
    panel.yaxis.set_major_formatter("{x:,g}")
    panel.set_title("calls a second, full", loc="left")
    panel.legend(frameon=False)


def _draw_times(
    panel: Any, x: Sequence[int], levels: Sequence[Any], fitted: CallFit, curve: range
) -> None:
    panel.plot(
        curve, [1000 * fitted.full(each) for each in curve], color=LIGHT.other, label="fit, full"
    )
    panel.plot(
        x, [1000 * each.full for each in levels], "o", color=LIGHT.ours, label="full, median"
    )
    panel.plot(x, [1000 * each.p99 for each in levels], "s-", color=LIGHT.third, label="p99 at 80%")
    panel.set_ylim(0)
    panel.set_title("ms of a call", loc="left")
    panel.legend(frameon=False)


def _draw_means(panel: Any, x: Sequence[int], levels: Sequence[Any]) -> None:
    memory = [each.memory for each in levels]
    panel.plot(x, memory, "o-", color=LIGHT.third, label="MB")
    panel.set_ylim(0, 1.1 * max(memory, default=1))
    other = panel.twinx()
    other.plot(
        x, [1000 * each.cpu for each in levels], "s-", color=LIGHT.ours, label="CPU ms a call"
    )
    other.set_ylim(0)
    other.grid(visible=False)
    panel.set_title("MB (blue), CPU ms a call (orange)", loc="left")


def _over_concurrency(panel: Any, x: Sequence[int]) -> None:
    panel.set_xscale("log")
    panel.set_xticks(list(x), [str(each) for each in x])
    panel.minorticks_off()
    panel.set_xlabel("calls at once in the instance")


def pyplot() -> Any:
    """Return what draws, None if it is not installed."""
    try:
        import matplotlib
    except ImportError:
        return None
    matplotlib.use("Agg")
    import matplotlib.pyplot

    return matplotlib.pyplot


def save_picture(plt: Any, figure: Any, file: Path) -> str:
    """Write a picture, an SVG with both grounds, whole or not at all; return "". Raises UsageError
    if the file cannot be written.
    """
    fresh = file.with_name(f".{os.getpid()}.{file.name}")
    try:
        figure.tight_layout()
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".svg":
            drawn = io.StringIO()
            figure.savefig(drawn, format="svg", metadata={"Date": None})
            fresh.write_text(on_dark_too(drawn.getvalue()), encoding="utf-8")
        else:
            figure.savefig(fresh, dpi=120)
        fresh.replace(file)
    except (OSError, ValueError) as reason:
        raise UsageError(f"--picture {file}: {reason}; name a file.svg or file.png") from None
    finally:
        plt.close(figure)
        with suppress(OSError):
            fresh.unlink()
    return ""
