"""What a check has found, as a table for people and as JSON for CI."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from .families import FunctionCheck
from .finding import DOUBT, FAULT, FITS, UNKNOWN, CheckFinding

WIDEST = 110
"""Characters of a line of the table."""


def check_text(spec: str, checks: Sequence[FunctionCheck]) -> str:
    """Return the table of what was found."""
    lines: list[str] = []
    for check in checks:
        if not check.findings:
            continue
        named = f"{check.name} on {check.runtime}, {spec}" if check.name else spec
        lines += [named, "", *_table(check.findings), ""]
    lines.append(_summed(findings_by_level(checks)))
    return "\n".join(lines) + "\n"


def _table(findings: Sequence[CheckFinding]) -> Iterator[str]:
    rows = [(each, each.where or each.key or "-") for each in findings]
    widths = [
        max(len(FAULT), *(len(each.level) for each, _where in rows)),
        max(len(each.rule) for each, _where in rows),
        min(36, max(len(where) for _each, where in rows)),
    ]
    for each, where in rows:
        head = f"{each.level:{widths[0]}}  {each.rule:{widths[1]}}  {where:{widths[2]}}  "
        room = max(40, WIDEST - sum(widths) - 6)
        yield from _block(head, each.text, room)
        if each.level in (FAULT, DOUBT) or (each.level == UNKNOWN and each.remedy):
            do = "; ".join(filter(None, (each.remedy, each.source and f"see {each.source}")))
            if do:
                yield from _block(" " * len(head), f"-> {do}", room)


def _block(head: str, text: str, room: int) -> Iterator[str]:
    first, *more = textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]
    yield f"{head}{first}".rstrip()
    indent = " " * (len(head) + (3 if text.startswith("-> ") else 0))
    yield from (f"{indent}{line}" for line in more)


def findings_by_level(checks: Sequence[FunctionCheck]) -> Counter[str]:
    """Return how many findings of each level there are."""
    return Counter(each.level for check in checks for each in check.findings)


def _summed(numbers: Counter[str]) -> str:
    faults, doubts = numbers[FAULT], numbers[DOUBT]
    told = [f"{faults} fault{'s' * (faults != 1)}", f"{doubts} warning{'s' * (doubts != 1)}"]
    if numbers[UNKNOWN]:
        told.append(f"{numbers[UNKNOWN]} that cannot be told here")
    return f"{', '.join(told)}; {numbers[FITS]} fit"


def check_json(spec: str, checks: Sequence[FunctionCheck]) -> str:
    """Return what was found as JSON."""
    numbers = findings_by_level(checks)
    told = {
        "spec": spec,
        "faults": numbers[FAULT],
        "warnings": numbers[DOUBT],
        "functions": [
            {
                "name": check.name,
                "runtime": check.runtime,
                "findings": [asdict(each) for each in check.findings],
            }
            for check in checks
            if check.name or check.findings
        ],
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"
