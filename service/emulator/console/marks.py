"""What happened to instances: marks below the charts, and in the page as it happens.

A start and an end are told; that an instance was frozen or thawed is seen by looking. What was both
between two looks leaves no mark: one call after another would fill the page with them.
"""

from __future__ import annotations

import time
from collections import deque
from typing import Any

from ..instances.instance import Instance

KEPT_MARKS = 500
"""Marks that are kept: of more, the newest."""


class InstanceMarks:
    """The marks, the oldest first; each has a number `n` of its own."""

    def __init__(self) -> None:
        self._marks: deque[dict[str, Any]] = deque(maxlen=KEPT_MARKS)
        self._number = 0
        self._there: dict[str, dict[str, bool]] = {}
        """For each function the instances that do not end, and whether each was frozen."""

    def rows(self) -> list[dict[str, Any]]:
        """Return what is kept."""
        return list(self._marks)

    def add(self, kind: str, function: str, instance: str, text: str) -> None:
        """Add a mark of now."""
        self._number += 1
        mark = {"n": self._number, "t": time.time(), "kind": kind, "function": function}
        self._marks.append({**mark, "instance": instance, "text": text})

    def look_at(self, instance: Instance) -> None:
        """Mark what is new of an instance."""
        there = self._there.setdefault(instance.function, {})
        was_frozen = there.get(instance.id)
        if instance.state in ("stopping", "stopped"):
            if there.pop(instance.id, None) is not None:
                self._mark("stop", instance, f"stops: {instance.end_reason}")
        elif was_frozen is None:
            there[instance.id] = False
            self._mark(*_beginning(instance, len(there)))
        elif was_frozen != instance.frozen:
            there[instance.id] = instance.frozen
            kind = "freeze" if instance.frozen else "thaw"
            self._mark(kind, instance, "is frozen" if instance.frozen else "runs again")

    def _mark(self, kind: str, instance: Instance, text: str) -> None:
        self.add(kind, instance.function, instance.id, f"{instance.name} {text}")


def _beginning(instance: Instance, there: int) -> tuple[str, Instance, str]:
    if instance.provisioned:
        return "start", instance, "starts: it is provisioned"
    if there == 1:
        return "cold", instance, "starts: there was none"
    return "scale-out", instance, f"starts: it is number {there}"
