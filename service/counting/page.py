"""A page of memory with series of numbers: one process writes it, and all that share it read it.

It is made before the processes that share it. It outlives the one that writes: what a worker has
counted is there when it hangs and after its death, and its successor counts on from there.

A page begins with the number of its bytes that are used. Then come entries, one behind another:
the length of a text, how many numbers follow it, the text, the numbers. An entry is there once the
number of used bytes says so, and none is ever moved or removed.
"""

from __future__ import annotations

import json
import mmap
import struct
from collections.abc import Iterator, Sequence
from itertools import accumulate

import msgspec

from .families import Family, Labels
from .text import value_text

HEAD = struct.Struct("=II")
WORD = 8


class PageFull(Exception):
    """There is no room on the page for another series."""


class FamilyShape(msgspec.Struct, frozen=True):
    """What the series of a family have in common: `labels` are the names of its labels, `bounds`
    the upper ends of a histogram's buckets.
    """

    name: str
    kind: str
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """How many numbers a series has: a value, or each bucket's count and the sum."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


class Page:
    """A page of so many bytes. Memory is taken as it is used."""

    def __init__(self, size: int) -> None:
        self._bytes = memoryview(mmap.mmap(-1, size - size % WORD))
        self._used = self._bytes.cast("Q")
        self.cells = self._bytes.cast("d")
        """The numbers. A series begins at the place that `place_of` has returned."""
        self._shapes: list[FamilyShape] = []  # those that this process knows to be on the page
        self._places: dict[tuple[str, tuple[str, ...]], int] = {}

    def place_of(self, shape: FamilyShape, values: tuple[str, ...] = ()) -> int:
        """Return where in `cells` the series with these values of its labels begins; it is made if
        there is none. Raises PageFull.
        """
        place = self._places.get((shape.name, values))
        if place is None:
            self._catch_up()
            place = self._places.get((shape.name, values))
        if place is None:
            if shape not in self._shapes:
                fields = [shape.name, shape.kind, shape.help, shape.labels, shape.bounds]
                self._append(json.dumps(fields), 0)
                self._shapes.append(shape)
            text = json.dumps([self._shapes.index(shape), *values])
            place = self._places[shape.name, values] = self._append(text, shape.size)
        return place

    def clear(self, kind: str) -> None:
        """Set the numbers of one kind to 0: a new process has another one's values."""
        for shape, _, start in self._series():
            if shape.kind == kind:
                for place in range(start, start + shape.size):
                    self.cells[place] = 0.0

    def families(self) -> list[Family]:
        """Return what is on the page by now, whoever has written it."""
        found: dict[str, Family] = {}
        for shape, labels, start in self._series():
            family = found.setdefault(shape.name, Family(shape.name, shape.kind, shape.help))
            values = self.cells[start : start + shape.size].tolist()
            if shape.kind == "histogram":
                family.samples.update(_of_histogram(shape, labels, values))
            else:
                family.samples[shape.name, labels] = values[0]
        return list(found.values())

    def _append(self, text: str, count: int) -> int:
        data = text.encode()
        begin = WORD + self._used[0]
        numbers = begin + HEAD.size + len(data) + -len(data) % WORD
        end = numbers + count * WORD
        if end > len(self._bytes):
            raise PageFull
        HEAD.pack_into(self._bytes, begin, len(data), count)
        self._bytes[begin + HEAD.size : begin + HEAD.size + len(data)] = data
        self._used[0] = end - WORD
        return numbers // WORD

    def _entries(self) -> Iterator[tuple[list[object], int]]:
        begin, end = WORD, WORD + self._used[0]
        while begin < end:
            length, count = HEAD.unpack_from(self._bytes, begin)
            text = bytes(self._bytes[begin + HEAD.size : begin + HEAD.size + length])
            numbers = begin + HEAD.size + length + -length % WORD
            yield json.loads(text), numbers // WORD
            begin = numbers + count * WORD

    def _series(
        self, shapes: list[FamilyShape] | None = None
    ) -> Iterator[tuple[FamilyShape, Labels, int]]:
        """Yield each series; `shapes` becomes the list of all families, in their order."""
        shapes = [] if shapes is None else shapes
        for fields, start in self._entries():
            match fields:
                case [str(name), str(kind), str(help), list(labels), list(bounds)]:
                    shapes.append(FamilyShape(name, kind, help, tuple(labels), tuple(bounds)))
                case [int(index), *values]:
                    shape = shapes[index]
                    labelled = zip(shape.labels, map(str, values), strict=True)
                    yield shape, tuple(labelled), start

    def _catch_up(self) -> None:
        """Learn what a predecessor, or a process that was forked, has put on the page."""
        shapes: list[FamilyShape] = []
        for shape, labels, start in self._series(shapes):
            self._places[shape.name, tuple(value for _, value in labels)] = start
        self._shapes = shapes


def _of_histogram(
    shape: FamilyShape, labels: Labels, values: Sequence[float]
) -> Iterator[tuple[tuple[str, Labels], float]]:
    *counts, total = values
    ends = [*map(value_text, shape.bounds), "+Inf"]
    below = list(accumulate(counts))
    for end, count in zip(ends, below, strict=True):
        yield (f"{shape.name}_bucket", (*labels, ("le", end))), count
    yield (f"{shape.name}_sum", labels), total
    yield (f"{shape.name}_count", labels), below[-1]
