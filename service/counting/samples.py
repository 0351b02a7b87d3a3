"""Samples read again from Prometheus' text format."""

from __future__ import annotations

import re

from .families import SampleKey

LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"', re.ASCII)
SAMPLE = re.compile(
    rf"([a-zA-Z_:][\w:]*)(?:\{{((?:{LABEL.pattern},?)*)\}})? (\S+)(?: \S+)?", re.ASCII
)
ESCAPED = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}


def samples_in(text: str) -> dict[SampleKey, float]:
    """Return the samples of such a text. Lines that are none are passed over."""
    found = {}
    for line in text.split("\n"):
        if match := SAMPLE.fullmatch(line):
            labels = tuple((n, _plain(v)) for n, v in LABEL.findall(match[2] or ""))
            try:
                found[match[1], labels] = float(match[5])
            except ValueError:
                continue
    return found


def _plain(text: str) -> str:
    return re.sub(r'\\[\\"n]', lambda found: ESCAPED[found[0]], text)
