"""What is published: the tables of `docs/performance.md` and the plot, from the figures beside it.

A table stands between `<!-- made: NAME -->` and `<!-- end -->`; the text around it is written by
hand. `python -m benchmarks.publish` makes all again from `docs/speed-*.json`.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import report
from benchmarks.report import Results
from benchmarks.works import WORKS

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "performance.md"
PLOTS = ("speed.png",)


def publish() -> None:
    """Write the tables and the plot anew, of all interpreters whose figures are there."""
    found = kept()
    if not found:
        raise SystemExit("there is no docs/speed-*.json: `make bench ARGS=--publish` writes it")
    runs = [report.from_json(each) for each in found]
    fill("conditions", "\n".join(conditions(found)))
    fill("reached", "\n".join(report.summary(runs)))
    for work in WORKS:
        fill(work.name, "\n\n".join(_tables(work.name, runs)))
    print(PAGE)
    draw(found)


def kept(what: str = "speed") -> list[dict[str, Any]]:
    """Return the published runs, the oldest Python first."""
    files = DOCS.glob(f"{what}-3.*.json")
    found = [json.loads(file.read_text()) for file in files]
    return sorted(found, key=lambda each: [int(part) for part in each["python"].split(".")[:2]])


def conditions(found: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Say on what each run was made, a line each."""
    for each in found:
        machine, load = each["machine"], each["options"]["load average before"]
        own = each["interpreters"][".".join(each["python"].split(".")[:2])]
        yield (
            f"- Python {each['python']} ({own['compiler']}), {each['date'][:10]},"
            f" {machine['cores']} cores of {machine['cpu']}; load average before: {load}."
        )


def _tables(name: str, runs: Sequence[Results]) -> Iterator[str]:
    for run in reversed(runs):
        for work in run.works():
            if work.name == name:
                yield "\n".join([f"Python {run.python}:\n", *report.table(work, run)])


def fill(name: str, text: str) -> None:
    """Put a text between the marks of its name, if the page has them."""
    page = PAGE.read_text()
    block = re.compile(rf"(<!-- made: {re.escape(name)} -->\n).*?(<!-- end -->)", re.DOTALL)
    PAGE.write_text(block.sub(lambda marks: f"{marks[1]}\n{text}\n\n{marks[2]}", page))


def draw(found: Sequence[dict[str, Any]]) -> None:
    """Draw the plot; tell if there is nothing to draw it with, or of."""
    try:
        from benchmarks import plot
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)
        return
    if plot.draw(found, [DOCS / name for name in PLOTS]):
        print(*(DOCS / name for name in PLOTS), sep="\n")


if __name__ == "__main__":
    publish()
