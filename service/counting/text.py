"""Families in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ..patterns import LatePattern
from .families import Family, Labels

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

CONTROL = LatePattern("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029]")
"""What would do something in a terminal, or end a line for some readers."""


def exposition(families: Iterable[Family]) -> bytes:
    """Return the text that a scrape gets."""
    lines = (f"{line}\n" for family in families for line in _lines(family))
    return "".join(lines).encode("utf-8", "replace")


def _lines(family: Family) -> Iterator[str]:
    yield f"# HELP {family.name} {_escaped(family.help)}"
    yield f"# TYPE {family.name} {family.kind}"
    for (name, labels), value in family.samples.items():
        yield f"{name}{_braced(labels)} {value_text(value)}"


def _braced(labels: Labels) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{n}="{_quoted(v)}"' for n, v in labels) + "}"


def _escaped(text: str) -> str:
    return CONTROL.compiled.sub("\ufffd", text).replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    return _escaped(text).replace('"', '\\"')


def value_text(value: float) -> str:
    """Return a number as the format has it: whole ones without a point."""
    if value != value:
        return "NaN"
    if value in (float("inf"), float("-inf")):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value == int(value) and abs(value) < 2**53 else repr(value)
