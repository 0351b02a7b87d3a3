"""How often a decorated function ran, waited or was given a result again, for `/metrics`."""

from __future__ import annotations

from typing import Final, Literal

from ..counting.page import FamilyShape
from ..metrics import UserCounter

OnceOutcome = Literal[
    "ran", "taken_over", "waited", "replayed", "differs", "superseded", "store_error"
]

ONCE_CALLS: Final = UserCounter(
    FamilyShape(
        "fc_once_calls_total",
        "counter",
        "Calls of functions with @once, and what became of their claims.",
        ("name", "outcome"),
    )
)


def count_once(name: str, outcome: OnceOutcome) -> None:
    """Count a call."""
    ONCE_CALLS.inc(name=name, outcome=outcome)
