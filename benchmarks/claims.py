"""What is asked of our figures: numbers worked out of the medians, and what they must be."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.lineup import OURS

Medians = Mapping[str, Mapping[str, float]]
"""The median of each figure, by contender."""


@dataclass(frozen=True)
class Value:
    """A number worked out of the medians, and how it is said."""

    of: Callable[[Medians], float]
    said: str
    contenders: tuple[str, ...] = (OURS,)
    """Those whose figures it needs."""

    def find(self, medians: Medians) -> float | None:
        """Return the number, None where one of its contenders did not run."""
        try:
            return self.of(medians)
        except (KeyError, ZeroDivisionError):
            return None

    def say(self, medians: Medians) -> str:
        """Return the number in words, or nothing."""
        number = self.find(medians)
        return "" if number is None else self.said.format(number)


def ours(key: str, said: str, per: float = 1.0) -> Value:
    """Return our own figure, divided by a number."""
    return Value(lambda medians: medians[OURS][key] / per, said)


def times(key: str, other: str, said: str, one: str = OURS) -> Value:
    """Return our figure as a multiple of another contender's."""
    return Value(lambda medians: medians[one][key] / medians[other][key], said, (one, other))


def above(key: str, other: str, said: str) -> Value:
    """Return our figure less another contender's."""
    return Value(lambda medians: medians[OURS][key] - medians[other][key], said, (OURS, other))


@dataclass(frozen=True)
class Claim:
    """What a number must be."""

    text: str
    value: Value
    compare: Callable[[float, float], bool]
    bound: float

    def judge(self, medians: Medians) -> str:
        """Return `met`, `missed`, or that it cannot be said."""
        number = self.value.find(medians)
        if number is None:
            return "not judged"
        return "met" if self.compare(number, self.bound) else "missed"


at_least, at_most = operator.ge, operator.le
more_than, less_than = operator.gt, operator.lt
