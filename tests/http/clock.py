"""An event loop in which an hour takes no time."""

from __future__ import annotations

import asyncio


class Clock(asyncio.SelectorEventLoop):
    """An event loop whose time passes when nothing is ready, up to the next timer."""

    def __init__(self) -> None:
        super().__init__()
        self._passed = 0.0
        select = self._selector.select  # type: ignore[attr-defined]

        def at_once(seconds: float | None) -> object:
            self._passed += seconds or 0.0
            return select(0)

        self._selector.select = at_once  # type: ignore[attr-defined]

    def time(self) -> float:
        """The seconds that have passed."""
        return self._passed
