"""How many instructions an event takes: the same number each time, on any machine of a kind,
whatever else runs there.

`make instructions` runs this. Each contender serves events in a process of its own, on transports
to nowhere, under valgrind's callgrind: once few and once many, so that what comes before and after
them cancels out. What the kernel and the sockets take is not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks import inside
from benchmarks.inside import CONTENDERS, WORKS, serve
from benchmarks.interpreters import ROOT, RUNNING, Interpreter, interpreter
from benchmarks.publish import fill

FEW, MANY = 500, 2500
"""Events in the two runs of a contender; the first few hundred warm up caches and the interpreter.
"""

LOOPS = ("asyncio", "uvloop")
MORE = 0.02
"""The share by which an event's instructions may grow over the number that is written down."""

KEPT = ROOT / "docs" / "instructions.json"
"""What an event took on each build of Python, and after which change."""

Figures = Mapping[str, Mapping[str, int]]
"""Instructions an event by work, as `small event on asyncio`, then by contender."""

NOW = 1_800_000_000.0
"""What the clock shows for the whole of a run, in seconds since 1970."""

STEPS = tuple(n * 7919 % 997 * 1e-8 for n in range(1, 997))
"""Seconds by which the monotonic clock goes on each time that it is read: 5 us on average, as it
would without valgrind.
"""

ENVIRON = {
    **{"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0", "PYTHONMALLOC": "pymalloc"},
    **{"SSL_CERT_FILE": os.devnull, "SSL_CERT_DIR": os.devnull},
}
"""The variables of a run. aiohttp reads all certificates when it is imported, which takes longer
under valgrind than all events.
"""

RUN = "import sys; from benchmarks.instructions import run; run(*sys.argv[1:])"


def run(contender: str, work: str, loop: str, count: str) -> None:
    """Serve so many events: what the child process does."""
    # A second that passes makes a new Date header, in one run more often than in another; a call
    # that took its time is looked at, and a thread watches over the loop by a clock of its own.
    time.time = itertools.repeat(NOW).__next__
    time.monotonic = itertools.accumulate(itertools.cycle(STEPS), initial=1000.0).__next__
    inside.SETTINGS["stall_after"] = 0.0
    asyncio.set_event_loop(made := new_loop(loop))
    made.run_until_complete(serve(CONTENDERS[contender], WORKS[work], int(count)))
    os._exit(0)  # without the interpreter's clean-up, which depends on what is left


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """Return uvloop's event loop, or asyncio's."""
    if kind == "asyncio":
        return asyncio.SelectorEventLoop()
    import uvloop

    return uvloop.new_event_loop()


def collected(python: str, contender: str, work: str, loop: str, count: int) -> int:
    """Return the instructions that a whole process takes for so many events."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", python, "-c", RUN]
    command += [contender, work, loop, str(count)]
    if shutil.which("setarch"):
        command[:0] = ["setarch", os.uname().machine, "-R"]  # the same addresses each time
    with open(os.devnull, "w") as nowhere:
        ended = subprocess.run(
            command, env=ENVIRON, stdout=nowhere, stderr=subprocess.PIPE, text=True, check=False
        )
    found = re.search(r"Collected : (\d+)", ended.stderr)
    if ended.returncode or found is None:
        raise SystemExit(f"{contender}, {work} on {loop} failed:\n{ended.stderr[-2000:]}")
    return int(found[1])


def compile_all(python: str, asked: Iterable[tuple[str, str, str]]) -> None:
    """Let the modules be compiled that are imported: whoever comes first would do it."""
    for work, loop, contender in asked:
        command = [python, "-c", RUN, contender, work, loop, str(FEW)]
        subprocess.run(command, env=ENVIRON, stdout=subprocess.DEVNULL, check=True)


def measured(
    python: str, works: Iterable[str], loops: Iterable[str], contenders: Iterable[str]
) -> dict[str, dict[str, int]]:
    """Return the instructions an event. As many are counted at a time as there are cores."""
    found: dict[str, dict[str, int]] = {}

    def counted(asked: tuple[str, str, str]) -> int:
        work, loop, contender = asked
        few, many = (collected(python, contender, work, loop, n) for n in (FEW, MANY))
        return round((many - few) / (MANY - FEW))

    every = list(product(works, loops, contenders))
    compile_all(python, every)
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for (work, loop, contender), number in zip(every, pool.map(counted, every), strict=True):
            print(f"{work} on {loop}: {contender} {number:,}", file=sys.stderr)
            found.setdefault(f"{work} on {loop}", {})[contender] = number
    return found


def table(figures: Figures) -> Iterator[str]:
    """Return the instructions an event as a table, with ours as a share of the others'."""
    contenders = list(next(iter(figures.values())))
    others = [name for name in contenders if name != "ours"]
    shares = [f"ours, of {name}" for name in others] if "ours" in contenders else []
    yield f"| work | {' | '.join([*contenders, *shares])} |"
    yield "| --- |" + " ---: |" * (len(contenders) + len(shares))
    for work, found in figures.items():
        cells = [f"{found[name]:,}" for name in contenders]
        cells += [f"{found['ours'] / found[name]:.2f}" for name in others if shares]
        yield f"| {work} | {' | '.join(cells)} |"


# --- what is written down


def build(python: Interpreter) -> str:
    """Return what the number depends on beside the code: machine, Python and its compiler."""
    found = python.described()
    return f"{platform.machine()}, Python {found['python']}, {found['compiler']}"


def kept() -> dict[str, Any]:
    """Return what is written down: the figures of each build, and the changes."""
    empty: dict[str, Any] = {"builds": {}, "changes": []}
    return json.loads(KEPT.read_text()) if KEPT.exists() else empty


def keep(python: Interpreter, figures: Figures, change: str) -> None:
    """Write the figures down as those after a change, and the tables of docs/performance.md."""
    written, own = kept(), {work: found["ours"] for work, found in figures.items()}
    on = build(python)
    written["builds"].setdefault(on, {}).update(figures)
    written["changes"].append({"change": change, "build": on, "instructions": own})
    KEPT.write_text(json.dumps(written, indent=1) + "\n")
    fill("instructions", "\n\n".join(_tables(written["builds"])))
    fill("changes", "\n".join(_changes(written["changes"])))


def _tables(builds: Mapping[str, Figures]) -> Iterator[str]:
    for on in sorted(builds):
        yield "\n".join([f"{on}:\n", *table(builds[on])])


def _changes(changes: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    works = list(dict.fromkeys(work for each in changes for work in each["instructions"]))
    yield f"| after | {' | '.join(works)} | on |"
    yield f"| --- |{' ---: |' * len(works)} --- |"
    for each in changes:
        numbers = (each["instructions"].get(work) for work in works)
        cells = ["" if number is None else f"{number:,}" for number in numbers]
        yield f"| {each['change']} | {' | '.join(cells)} | {each['build']} |"


def grown(figures: Figures, before: Figures) -> list[str]:
    """Return a line for each work in which ours takes clearly more than is written down."""
    return [
        f"{work}: {found['ours']:,} instructions an event, {found['ours'] / was - 1:+.1%} over the"
        f" {was:,} of docs/instructions.json; `make instructions` shows the peers, and"
        " ARGS='--publish \"what changed\"' writes it down"
        for work, found in figures.items()
        if (was := before.get(work, {}).get("ours")) and found["ours"] > was * (1 + MORE)
    ]


# --- the command


def main(arguments: Sequence[str]) -> int:
    """Count, print the table, and keep the figures; 1 if a check finds more than is written."""
    options = parsed(arguments)
    before = kept()["builds"].get(build(options.python), {})
    if options.check and not before:
        print(f"nothing is written down for {build(options.python)}", file=sys.stderr)
        return 2
    loops = LOOPS if options.loop == "both" else (options.loop,)
    contenders = ("ours",) if options.check else CONTENDERS
    figures = measured(options.python.program, options.work or WORKS, loops, contenders)
    print(f"\ninstructions an event, {build(options.python)}\n", *table(figures), sep="\n")
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(figures, indent=1) + "\n")
    if options.publish:
        keep(options.python, figures, options.publish)
    found = grown(figures, before) if options.check else []
    print(*found, sep="\n")
    return bool(found)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; end with a message if nothing can be counted here."""
    parser = argparse.ArgumentParser(
        prog="make instructions ARGS=...", description=__doc__.split("\n\n")[0]
    )
    parser.add_argument("--python", default=RUNNING, type=_interpreter, help="3.14, or a program")
    parser.add_argument("--loop", choices=("both", *LOOPS), default="both")
    parser.add_argument("--work", choices=WORKS, action="append", help="[all]")
    parser.add_argument("--json", type=Path, default=Path("reports/bench/instructions.json"))
    parser.add_argument("--publish", metavar="CHANGE", help="write it down, as after this change")
    parser.add_argument("--check", action="store_true", help="ours only: 1 if it takes 2%% more")
    options = parser.parse_args(arguments)
    if missing := valgrind_is_missing() or options.python.missing():
        parser.error(missing)
    return options


def _interpreter(text: str) -> Interpreter:
    return Interpreter(text, text) if os.sep in text else interpreter(text)


def valgrind_is_missing() -> str:
    """Say how to get valgrind, or nothing if it is there."""
    if shutil.which("valgrind"):
        return ""
    return "valgrind is missing: on Debian, apt-get install valgrind"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
