"""What is lost, hung, leaked and mixed where faults are provoked: this service and its peers.

`make reliability` makes an environment with the peers and runs this. Every case starts each server
anew, provokes one kind of fault and counts. Loopback only.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import resource
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.candidates import ENTRIES, Entry
from benchmarks.cases import CASES, QUICK, Case, Cells, Found, Row, Scale
from benchmarks.report import machine

REPORT = Path("reports/reliability.json")
PAPER = Path("docs/reliability.md")
PUBLISHED = re.compile(r"(<!-- figures -->\n).*?(<!-- /figures -->\n)", re.DOTALL)
KINDS = {
    "lost": "requests without a whole answer",
    "hung": "requests and connections that nothing ends",
    "leaked": "requests whose secrets showed up",
    "mixed": "fields of another call",
}
"""What the sums at the end of the table count."""

Results = dict[str, dict[str, Found | str]]
"""By row, by candidate: what was found, or why nothing was."""


def main(arguments: Sequence[str]) -> int:
    """Provoke, count, print the table, leave the report; return 1 where ours did any of it."""
    options = parsed(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # which ends the servers too
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a thousand clients are here
    options.load = round(os.getloadavg()[0], 1)
    results = asyncio.run(provoked(options))
    report = as_json(results, options)
    text = paper(report)
    print(text)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1) + "\n")
    print(REPORT)
    if options.publish:
        publish(PAPER, text)
        print(PAPER)
    return int(any(report["sums"].get(kind, {}).get(ENTRIES[0].candidate.name) for kind in KINDS))


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make reliability ARGS=...", description=__doc__)
    names, cases = [e.candidate.name for e in ENTRIES], [case.name for case in CASES]
    parser.add_argument("--only", nargs="+", choices=names, default=names, help="these servers")
    parser.add_argument("--case", nargs="+", choices=cases, default=cases, help="these cases")
    parser.add_argument("--quick", action="store_true", help="less of everything: a trial")
    parser.add_argument("--publish", action="store_true", help=f"write the table into {PAPER}")
    options = parser.parse_args(arguments)
    if options.publish and (options.quick or options.only != names or options.case != cases):
        parser.error("--publish needs a whole run: without --quick, --only and --case")
    return options


# --- the run


async def provoked(options: argparse.Namespace) -> Results:
    """Run every case against every candidate; tell on stderr what runs."""
    scale = QUICK if options.quick else Scale()
    cases = [case for case in CASES if case.name in options.case]
    entries = [entry for entry in ENTRIES if entry.candidate.name in options.only]
    results: Results = {row.name: {} for case in cases for row in case.rows}
    steps, began = len(cases) * len(entries), time.monotonic()
    for number, (case, entry) in enumerate((c, e) for c in cases for e in entries):
        spent = time.monotonic() - began
        told = f"{number + 1:2} of {steps}  {spent:4.0f} s  {case.name}: {entry.title}"
        print(told, file=sys.stderr, flush=True)
        cells = await attempted(case, entry, scale)
        for row in case.rows:
            results[row.name][entry.candidate.name] = (
                cells if isinstance(cells, str) else cells[row.name]
            )
    return results


async def attempted(case: Case, entry: Entry, scale: Scale) -> Cells | str:
    """Return what a case found, or why it could not be counted."""
    began = time.monotonic()
    try:
        async with asyncio.timeout(case.within):
            return await case.run(entry, scale)
    except TimeoutError:
        return f"given up after {time.monotonic() - began:.0f} s"
    except (AssertionError, ArithmeticError, LookupError, OSError, EOFError, ValueError) as reason:
        return f"not counted: {type(reason).__name__}: {str(reason)[:200]}"


# --- what it leaves


def as_json(results: Results, options: argparse.Namespace) -> dict[str, Any]:
    """Return everything that was found, and where."""
    entries = [entry for entry in ENTRIES if entry.candidate.name in options.only]
    rows = [row for case in CASES for row in case.rows if row.name in results]
    return {
        "date": datetime.now(UTC).isoformat(timespec="minutes"),
        "machine": machine(),
        "load average": options.load,
        "quick": options.quick,
        "servers": {
            entry.candidate.name: {
                "title": entry.title,
                "versions": entry.versions(),
                "note": entry.note,
            }
            for entry in entries
        },
        "rows": {row.name: _row(row, results[row.name]) for row in rows},
        "sums": {kind: _sum(kind, rows, results, entries) for kind in KINDS},
    }


def _row(row: Row, found: dict[str, Found | str]) -> dict[str, Any]:
    cells = {
        name: each if isinstance(each, str) else {"bad": each.bad, "of": each.of, "note": each.note}
        for name, each in found.items()
    }
    return {"title": row.title, "kind": row.kind, "servers": cells}


def _sum(kind: str, rows: list[Row], results: Results, entries: list[Entry]) -> dict[str, int]:
    sums = {}
    for entry in entries:
        cells = [results[row.name][entry.candidate.name] for row in rows if row.kind == kind]
        sums[entry.candidate.name] = sum(each.bad for each in cells if isinstance(each, Found))
    return sums


def paper(report: dict[str, Any]) -> str:
    """Return the table in Markdown, with what it was made with."""
    servers, machine = report["servers"], report["machine"]
    lines = [
        f"{report['date'][:10]}, {machine['cores']} cores ({machine['cpu']}) with a load average of"
        f" {report['load average']} before, Python {machine['python']}, `make reliability`"
        + (" with --quick: a trial." if report["quick"] else "."),
        "",
        f"| | | {' | '.join(each['title'] for each in servers.values())} |",
        f"| --- | --- |{' --- |' * len(servers)}",
    ]
    for row in report["rows"].values():
        cells = (_shown(row["servers"][name]) for name in servers)
        lines.append(f"| {row['kind']} | {row['title']} | {' | '.join(cells)} |")
    for kind, sums in report["sums"].items():
        cells = (f"**{sums[name]:,}**" for name in servers)
        lines.append(f"| **{kind}** | {KINDS[kind]}, in all | {' | '.join(cells)} |")
    about = (f"- {each['title']}: {each['versions']}; {each['note']}." for each in servers.values())
    lines += ["", *about]
    return "\n".join(lines) + "\n"


def _shown(cell: dict[str, Any] | str) -> str:
    if isinstance(cell, str):
        return cell.replace("|", "/").replace("\n", " ")
    count = f"{cell['bad']:,} of {cell['of']:,}"
    return f"{count}; {cell['note']}" if cell["note"] else count


def publish(page: Path, text: str) -> None:
    """Put the table between the page's two marks."""
    old = page.read_text()
    new, times = PUBLISHED.subn(lambda marks: f"{marks[1]}\n{text}\n{marks[2]}", old)
    if times != 1:
        raise SystemExit(f"{page} has not the two marks that the table stands between")
    page.write_text(new)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
