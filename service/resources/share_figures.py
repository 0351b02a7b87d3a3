"""What `/metrics` tells of shared functions. They count by themselves, and here it is added up when
somebody looks.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

from ..calls.loops import entries_of
from ..counting.page import FamilyShape
from ..counting.pages import USER_PAGE
from ..metrics import UserCounter
from .kept import ShareCounts

FIGURES = {
    "hits": UserCounter(
        FamilyShape(
            "fc_shared_hits_total",
            "counter",
            "Calls of a shared function that got a value that was there.",
            ("function",),
        )
    ),
    "fetches": UserCounter(
        FamilyShape(
            "fc_shared_fetches_total",
            "counter",
            "Fetches of a shared function that were begun.",
            ("function",),
        )
    ),
    "failures": UserCounter(
        FamilyShape(
            "fc_shared_failures_total",
            "counter",
            "Fetches of a shared function that failed.",
            ("function",),
        )
    ),
}


class _Counted:
    """What was counted, and how much of it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.told = dict.fromkeys(FIGURES, 0)


_counted: WeakKeyDictionary[ShareCounts, _Counted] = WeakKeyDictionary()


def tell(name: str, counts: ShareCounts) -> None:
    """Tell of these counts from now on, under this name."""
    if settle_shared not in USER_PAGE.settling:
        USER_PAGE.settling.append(settle_shared)
    _counted[counts] = _Counted(name)


def settle_shared() -> None:
    """Add what was counted since the last time to what `/metrics` reads."""
    for counts, counted in entries_of(_counted):
        for what, figure in FIGURES.items():
            new = getattr(counts, what) - counted.told[what]
            if new > 0 or not counted.told[what]:
                figure.inc(new, function=counted.name)
                counted.told[what] += new
