"""What a soak leaves: its figures, its picture, and what docs/reliability.md shows of one.

`python -m tests.soak.report` draws the published picture and its table anew from docs/soak.json.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.soak.course import Course, Sample, table
from tests.soak.traffic import Tally

DOCS = Path(__file__).parents[2] / "docs"
REPORTS = Path("reports")
MARKS = re.compile(r"(<!-- made: soak -->\n).*?(<!-- end -->)", re.DOTALL)
KEPT = 300
"""Looks at a process under load that a report has, at most: the highest of its time each."""


@dataclass
class SoakReport:
    """The courses of a run, with its day, its Python and how long it took."""

    date: str
    python: str
    minutes: float
    courses: Sequence[Course]


def to_json(report: SoakReport) -> str:
    """Return a report as JSON, in which no figure is longer than it is exact."""
    value = asdict(report)
    for course in value["courses"]:
        every = -(-len(course["load"]) // KEPT) or 1
        looks = [course["load"][at : at + every] for at in range(0, len(course["load"]), every)]
        course["load"] = [max(each, key=lambda look: look[1]) for each in looks]
    return json.dumps(rounded(value)) + "\n"


def rounded(value: Any) -> Any:
    """Return a value of JSON with four digits behind the point."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    return [rounded(each) for each in value] if isinstance(value, list | tuple) else value


def from_json(text: str) -> SoakReport:
    """Return the report that was kept."""
    value = json.loads(text)
    for course in value["courses"]:
        course["samples"] = [Sample(**each) for each in course["samples"]]
        course["load"] = [(second, held) for second, held in course["load"]]
        course["tally"] = Tally(**course["tally"])
    return SoakReport(**value | {"courses": [Course(**each) for each in value["courses"]]})


def leave(report: SoakReport, *, publish: bool) -> Iterator[Path]:
    """Write what a run leaves, in the docs, too, if it is published; yield each file."""
    REPORTS.mkdir(exist_ok=True)
    for folder in (REPORTS, DOCS) if publish else (REPORTS,):
        file = folder / "soak.json"
        file.write_text(to_json(report))
        yield file
        yield from drawn(report, folder / "soak.png")
    if publish:
        fill(report)


def drawn(report: SoakReport, file: Path) -> Iterator[Path]:
    """Draw what each service held over time, if there is something to draw with."""
    try:
        from tests.soak.plot import plot
    except ImportError:
        print("No plot: matplotlib is not installed here.")
    else:
        plot(report.courses, file)
        yield file


def fill(report: SoakReport) -> None:
    """Write the table of the page anew."""
    page = DOCS / "reliability.md"
    lines = [
        f"On {report.date}, {report.minutes:g} minutes on Python {report.python}, on two cores that"
        " the clients share with other work:\n",
        *(re.sub(" {2,}", " ", re.sub("-{4,}", "---", line)) for line in table(report.courses)),
    ]
    text = "\n".join(lines)
    page.write_text(MARKS.sub(lambda marks: f"{marks[1]}\n{text}\n\n{marks[2]}", page.read_text()))


if __name__ == "__main__":
    kept = from_json((DOCS / "soak.json").read_text())
    fill(kept)
    print(*drawn(kept, DOCS / "soak.png"))
