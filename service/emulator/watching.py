"""Who watches an emulator: told of its calls, its instances and its tasks where those are made.

An emulator that nobody watches has what `Watching` gives it, and pays nothing for a call.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from .calls import Invoker
from .instances.instance import Instance
from .queue.store import Store


class Watching:
    """Sees nothing."""

    def invokers(
        self, kind: Literal["sync", "async"], invokers: Mapping[str, Invoker]
    ) -> Mapping[str, Invoker]:
        """Return what is called in the place of each function's instances."""
        return invokers

    def open_store(self, path: Path) -> Store:
        """Return the file of asynchronous calls. Raises StoreError."""
        return Store(path)

    def timer_request_id(self) -> str:
        """Return the request id of a timer's call, "" for any."""
        return ""

    def changed(self, instance: Instance) -> None:
        """Take note that an instance is there, has processes, takes no call, or is gone."""
