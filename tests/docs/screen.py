"""What a page shows of a terminal, beside what was seen in one."""

from __future__ import annotations

import difflib
import re

Blurs = dict[str, str]
"""Patterns, and what stands in their place on both sides."""

MADE_UP: Blurs = {
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z": "TIME",
    r"\b1-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{12}": "ID",
    r"\bc-[0-9a-f]{8}-[0-9a-f]{8}-": "c-ID-",
    r"\b(task-[\w.]+)-[0-9a-f]{8}": r"\1-ID",
    r"(?<![\w.])/(?:[\w.-]+/)+([\w-]+\.(?:py|svg))": r"\1",
    r"\b(127\.0\.0\.1|0\.0\.0\.0|localhost):\d{4,5}\b": r"\1:PORT",
    r"\b\d+\.\d+ (ms|s)\b": r"N \1",
    r"\b(\w+Ms)=[\d.]+": r"\1=N",
}
"""What differs with each run: times, ids, ports, folders."""

NUMBERS: Blurs = {r"\d[\d,]*(?:\.\d+)?": "N", r"[ \t]+": " "}
"""All numbers, and how they are lined up."""


def blurred(text: str, blurs: Blurs) -> str:
    """Return a text without what differs with each run, and without spaces at ends of lines."""
    for pattern, put in blurs.items():
        text = re.sub(pattern, put, text)
    return "".join(f"{line.rstrip()}\n" for line in text.splitlines())


def assert_shows(shown: str, seen: str, blurs: Blurs | None = None) -> None:
    """Fail if a page does not show what was seen. `...` on a page stands for any text, and in a
    line of its own for any lines.
    """
    both = MADE_UP | (blurs or {})
    promised, found = blurred(shown, both), blurred(seen, both)
    if re.fullmatch("".join(map(_pattern, promised.splitlines(keepends=True))), found) is None:
        differs = difflib.unified_diff(
            promised.splitlines(), found.splitlines(), "the page", "what was seen", lineterm=""
        )
        raise AssertionError("\n".join(differs))


def _pattern(line: str) -> str:
    if line.strip() == "...":
        return "(?:.*\n)*?"
    return ".*".join(map(re.escape, line.split("...")))
