"""The metrics of `prometheus_client`, if the function has imported that: read, and sent between
workers.
"""

from __future__ import annotations

import base64
import json
import sys
import zlib
from collections.abc import Iterator
from typing import Any

from ..patterns import LatePattern
from .families import Family

LIBRARY = "prometheus_client"

LARGEST = 90_000
"""Characters in which a worker sends its metrics to another one: a message has room for so many."""

ENDINGS = {"counter": "_total", "info": "_info"}
KINDS = {
    "counter": "counter",
    "gauge": "gauge",
    "histogram": "histogram",
    "summary": "summary",
    "info": "gauge",
    "stateset": "gauge",
}
NOT_OF_A_NAME = LatePattern("[^a-zA-Z0-9_:]|^[0-9]")


def registered() -> list[Family]:
    """Return what is in the registry of `prometheus_client`; nothing if nobody has imported it."""
    registry = getattr(sys.modules.get(LIBRARY), "REGISTRY", None)
    return list(_collected(registry)) if registry is not None else []


def _collected(registry: Any) -> Iterator[Family]:
    for metric in registry.collect():
        name = _plain(metric.name) + ENDINGS.get(metric.type, "")
        family = Family(name, KINDS.get(metric.type, "untyped"), str(metric.documentation))
        for sample in metric.samples:
            if not sample.name.endswith("_created"):
                labels = tuple((_plain(n), str(v)) for n, v in sample.labels.items())
                family.samples[_plain(sample.name), labels] = float(sample.value)
        yield family


def _plain(name: str) -> str:
    """Return a name as the text format takes it: newer versions of the library take any."""
    return NOT_OF_A_NAME.compiled.sub("_", name)


def packed(families: list[Family]) -> tuple[str, int]:
    """Return families as a text that has room in a message, and how many of them have none."""
    rows = [[f.name, f.kind, f.help, list(f.samples.items())] for f in families]
    text, fit, too_many = _text_of(rows), len(rows), len(rows) + 1
    if len(text) > LARGEST:
        text, fit, too_many = _text_of([]), 0, len(rows)
    while too_many - fit > 1:
        count = (fit + too_many) // 2
        tried = _text_of(rows[:count])
        if len(tried) <= LARGEST:
            text, fit = tried, count
        else:
            too_many = count
    return text, len(rows) - fit


def _text_of(rows: list[Any]) -> str:
    return base64.b64encode(zlib.compress(json.dumps(rows).encode(), 1)).decode()


def unpacked(text: str) -> list[Family]:
    """Return the families of such a text."""
    return [
        Family(name, kind, help, {(n, tuple(map(tuple, ls))): v for (n, ls), v in samples})
        for name, kind, help, samples in json.loads(zlib.decompress(base64.b64decode(text)))
    ]
