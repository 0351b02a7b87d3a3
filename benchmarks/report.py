"""What was found: the tables that are printed, and the JSON that is kept."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.lineup import CONTENDERS, OURS, Contender
from benchmarks.works import WORKS, Claim, Figures, Medians, Work

BY_NAME = {contender.name: contender for contender in CONTENDERS}


@dataclass
class Results:
    """The figures of each round, and why a contender has none; by work, then by contender."""

    figures: dict[str, dict[str, list[Figures]]] = field(default_factory=dict)
    reasons: dict[str, dict[str, str]] = field(default_factory=dict)

    def add(self, work: Work, contender: Contender, figures: Figures) -> None:
        """Keep the figures of a round."""
        self.figures.setdefault(work.name, {}).setdefault(contender.name, []).append(figures)

    def leave_out(self, work: Work, contender: Contender, reason: str) -> None:
        """Keep the reason; the figures there were do not count."""
        self.reasons.setdefault(work.name, {})[contender.name] = reason
        self.figures.get(work.name, {}).pop(contender.name, None)

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
        yield from _table(work, results)
    yield from _summary(results)


def _table(work: Work, results: Results) -> Iterator[str]:
    titles = [column.title for column in work.columns]
    yield f"\n## {work.title}\n"
    yield f"| | {' | '.join(titles)} | to {BY_NAME[work.baseline].title} | range | |"
    yield f"| --- |{' ---: |' * (len(titles) + 2)} --- |"
    medians = results.medians(work)
    for name in _ordered(work, medians):
        cells = [column.form.format(medians[name][column.key]) for column in work.columns]
        cells += [_ratio(work, medians, name), _range(work, results, name)]
        yield f"| {_title(name)} | {' | '.join(cells)} | {_note(work, results, name)} |"
    for name, reason in results.reasons.get(work.name, {}).items():
        blank = " |" * (len(titles) + 2)
        yield f"| {_title(name)} |{blank} not run: {' '.join(reason.split()).replace('|', '/')} |"
    if work.note:
        yield f"\n{work.note}"


def _ordered(work: Work, medians: Medians) -> list[str]:
    key = work.columns[0].key
    return sorted(medians, key=lambda name: medians[name][key], reverse=work.more_is_better)


def _title(name: str) -> str:
    title = BY_NAME[name].title
    return f"**{title}**" if name == OURS else title


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
    contender = BY_NAME[name]
    return "; ".join([*failed, *filter(None, [contender.note, contender.notes.get(work.name)])])


def _summary(results: Results) -> Iterator[str]:
    yield "\n## What was to be reached\n"
    yield "| work | measured | must | goal |"
    yield "| --- | --- | --- | --- |"
    for work in results.works():
        if work.must:
            yield f"| {' | '.join(_summary_row(work, results.medians(work)))} |"


def _summary_row(work: Work, medians: Medians) -> list[str]:
    claims = (*work.must, *work.goal)
    values = dict.fromkeys(claim.value for claim in claims)
    said = [words for value in values if (words := value.say(medians))]
    return [
        work.title,
        "; ".join(said) or "-",
        _judged(work.must, medians),
        _judged(work.goal, medians),
    ]


def _judged(claims: tuple[Claim, ...], medians: Medians) -> str:
    return "; ".join(f"{claim.text}: {_shown(claim.judge(medians))}" for claim in claims)


def _shown(verdict: str) -> str:
    return f"**{verdict}**" if verdict == "missed" else verdict


# --- JSON


def as_json(results: Results, options: Mapping[str, object]) -> dict[str, Any]:
    """Return everything that was found, and where."""
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine(),
        "options": dict(options),
        "packages": dict(sorted((d.name, d.version) for d in metadata.distributions())),
        "works": {work.name: _work_as_json(work, results) for work in results.works()},
    }


def _work_as_json(work: Work, results: Results) -> dict[str, Any]:
    medians = results.medians(work)
    names = [*_ordered(work, medians), *results.reasons.get(work.name, {})]
    return {
        "title": work.title,
        "contenders": {
            name: {
                "title": BY_NAME[name].title,
                "median": medians.get(name),
                "rounds": results.figures.get(work.name, {}).get(name, []),
                "not run": results.reasons.get(work.name, {}).get(name),
            }
            for name in names
        },
        "must": {claim.text: claim.judge(medians) for claim in work.must},
        "goal": {claim.text: claim.judge(medians) for claim in work.goal},
    }


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
