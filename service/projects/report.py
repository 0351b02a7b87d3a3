"""What is said of a project that moves from a built-in runtime: a table, or JSON."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict

from ..advice.finding import Finding
from .moving import MovedProject
from .old_project import OldProject


def moving_table(found: Sequence[Finding]) -> str:
    """Return the findings: the place, what can happen there, and below it what to do."""
    if not found:
        return "nothing was found that many calls at once would meet\n"
    place = max(len(each.place) for each in found)
    level = max(len(each.level) for each in found)
    lines = []
    for each in found:
        lines.append(f"{each.place:{place}}  {each.level:{level}}  {each.what}")
        if each.level != "fine":
            lines.append(f"{'':{place}}  {'':{level}}  {each.advice}")
    return "".join(f"{line.rstrip()}\n" for line in lines)


def moving_sum(moved: MovedProject) -> str:
    """Return what the findings come to, in a sentence."""
    levels = Counter(each.level for each in moved.findings)
    wanted = "is" if moved.files else "may be"
    counted = f"{levels['breaks']} break, {levels['may break']} may break, {levels['fine']} fine"
    if moved.concurrency > 1:
        return f"{counted}: instanceConcurrency {wanted} {moved.concurrency}\n"
    return (
        f"{counted}: instanceConcurrency {wanted} 1, as it was\n"
        "when what breaks is mended, raise it, and SERVICE_CONCURRENCY with it\n"
    )


def moving_json(old: OldProject, moved: MovedProject, written: str | None) -> bytes:
    """Return the same for a program; `written` is the new folder, None if nothing was."""
    value = {
        "from": str(old.folder),
        "runtime": old.runtime,
        "handler": old.handler,
        "written": written,
        "concurrency": moved.concurrency,
        "findings": [asdict(each) for each in moved.findings],
    }
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
