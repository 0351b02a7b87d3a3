"""How fast, how small and how soon: this service and its peers, side by side in one run.

`make bench` makes an environment with the peers and runs this. Each server has one core, the load
generator another. Every round visits every contender, the order turning from round to round, so
that whatever else the machine does meets all; what counts is the median of the rounds. Before, each
contender is asked once whether it does the whole work. Loopback only.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import report
from benchmarks.lineup import CONTENDERS, Contender
from benchmarks.loads import wrk_is_missing
from benchmarks.report import Results
from benchmarks.servers import NotRun, Stage, cores
from benchmarks.works import COLD, FEATURES, WORKS, Work, verify

REPORTS = Path("reports/bench")
DOCS = Path("docs")
FILES = ("speed.json", "speed.png", "speed.svg")
COLD_ROUNDS = 7


def main(arguments: Sequence[str]) -> int:
    """Measure, print the tables, leave the report."""
    options = parsed(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.load = round(os.getloadavg()[0], 2)
    stage_cores = cores()
    os.sched_setaffinity(0, {stage_cores.load})
    if not stage_cores.apart:
        print("There is one core only: the figures are not comparable.", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        stage = Stage(Path(folder), stage_cores, options.log)
        try:
            results = measured(stage, options)
        except KeyboardInterrupt:
            print("\nstopped", file=sys.stderr)
            return 130
    print(*report.tables(results), sep="\n")
    print(f"\nThe machine's load average was {options.load} when the run began.")
    save(results, stage, options)
    return 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; end with a message where the run is not possible."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    names, works = [c.name for c in CONTENDERS], [w.name for w in WORKS]
    parser.add_argument("--rounds", type=_positive, help="of each work [2 to 7, as the work needs]")
    parser.add_argument("--seconds", type=_positive, help="of each run of wrk [1 or 3]")
    parser.add_argument("--only", type=_names(names), help=f"contenders: {', '.join(names)}")
    parser.add_argument("--work", type=_names(works), help=f"works: {', '.join(works)}")
    parser.add_argument("--quick", action="store_true", help="one short round: a trial, no figures")
    parser.add_argument("--log", choices=("pipe", "null"), default="pipe", help="stdout [pipe]")
    parser.add_argument("--publish", action="store_true", help="write docs/speed.* as well")
    options = parser.parse_args(arguments)
    if options.publish and (options.quick or options.only or options.work):
        parser.error("--publish needs a whole run: without --quick, --only and --work")
    if missing := wrk_is_missing():
        parser.error(missing)
    return options


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def _names(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = text.split(",")
        if unknown := set(found) - set(allowed):
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
        return found

    return names


# --- the run


@dataclass(frozen=True)
class Step:
    """One contender does one work once; round 0 is the check that it does all of it."""

    work: Work
    contender: Contender
    round: int
    seconds: int
    stands_for: tuple[Work, ...]
    """The works that are over for the contender when the step fails."""


def measured(stage: Stage, options: argparse.Namespace) -> Results:
    """Do every step; a contender that fails in a work is left out of it from then on."""
    results = Results()
    steps = list(planned(options))
    progress = Progress(steps)
    for step in steps:
        if not results.reason(step.work, step.contender):
            progress.tell(step)
            attempt(stage, step, results)
        progress.done(step)
    progress.clear()
    return results


def planned(options: argparse.Namespace) -> Iterator[Step]:
    """The steps in their order: the checks, then the rounds."""
    fields = {work.name: field for work in WORKS if (field := entered(work, options))}
    works = [work for work in WORKS if work.name in fields]
    yield from checks(works, fields)
    for number in range(1, max((rounds_of(work, options) for work in works), default=0) + 1):
        for work in works:
            if number <= rounds_of(work, options):
                seconds = 1 if options.quick else options.seconds or work.seconds
                for contender in rotated(fields[work.name], number - 1):
                    yield Step(work, contender, number, seconds, (work,))


def checks(works: list[Work], fields: Mapping[str, list[Contender]]) -> Iterator[Step]:
    """One step for each contender and action: works that ask for the same are checked together."""
    for action in dict.fromkeys(work.action for work in works):
        alike = [work for work in works if work.action == action]
        entries = [(contender, work) for work in alike for contender in fields[work.name]]
        for contender in dict.fromkeys(contender.name for contender, _ in entries):
            own = [(entry, work) for entry, work in entries if entry.name == contender]
            yield Step(own[0][1], own[0][0], 0, 1, tuple(work for _, work in own))


def entered(work: Work, options: argparse.Namespace) -> list[Contender]:
    """Return who takes part in a work, as far as it was asked for."""
    if options.work and work.name not in options.work:
        return []
    field = [c for c in CONTENDERS if work.name in c.works]
    if work is FEATURES and len(field) < 2:  # nothing to compare with
        return []
    return [c for c in field if not options.only or c.name in options.only]


def rounds_of(work: Work, options: argparse.Namespace) -> int:
    """Return how often a work is done by each."""
    if options.quick:
        return 1
    rounds = int(options.rounds or work.rounds)
    return max(rounds, COLD_ROUNDS) if work is COLD else rounds


def rotated(field: list[Contender], by: int) -> list[Contender]:
    """Return the field with another one at its head."""
    by %= len(field)
    return field[by:] + field[:by]


def attempt(stage: Stage, step: Step, results: Results) -> None:
    """Do a step and keep its figures, or the reason why there are none."""
    work, contender = step.work, step.contender
    try:
        if missing := contender.missing():
            raise NotRun(missing)
        if step.round == 0:
            verify(stage, contender, work.action)
        else:
            results.add(work, contender, work.measure(stage, contender, step.seconds))
    except (NotRun, OSError, subprocess.SubprocessError) as reason:
        said = str(reason).replace(f"{stage.folder}{os.sep}", "") or type(reason).__name__
        for each in step.stands_for:
            results.leave_out(each, contender, said)


class Progress:
    """One line on stderr: what runs now, and how long the rest will take."""

    def __init__(self, steps: list[Step]) -> None:
        self._left = list(steps)
        self._took: dict[tuple[str, str, bool], float] = {}
        self._began = time.monotonic()
        self._rounds = max((step.round for step in steps), default=0)
        self._width = 0

    def tell(self, step: Step) -> None:
        """Show the step that begins."""
        self._began = time.monotonic()
        minutes, seconds = divmod(round(sum(map(self._expected, self._left))), 60)
        turn = f"round {step.round} of {self._rounds}" if step.round else "check"
        line = f"{turn}  {step.work.name}  {step.contender.title}  {minutes}:{seconds:02d} left"
        if sys.stderr.isatty():
            print(f"\r{line:<{self._width}}", end="", file=sys.stderr, flush=True)
            self._width = len(line)
        else:
            print(line, file=sys.stderr, flush=True)

    def done(self, step: Step) -> None:
        """Learn from how long the step took."""
        self._left.remove(step)
        self._took[_kind(step)] = time.monotonic() - self._began
        self._began = time.monotonic()

    def clear(self) -> None:
        """Leave an empty line."""
        if sys.stderr.isatty():
            print(f"\r{'':<{self._width}}\r", end="", file=sys.stderr, flush=True)

    def _expected(self, step: Step) -> float:
        """Return the time of the same step before, or a guess."""
        guess = 0.8 if step.round == 0 else 1.0 + (step.seconds if step.work.seconds > 1 else 0.5)
        return self._took.get(_kind(step), guess)


def _kind(step: Step) -> tuple[str, str, bool]:
    return (step.work.name, step.contender.name, step.round == 0)


# --- what it leaves


def save(results: Results, stage: Stage, options: argparse.Namespace) -> None:
    """Write JSON and plots, and copy them where they are published."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (REPORTS / name).unlink(missing_ok=True)
    said = {"quick": options.quick, "log": options.log, "comparable": stage.cores.apart}
    said["load average before"] = options.load
    found = report.as_json(results, said)
    (REPORTS / FILES[0]).write_text(json.dumps(found, indent=1) + "\n")
    drawn = draw(found)
    print(f"\n{', '.join(str(REPORTS / name) for name in (FILES if drawn else FILES[:1]))}")
    if options.publish:
        for name in FILES if drawn else FILES[:1]:
            shutil.copy(REPORTS / name, DOCS / name)
            print(f"{DOCS / name}")


def draw(found: dict[str, object]) -> bool:
    """Draw the plots; tell when there is nothing to draw them with, or of."""
    try:
        from benchmarks import plot
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)
        return False
    return plot.draw(found, [REPORTS / name for name in FILES[1:]])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
