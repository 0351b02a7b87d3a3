"""Whether memory still grows when it should not, from looks at it during a level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

LEAK = 0.0002
"""MB a call from which on growth is called a leak."""

LEAKED = 2.0
"""MB by which a level must have grown, so that it is not what an allocator keeps."""

LEAST_LOOKS = 12

STEADY = 0.5
"""A leak goes on: in the last quarter of the calls memory grows at least by such a share of what it
grew in the quarter before.
"""


@dataclass(frozen=True, slots=True)
class MemoryLook:
    """Memory in MB when so many calls had ended."""

    calls: int
    memory: float


def growth_of(looks: Sequence[MemoryLook]) -> float:
    """Return the MB a call by which memory still grew in the end, 0 if it levelled off.

    The looks are cut into four parts of equally many calls, of which the first warms up.
    """
    if len(looks) < LEAST_LOOKS or looks[-1].calls <= looks[0].calls:
        return 0.0
    first, last = looks[0].calls, looks[-1].calls
    width = (last - first) / 4
    parts: list[list[MemoryLook]] = [[], [], [], []]
    for look in looks:
        parts[min(3, int((look.calls - first) / width))].append(look)
    if not all(parts[1:]):
        return 0.0
    before, middle, end = (fmean(look.memory for look in part) for part in parts[1:])
    if end <= middle or middle <= before or end - middle < STEADY * (middle - before):
        return 0.0
    return (end - middle) / width
