"""The figures of `/health`, added up over the workers of an instance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Figures = dict[str, Any]

ANY = {"draining"}
"""What is true of the instance as soon as it is true of one worker; all else must be of all."""


def summed(figures: Sequence[Figures | None]) -> Figures:
    """Return an instance's figures: counts added up, times at their largest, and `each` worker's
    own. None stands for a worker that does not answer: such an instance is not healthy.

    What there is one worker of is returned as it is.
    """
    if len(figures) == 1 and figures[0] is not None:
        return figures[0]
    there = [worker for worker in figures if worker is not None]
    state = {name: _together(name, [worker[name] for worker in there]) for name in there[0]}
    for name in ("ready", "healthy"):
        state[name] = state[name] and len(there) == len(figures)
    each = [
        {"worker": number, "answers": worker is not None, **(worker or {})}
        for number, worker in enumerate(figures, 1)
    ]
    return {**state, "workers": len(figures), "each": each}


def _together(name: str, values: Sequence[Any]) -> Any:
    if isinstance(values[0], bool):
        return any(values) if name in ANY else all(values)
    return max(values) if isinstance(values[0], float) else sum(values)
