"""Families of samples, as Prometheus has them, and how those of several workers become one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

Labels = tuple[tuple[str, str], ...]
SampleKey = tuple[str, Labels]
"""A sample's name, with the ending that its kind gives it, and its labels."""

ADDED_UP = ("counter", "histogram", "summary")
"""Kinds whose samples count: those of several workers together are their sum."""


class Family(msgspec.Struct, frozen=True):
    """A metric: its name, its kind (`counter`, `gauge`, `histogram`, `summary`, `untyped`), what it
    is, and the value of each of its samples.
    """

    name: str
    kind: str
    help: str
    samples: dict[SampleKey, float] = msgspec.field(default_factory=dict)


def number(name: str, kind: str, help: str, value: float, **labels: str) -> Family:
    """Return a family of one sample."""
    return Family(name, kind, help, {(name, tuple(labels.items())): value})


def added(parts: Iterable[Sequence[Family]]) -> list[Family]:
    """Return the families of several workers as those of one: what has the same name and labels is
    added up. A name that means another kind to another worker is what it was first.
    """
    whole: dict[str, Family] = {}
    for part in parts:
        for family in part:
            first = whole.setdefault(family.name, msgspec.structs.replace(family, samples={}))
            if first.kind == family.kind:
                for key, value in family.samples.items():
                    first.samples[key] = first.samples.get(key, 0.0) + value
    return list(whole.values())


def of_worker(families: Iterable[Family], worker: int) -> list[Family]:
    """Return the families with the number of the worker that they are of as a label."""
    label = ("worker", str(worker))

    def labelled(family: Family) -> Family:
        samples = {(n, _with(labels, label)): v for (n, labels), v in family.samples.items()}
        return msgspec.structs.replace(family, samples=samples)

    return [labelled(family) for family in families]


def _with(labels: Labels, label: tuple[str, str]) -> Labels:
    return (label, *((name, value) for name, value in labels if name != label[0]))
