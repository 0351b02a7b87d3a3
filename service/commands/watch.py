"""`python -m service watch`: a running service's calls, as a table in the terminal."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..counting.samples import samples_in
from ..errors import UsageError
from ..protocol import METRICS_PATH
from .cancellable import run_cancellable
from .watch_figures import Look, WatchedRow, rows_of

URL = "http://127.0.0.1:9000"
"""Where a service listens, unless it is told otherwise."""

ANSWER_WITHIN = 5.0
"""Seconds that a service has for its answer."""

NEEDS_RICH = "watch needs rich: install fc-event-service[watch], or say --once for plain text"

COLUMNS = ("worker", "calls/s", "p50", "p99", "in flight", "queued", "calls", "errors")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags of `watch`."""
    parser.add_argument("--url", default=URL, help=f"the running service [{URL}]")
    parser.add_argument(
        "--interval", type=float, default=1.0, help="seconds between two looks [1]", metavar="S"
    )
    parser.add_argument(
        "--once", action="store_true", help="two looks, one table as plain text, and the end"
    )
    parser.add_argument(
        "--picture", type=Path, metavar="FILE.svg", help="with --once: draw the table, too"
    )


def watch(flags: argparse.Namespace, cwd: Path) -> int:
    """Show the table until Ctrl-C, or once; return the exit code. Raises UsageError if `rich` is
    missing, or if nothing answers at once.
    """
    if not 0.05 <= flags.interval <= 3600:
        raise UsageError(f"--interval {flags.interval:g}: it takes 0.05 to 3600 seconds")
    if flags.once or not sys.stdout.isatty():
        rows = run_cancellable(_once(flags.url, flags.interval))
        sys.stdout.write(text_table(rows))
        if flags.picture:
            draw_table(flags.picture, flags.url, rows)
        return 0
    try:
        from rich.live import Live
    except ImportError:
        raise UsageError(NEEDS_RICH) from None
    with Live(auto_refresh=False) as live:
        asyncio.run(_until_stopped(_go_on(flags.url, flags.interval, live)))
    return 0


async def _until_stopped(work: Coroutine[Any, Any, None]) -> None:
    """Do the work until Ctrl-C or SIGTERM."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    with suppress(asyncio.CancelledError):
        await task


async def _once(url: str, interval: float) -> list[WatchedRow]:
    before = await _look(url)
    await asyncio.sleep(interval)
    return rows_of(before, await _look(url))


async def _go_on(url: str, interval: float, live: Any) -> None:
    before: Look | None = None
    while True:
        try:
            now = await _look(url)
        except UsageError as reason:
            live.update(_away(reason, interval), refresh=True)
            before = None
        else:
            if before is not None:
                live.update(table(url, rows_of(before, now)), refresh=True)
            before = now
        await asyncio.sleep(interval)


def _away(reason: UsageError, interval: float) -> Any:
    from rich.text import Text

    return Text(f"{reason}\nlooking again every {interval:g} s; Ctrl-C ends")


async def _look(url: str) -> Look:
    """Ask the service. Raises UsageError if it does not answer with metrics."""
    from aiohttp import ClientError, ClientSession, ClientTimeout

    target = url.rstrip("/").removesuffix(METRICS_PATH) + METRICS_PATH
    try:
        async with (
            ClientSession(timeout=ClientTimeout(total=ANSWER_WITHIN)) as session,
            session.get(target, params={"by": "worker"}) as response,
        ):
            text = await response.text(errors="replace")
    except (ClientError, ValueError, TimeoutError) as reason:
        why = str(reason) or "no answer"
        raise UsageError(f"--url {url}: {why}; is the service running there?") from None
    look = Look(time.monotonic(), samples_in(text))
    if not look.workers:
        raise UsageError(
            f"--url {url}: no metrics of this service (HTTP {response.status}); is it one, and"
            " does it have the setting metrics = true?"
        )
    return look


def cells(row: WatchedRow) -> list[str]:
    """Return a row's texts, in the order of the columns."""
    if not row.up and row.who != "all":
        return [row.who, "does not answer", *[""] * 4, str(row.calls), str(row.errors)]
    return [
        row.who,
        f"{row.calls_a_second:.1f}",
        duration(row.p50),
        duration(row.p99),
        str(row.in_flight),
        str(row.queued),
        str(row.calls),
        str(row.errors),
    ]


def duration(seconds: float) -> str:
    """Return a time as it is read at a glance."""
    if seconds != seconds:
        return "-"
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def text_table(rows: list[WatchedRow]) -> str:
    """Return the table as text."""
    lines = [list(COLUMNS), *map(cells, rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(COLUMNS))]
    return "".join(
        "  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) + "\n"
        for line in lines
    )


def draw_table(file: Path, url: str, rows: list[WatchedRow]) -> None:
    """Write the table as a picture. Raises UsageError if the file cannot be written."""
    from ..pictures.table import drawn_table

    drawn = drawn_table(f"{url}, {time.strftime('%H:%M:%S')}", COLUMNS, [*map(cells, rows)])
    try:
        file.write_text(drawn, encoding="utf-8")
    except OSError as reason:
        raise UsageError(f"--picture {file}: {reason.strerror}") from None


def table(url: str, rows: list[WatchedRow]) -> Any:
    """Return the table as rich draws it."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(title=Text(f"{url}, {time.strftime('%H:%M:%S')}; Ctrl-C ends", "table.title"))
    for name in COLUMNS:
        drawn.add_column(name, justify="right")
    for row in rows:
        style = "bold" if row.who == "all" else ("red" if not row.up else "")
        drawn.add_row(*cells(row), style=style)
    return drawn
