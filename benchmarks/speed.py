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
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks import publish, report
from benchmarks.lineup import CONTENDERS, OURS, Contender, lineup
from benchmarks.loads import wrk_is_missing
from benchmarks.measures import verify
from benchmarks.progress import Progress, Step
from benchmarks.report import Results
from benchmarks.servers import NotRun, Stage, cores
from benchmarks.works import FEATURES, WORKS, Work

REPORTS = Path("reports/bench")


def main(arguments: Sequence[str]) -> int:
    """Measure, print the tables, leave the report."""
    options = parsed(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options.load = round(os.getloadavg()[0], 2)
    stage_cores = cores()
    os.sched_setaffinity(0, {stage_cores.load})
    if not stage_cores.apart:
        print("There is one core only: the figures are not comparable.", file=sys.stderr)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="speed-") as folder:
        stage = Stage(Path(folder), stage_cores, options.log)
        try:
            results = measured(stage, options)
        except KeyboardInterrupt:
            print("\nstopped", file=sys.stderr)
            return 130
    print(*report.tables(results), sep="\n")
    minutes, seconds = divmod(round(time.monotonic() - began), 60)
    load = f"the machine's load average was {options.load} when it began"
    print(f"\nPython {results.python}. The run took {minutes}:{seconds:02d}; {load}.")
    save(results, stage, options)
    return 0


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; end with a message where the run is not possible."""
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    names, works = [c.name for c in CONTENDERS], [w.name for w in WORKS]
    parser.add_argument(
        "--python",
        type=_pythons(names),
        default={},
        help="of all contenders, and of single ones: 3.14 or 3.14,ours=3.13 [the newest here]",
    )
    parser.add_argument(
        "--only",
        type=_names(works),
        help=f"works: {', '.join(works)}; of the contenders those whose figures are compared",
    )
    parser.add_argument(
        "--contenders",
        type=_names(names),
        help=f"all, or {', '.join(names)}; with a Python of its own: ours@3.13",
    )
    parser.add_argument("--rounds", type=_positive, help="of each work [2 to 7, as the work needs]")
    parser.add_argument("--seconds", type=_positive, help="of each run of wrk [1 to 8]")
    parser.add_argument("--quick", action="store_true", help="one short round: a trial, no figures")
    parser.add_argument("--log", choices=("pipe", "null"), default="pipe", help="stdout [pipe]")
    parser.add_argument(
        "--publish", action="store_true", help="write docs/performance.md and its files as well"
    )
    options = parser.parse_args(arguments)
    if options.publish and (options.quick or options.only or options.contenders):
        parser.error("--publish needs a whole run: without --quick, --only and --contenders")
    if missing := wrk_is_missing():
        parser.error(missing)
    options.field = field_of(options)
    if absent := options.field[0].interpreter.missing():
        parser.error(f"{absent}: `make bench` makes its environment if that Python can be found")
    return options


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise ValueError(text)
    return number


def _names(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    def names(text: str) -> list[str]:
        found = text.split(",")
        if unknown := {name.partition("@")[0] for name in found} - {*allowed, "all"}:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}")
        return found

    return names


def _pythons(allowed: Sequence[str]) -> Callable[[str], dict[str, str]]:
    def pythons(text: str) -> dict[str, str]:
        found = {}
        for part in text.split(","):
            name, _, version = part.rpartition("=")
            if name not in ("", *allowed) or not re.fullmatch(r"3\.\d+", version):
                raise argparse.ArgumentTypeError(f"{part!r} is not 3.14, or ours=3.14")
            found[name] = version
        return found

    return pythons


def field_of(options: argparse.Namespace) -> list[Contender]:
    """Return everybody who may take part, each on the Python that was asked for."""
    usual = lineup(options.python)
    asked = [name.split("@") for name in options.contenders or () if "@" in name]
    by_name = {contender.name: contender for contender in usual}
    return [*usual, *(by_name[name].on(version) for name, version in asked)]


# --- the run


def measured(stage: Stage, options: argparse.Namespace) -> Results:
    """Do every step; a contender that fails in a work is left out of it from then on."""
    results = Results(options.field[0].interpreter.described()["python"])
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
    yield from checks([work for work in works if work.checked], fields)
    most = max((rounds_of(work, options, OURS) for work in works), default=0)
    for number in range(1, most + 1):
        for work in works:
            seconds = 1 if options.quick else options.seconds or work.seconds
            for contender in rotated(fields[work.name], number - 1):
                if number <= rounds_of(work, options, contender.name):
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
    """Return who takes part in a work, as far as it was asked for.

    If some works only are asked for, they are those whose figures its claims compare, and where it
    claims nothing all.
    """
    if options.only and work.name not in options.only:
        return []
    field = [c for c in options.field if work.name in c.works]
    if options.contenders and "all" not in options.contenders:
        field = [c for c in field if c.name in options.contenders]
    elif options.only and not options.contenders and work.must:
        field = [c for c in field if c.name in work.compared()]
    return [] if work is FEATURES and len(field) < 2 else field  # nothing to compare with


def rounds_of(work: Work, options: argparse.Namespace, name: str) -> int:
    """Return how often a contender does a work: ours, and who is compared with it, the most."""
    if options.quick:
        return 1
    if options.rounds:
        return int(options.rounds)
    judged = not work.must or name.partition("@")[0] in {OURS, *work.compared()}
    return work.rounds if judged else min(work.rounds, work.others)


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


# --- what it leaves


def save(results: Results, stage: Stage, options: argparse.Namespace) -> None:
    """Write JSON and plot, and publish them if that was asked for."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    said = {"quick": options.quick, "log": options.log, "comparable": stage.cores.apart}
    said["load average before"] = options.load
    running = options.field[0].interpreter
    found = report.as_json(results, said, {c.interpreter for c in options.field})
    file = REPORTS / f"speed-{running.version}.json"
    file.write_text(json.dumps(found, indent=1) + "\n")
    print(f"\n{file}")
    if options.publish:
        shutil.copy(file, publish.DOCS / file.name)
        publish.publish()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
