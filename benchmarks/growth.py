"""How cost grows with connections, with the body's size, and with how long the handler waits.

`make bench-growth` runs this, and leaves `reports/bench/growth-3.14.json` and a figure. Ours, plain
aiohttp and granian run one after another on one core, the order turning from round to round, the
load on another; each point is a short run of wrk. Loopback only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import loads
from benchmarks.interpreters import RUNNING, interpreter
from benchmarks.lineup import Contender, lineup
from benchmarks.loads import Load, wrk_is_missing
from benchmarks.publish import DOCS, PAGE, fill, kept
from benchmarks.report import machine
from benchmarks.servers import NotRun, Stage, cores

REPORTS = Path("reports/bench")
NAMES = ("ours", "aiohttp", "granian")
FIGURES = ("rps", "p99")

SHOWN = """\
<picture><source media="(prefers-color-scheme: dark)" srcset="growth-dark.png">
![calls a second and p99 over connections, size and wait](growth.png)</picture>"""
"""The figure in the page."""

Points = dict[str, list[dict[str, float]]]
"""The figures of each round at each point of a sweep."""


@dataclass(frozen=True)
class Sweep:
    """One thing that grows, and what each of its values asks for."""

    name: str
    title: str
    action: str
    points: Mapping[str, tuple[Load, loads.Sent]]


def connections(number: int) -> tuple[Load, loads.Sent]:
    """Return a load of small events on so many connections, which take a while to open."""
    return Load(number, 2 if number < 2000 else 3), loads.SMALL


def size(number: int) -> tuple[Load, loads.Sent]:
    """Return a load of bodies of so many bytes, on fewer connections if they are large."""
    few, seconds = (16, 2) if number < loads.MB else (4, 3)
    return Load(few, seconds), loads.filler(number)


def wait(milliseconds: int) -> tuple[Load, loads.Sent]:
    """Return a load of events whose handler waits, long enough for several answers each."""
    seconds = 2 if milliseconds < 500 else 4
    return Load(200, seconds, milliseconds / 1000), loads.waiting(milliseconds)


KB = 1024
SIZES = {"100 B": 100, "1 KB": KB, "10 KB": 10 * KB, "100 KB": 100 * KB, "1 MB": loads.MB}
SIZES |= {"8 MB": 8 * loads.MB, "32 MB": 32 * loads.MB}
SWEEPS = (
    Sweep(
        "connections",
        "connections, small events",
        "invoke",
        {f"{n:,}": connections(n) for n in (1, 10, 100, 500, 1000, 2000, 5000)},
    ),
    Sweep(
        "size",
        "size of the body, read whole; 16 connections, from 1 MB on 4",
        "read",
        {text: size(number) for text, number in SIZES.items()},
    ),
    Sweep(
        "wait",
        "milliseconds that the handler awaits, 200 connections",
        "wait",
        {f"{n}": wait(n) for n in (0, 1, 5, 20, 100, 500, 1000)},
    ),
)


def main(arguments: Sequence[str]) -> int:
    """Measure, print the tables, draw the figure."""
    parser = argparse.ArgumentParser(prog="make bench-growth ARGS=...", description=__doc__)
    parser.add_argument("--python", default=RUNNING.version, help="as 3.14 [the newest here]")
    parser.add_argument("--rounds", type=int, default=2, help="of each point [2]")
    parser.add_argument("--seconds", type=int, help="of each point [2 to 4, as it needs]")
    parser.add_argument("--only", choices=[sweep.name for sweep in SWEEPS], action="append")
    parser.add_argument("--publish", action="store_true", help="write docs/growth* as well")
    options = parser.parse_args(arguments)
    if missing := wrk_is_missing() or interpreter(options.python).missing():
        parser.error(missing)
    place = cores()
    os.sched_setaffinity(0, {place.load})
    with tempfile.TemporaryDirectory(prefix="growth-") as folder:
        found = measured(Stage(Path(folder), place, "pipe"), options)
    print(*tables(found), sep="\n")
    save(found, options)
    return 0


def measured(stage: Stage, options: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of each sweep and contender."""
    field = [c for c in lineup({"": options.python}) if c.name in NAMES]
    sweeps = [sweep for sweep in SWEEPS if not options.only or sweep.name in options.only]
    found: dict[str, dict[str, Points]] = {sweep.name: {} for sweep in sweeps}
    began = time.monotonic()
    for number in range(options.rounds):
        for sweep in sweeps:
            for contender in [*field[number % 3 :], *field[: number % 3]]:
                took = time.monotonic() - began
                print(
                    f"{took:4.0f} s  round {number + 1} of {options.rounds}  {sweep.name}"
                    f"  {contender.title}",
                    file=sys.stderr,
                )
                points = found[sweep.name].setdefault(contender.title, {})
                climb(stage, contender, sweep, options.seconds, points)
    described = field[0].interpreter.described()
    return {"python": described["python"], "machine": machine(), "sweeps": found}


def climb(
    stage: Stage, contender: Contender, sweep: Sweep, seconds: int | None, points: Points
) -> None:
    """Measure a contender at each point of a sweep; what it cannot do stays without figures."""
    if why := contender.missing():
        print(f"{contender.title} is not run: {why}", file=sys.stderr)
        return
    path = contender.url(sweep.action)
    try:
        with stage.server(contender, sweep.action) as server:
            loads.warm(server, path)
            for point, (load, sent) in sweep.points.items():
                load = Load(load.connections, seconds or load.seconds, load.least)
                try:
                    figures = load.run(server, path, stage.folder, sent)
                except NotRun as reason:
                    print(f"{contender.title}, {point}: {reason}", file=sys.stderr)
                    server.check_alive()
                else:
                    points.setdefault(point, []).append(figures)
    except NotRun as reason:
        print(f"{contender.title}: {reason}", file=sys.stderr)


# --- what it leaves


def median(rounds: Sequence[Mapping[str, float]], key: str) -> float:
    """Return the median of a figure over the rounds."""
    return statistics.median(each[key] for each in rounds)


def tables(found: Mapping[str, Any]) -> Iterator[str]:
    """Return a table of each sweep: calls/s, p99, and the CPU time of a call."""
    for sweep in SWEEPS:
        if sweep.name not in found["sweeps"]:
            continue
        measures = found["sweeps"][sweep.name]
        yield f"\n{sweep.title[0].upper()}{sweep.title[1:]}: calls/s, p99 ms, CPU µs a call\n"
        yield f"| | {' | '.join(sweep.points)} |"
        yield f"| --- |{' ---: |' * len(sweep.points)}"
        for title, points in measures.items():
            cells = [_cell(points[point]) if point in points else "" for point in sweep.points]
            yield f"| {title} | {' | '.join(cells)} |"


def _cell(rounds: Sequence[Mapping[str, float]]) -> str:
    rps, p99, cpu = (median(rounds, key) for key in ("rps", "p99", "cpu"))
    failed = sum(each["non_2xx"] + each["socket_errors"] for each in rounds)
    faults = f", **{failed:,.0f} failed**" if failed else ""
    return f"{rps:,.0f}, {p99:,.1f}, {cpu:,.0f}{faults}"


def save(found: Mapping[str, Any], options: argparse.Namespace) -> None:
    """Write JSON and figure, and publish them if that was asked for."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps(found, indent=1) + "\n"
    files = [REPORTS / f"growth-{options.python}.json"]
    files[0].write_text(text)
    files += draw([found], REPORTS / "growth.png")
    if options.publish:
        (DOCS / files[0].name).write_text(text)
        files += publish()
    print("", *files, sep="\n")


def publish() -> list[Path]:
    """Write the page's tables and figure anew, of each Python whose figures are kept beside it;
    return the files.
    """
    found = kept("growth")
    made = [f"Python {each['python']}:\n" + "\n".join(tables(each)) for each in reversed(found)]
    figure = draw(found, DOCS / "growth.png")
    shown = [SHOWN] if figure else []
    fill("growth", "\n\n".join([*shown, *made]))
    return [PAGE, *figure]


def draw(found: Sequence[Mapping[str, Any]], file: Path) -> list[Path]:
    """Draw the figure, and return its file; none if there is nothing to draw with."""
    try:
        from benchmarks import growth_plot
    except ImportError:
        print("no figure: matplotlib is not installed", file=sys.stderr)
        return []
    growth_plot.draw(found, SWEEPS, [file])
    return [file]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
