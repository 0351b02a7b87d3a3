"""What is kept for each event loop: that of the service, and those of handlers' threads."""

from __future__ import annotations

from typing import TypeVar
from weakref import WeakKeyDictionary

KeyT = TypeVar("KeyT")
ValueT = TypeVar("ValueT")


def entries_of(kept: WeakKeyDictionary[KeyT, ValueT]) -> list[tuple[KeyT, ValueT]]:
    """Return what a dictionary of weak keys has. Other threads may add to it and take from it
    meanwhile.
    """
    keys = [reference() for reference in kept.keyrefs()]
    found = [(key, kept.get(key)) for key in keys if key is not None]
    return [(key, value) for key, value in found if value is not None]
