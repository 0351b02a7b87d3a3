"""What was found: the tables that are printed, and the JSON that is kept."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.claims import Claim, Medians, Value
from benchmarks.interpreters import Interpreter
from benchmarks.lineup import OURS, Contender
from benchmarks.measures import Figures
from benchmarks.works import WORKS, Column, Work


@dataclass
class Results:
    """The figures of each round, and why a contender has none; by work, then by contender."""

    python: str
    """The exact version of the interpreter that all have but those that say so."""
    figures: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    """Of contenders, by name."""
    notes: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, work: Work, contender: Contender, figures: Figures) -> None:
        """Keep the figures of a round."""
        self._know(work, contender)
        self.figures.setdefault(work.name, {}).setdefault(contender.name, []).append(figures)

    def leave_out(self, work: Work, contender: Contender, reason: str) -> None:
        """Keep the reason; the figures there were do not count."""
        self._know(work, contender)
        self.reasons.setdefault(work.name, {})[contender.name] = reason
        self.figures.get(work.name, {}).pop(contender.name, None)

    def _know(self, work: Work, contender: Contender) -> None:
        self.titles[contender.name] = contender.title
        own = contender.interpreter.version
        other = "" if self.python.startswith(f"{own}.") else f"Python {own}"
        said = (contender.note, contender.notes.get(work.name), other)
        note = "; ".join(filter(None, said)) if work.checked else ""
        self.notes.setdefault(work.name, {})[contender.name] = note

    def reason(self, work: Work, contender: Contender) -> str:
        """Return why it was not run, or nothing."""
        return self.reasons.get(work.name, {}).get(contender.name, "")

    def works(self) -> list[Work]:
        """Return the works that were tried."""
        return [work for work in WORKS if work.name in self.figures or work.name in self.reasons]

    def medians(self, work: Work) -> Medians:
        """Return the median of each figure over the rounds."""
        found = self.figures.get(work.name, {})
        return {name: _median(rounds) for name, rounds in found.items()}


def _median(rounds: list[Figures]) -> Figures:
    return {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}


# --- tables


def tables(results: Results) -> Iterator[str]:
    """Return a table for each work, and the summary."""
    for work in results.works():
        yield f"\n## {work.title}, Python {results.python}\n"
        yield from table(work, results)
        if work.note:
            yield f"\n{work.note}"
    yield "\n## What is to be reached\n"
    yield from summary([results])


def table(work: Work, results: Results) -> Iterator[str]:
    """Return the table of one work."""
    titles = [column.title for column in work.columns]
    baseline = results.titles.get(work.baseline, work.baseline)
    yield f"| | {' | '.join(titles)} | to {baseline} | range | |"
    yield f"| --- |{' ---: |' * (len(titles) + 2)} --- |"
    medians = results.medians(work)
    for name in _ordered(work, medians):
        cells = [_cell(column, medians[name]) for column in work.columns]
        cells += [_ratio(work, medians, name), _range(work, results, name)]
        yield f"| {_title(results, name)} | {' | '.join(cells)} | {_note(work, results, name)} |"
    for name, reason in results.reasons.get(work.name, {}).items():
        blank = " |" * (len(titles) + 2)
        why = " ".join(reason.split()).replace("|", "/")
        yield f"| {_title(results, name)} |{blank} not run: {why} |"


def _ordered(work: Work, medians: Medians) -> list[str]:
    key = work.columns[0].key
    return sorted(medians, key=lambda name: medians[name][key], reverse=work.more_is_better)


def _title(results: Results, name: str) -> str:
    title = results.titles[name]
    return f"**{title}**" if name == OURS else title


def _cell(column: Column, figures: Figures) -> str:
    return column.form.format(figures[column.key]) if column.key in figures else ""


def _ratio(work: Work, medians: Medians, name: str) -> str:
    key = work.columns[0].key
    base = medians.get(work.baseline, {}).get(key)
    return f"{medians[name][key] / base:.2f}" if base else ""


def _range(work: Work, results: Results, name: str) -> str:
    column = work.columns[0]
    found = [figures[column.key] for figures in results.figures[work.name][name]]
    return f"{column.form.format(min(found))} to {column.form.format(max(found))}"


def _note(work: Work, results: Results, name: str) -> str:
    rounds = results.figures[work.name][name]
    failed = []
    for key, title in (("non_2xx", "answers not 2xx"), ("socket_errors", "socket errors")):
        if count := sum(figures.get(key, 0) for figures in rounds):
            failed.append(f"**{count:,.0f} {title}**")
    return "; ".join([*failed, *filter(None, [results.notes.get(work.name, {}).get(name)])])


def summary(runs: Sequence[Results]) -> Iterator[str]:
    """Return a table of what is to be reached, with a column for each run's Python."""
    minors = [minor(run) for run in runs]
    yield f"| work | {' | '.join(f'Python {each}' for each in minors)} | must | goal |"
    yield f"| --- |{' --- |' * (len(runs) + 2)}"
    for work in WORKS:
        if work.must and any(work in run.works() for run in runs):
            yield f"| {' | '.join(_summary_row(work, runs))} |"


def minor(run: Results) -> str:
    """Return a run's Python as 3.14."""
    return ".".join(run.python.split(".")[:2])


def _summary_row(work: Work, runs: Sequence[Results]) -> list[str]:
    values = dict.fromkeys(claim.value for claim in (*work.must, *work.goal))
    asked = [_judged(claims, work, runs) for claims in (work.must, work.goal)]
    return [work.title, *(_said(values, run.medians(work)) for run in runs), *asked]


def _said(values: Iterable[Value], medians: Medians) -> str:
    return "; ".join(filter(None, (value.say(medians) for value in values))) or "-"


def _judged(claims: tuple[Claim, ...], work: Work, runs: Sequence[Results]) -> str:
    return "; ".join(f"{claim.text}: {_verdicts(claim, work, runs)}" for claim in claims)


def _verdicts(claim: Claim, work: Work, runs: Sequence[Results]) -> str:
    """Return one word if all runs agree, or else each run's."""
    found = {minor(run): claim.judge(run.medians(work)) for run in runs}
    if len(set(found.values())) == 1:
        return _shown(next(iter(found.values())))
    return ", ".join(f"{_shown(verdict)} on {python}" for python, verdict in found.items())


def _shown(verdict: str) -> str:
    return f"**{verdict}**" if verdict == "missed" else verdict


# --- JSON


def as_json(
    results: Results, options: Mapping[str, object], pythons: Iterable[Interpreter]
) -> dict[str, Any]:
    """Return everything that was found, and where."""
    there = sorted({each.version: each for each in pythons if not each.missing()}.items())
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": results.python,
        "machine": machine(),
        "options": dict(options),
        "interpreters": {version: each.described() for version, each in there},
        "works": {work.name: _work_as_json(work, results) for work in results.works()},
    }


def _work_as_json(work: Work, results: Results) -> dict[str, Any]:
    medians = results.medians(work)
    names = [*_ordered(work, medians), *results.reasons.get(work.name, {})]
    return {
        "title": work.title,
        "contenders": {
            name: {
                "title": results.titles[name],
                "note": results.notes[work.name][name],
                "median": medians.get(name),
                "rounds": results.figures.get(work.name, {}).get(name, []),
                "not run": results.reasons.get(work.name, {}).get(name),
            }
            for name in names
        },
        "must": {claim.text: claim.judge(medians) for claim in work.must},
        "goal": {claim.text: claim.judge(medians) for claim in work.goal},
    }


def from_json(found: Mapping[str, Any]) -> Results:
    """Return the results of a run that was kept."""
    results = Results(found["python"])
    for work, each in found["works"].items():
        for name, entry in each["contenders"].items():
            results.titles[name] = entry["title"]
            results.notes.setdefault(work, {})[name] = entry["note"]
            if entry["rounds"]:
                results.figures.setdefault(work, {})[name] = entry["rounds"]
            if entry["not run"]:
                results.reasons.setdefault(work, {})[name] = entry["not run"]
    return results


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()
