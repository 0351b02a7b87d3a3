"""What is imported before the port opens, and what it takes: `make imports`.

The service, and plain aiohttp beside it, are started with `-X importtime` several times; of each
module the shortest time counts. Loopback only.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.interpreters import RUNNING, interpreter
from benchmarks.lineup import Contender, lineup
from benchmarks.loads import first_answer
from benchmarks.publish import fill
from benchmarks.servers import Stage, cores

LINE = re.compile(r"import time: +(\d+) \| +(\d+) \| ( *)(\S+)")
NAMES = ("ours", "aiohttp")
ROWS = 24
"""Packages that the table names."""


@dataclass
class Import:
    """A module: its own microseconds, and the module that asked for it first."""

    own: int
    by: str


Imports = dict[str, Import]


@dataclass
class Package:
    """The modules of a package together."""

    name: str
    modules: int
    own: int
    by: str


def main(arguments: Sequence[str]) -> int:
    """Start both, print the tables."""
    parser = argparse.ArgumentParser(prog="make imports ARGS=...", description=__doc__)
    parser.add_argument("--python", default=RUNNING.version, help="as 3.14 [the newest here]")
    parser.add_argument("--rounds", type=int, default=7, help="starts of each [7]")
    parser.add_argument("--publish", action="store_true", help="write docs/performance.md")
    options = parser.parse_args(arguments)
    if missing := interpreter(options.python).missing():
        parser.error(missing)
    field = {c.name: c for c in lineup({"": options.python}) if c.name in NAMES}
    with tempfile.TemporaryDirectory(prefix="imports-") as folder:
        stage = Stage(Path(folder), cores(), "null")
        found = {name: imports(stage, field[name], options.rounds) for name in NAMES}
    said = [f"Python {field['ours'].interpreter.described()['python']}:\n", *table(found)]
    print(*said, sep="\n")
    if options.publish:
        fill("imports", "\n".join(said))
    return 0


def imports(stage: Stage, contender: Contender, rounds: int) -> Imports:
    """Return each module that is imported from the start to the first answer."""
    shortest: Imports = {}
    for _ in range(rounds):
        for name, each in started(stage, contender).items():
            before = shortest.setdefault(name, each)
            before.own = min(before.own, each.own)
    return shortest


def started(stage: Stage, contender: Contender) -> Imports:
    """Start once, and read what `-X importtime` says until an event is answered."""
    watched = replace(contender, environ={**contender.environ, "PYTHONPROFILEIMPORTTIME": "1"})
    with stage.server(watched, "invoke") as server:
        first_answer(server, contender.url("invoke"))
        return read(server.stderr.read_text(errors="replace"))


def read(text: str) -> Imports:
    """Return the modules of a report: each line stands below those of what it imported."""
    found: Imports = {}
    waiting: dict[int, list[str]] = defaultdict(list)
    for own, _, indent, name in LINE.findall(text):
        depth = len(indent)
        found.setdefault(name, Import(int(own), ""))
        for child in waiting.pop(depth + 2, ()):
            found[child].by = found[child].by or name
        waiting[depth].append(name)
    return found


# --- the table


def packages(found: Imports) -> list[Package]:
    """Return the packages by their time, the dearest first; the service's wings apart."""
    together: dict[str, Package] = {}
    for name, each in found.items():
        package = package_of(name)
        own = together.setdefault(package, Package(package, 0, 0, ""))
        own.modules += 1
        own.own += each.own
        if not own.by and package_of(each.by) != package:
            own.by = each.by
    return sorted(together.values(), key=lambda package: -package.own)


def package_of(module: str) -> str:
    """Return the first part of a module's name, and of the service's modules the first two."""
    first, _, rest = module.lstrip("_").partition(".")
    wing = rest.partition(".")[0]
    return f"{first}.{wing}" if first == "fc_event_service" and wing else first


def table(found: Mapping[str, Imports]) -> Iterator[str]:
    """Return what ours imports by packages, with their time in aiohttp's start beside it."""
    ours, theirs = (packages(found[name]) for name in NAMES)
    beside = {package.name: package for package in theirs}
    yield "| package | modules | ms | ms in plain aiohttp's start | first asked for by |"
    yield "| --- | ---: | ---: | ---: | --- |"
    for each in ours[:ROWS]:
        there = f"{beside[each.name].own / 1000:.1f}" if each.name in beside else ""
        by = f"`{each.by}`" if each.by else "the interpreter"
        own = f"{each.own / 1000:.1f}"
        yield f"| `{each.name}` | {each.modules} | {own} | {there} | {by} |"
    yield _row("others", ours[ROWS:], [p for p in theirs if p.name not in _names(ours[:ROWS])])
    yield _row("all", ours, theirs)


def _names(some: Sequence[Package]) -> set[str]:
    return {package.name for package in some}


def _row(title: str, ours: Sequence[Package], theirs: Sequence[Package]) -> str:
    own, other = (sum(package.own for package in each) / 1000 for each in (ours, theirs))
    modules = sum(package.modules for package in ours)
    more = f"{sum(package.modules for package in theirs)} modules there"
    return f"| {title} | {modules} | {own:.1f} | {other:.1f} | {more} |"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
