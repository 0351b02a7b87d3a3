"""What the page is told if something cannot be done."""

from __future__ import annotations


class ConsoleRefusal(Exception):
    """A request of the page that is refused with an HTTP status; the text says what to do."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
