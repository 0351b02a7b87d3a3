"""Lines below the log's level: those of a call are kept until it is known how it ends, or written
at once for a share of the calls.
"""

from __future__ import annotations

from collections import deque

from ..locks import HasLock

OVERHEAD = 64
"""Bytes that a kept line takes beside its own."""


class KeptRoom(HasLock):
    """The room for lines that are kept: `each` bytes a call, `all` bytes for all calls together."""

    def __init__(self, each: int, all: int) -> None:
        super().__init__()
        self.each = each
        self.all = all
        self._used = 0
        self._freed: deque[int] = deque()  # by calls that are gone without an end

    @property
    def used(self) -> int:
        """Bytes of all lines that are kept now."""
        while self._freed:
            freed = self._freed.popleft()
            self._used -= freed
        return self._used

    def use(self, size: int) -> None:
        """Take bytes, or give them back if `size` is negative. The lock is held."""
        self._used += size

    def free(self, size: int) -> None:
        """Give bytes back in a finalizer, which may come in the midst of anything."""
        self._freed.append(size)


class KeptLines:
    """The lines of one call: kept, written or dropped, as `wanted` is None, True or False."""

    def __init__(self, room: KeptRoom, wanted: bool | None = None) -> None:
        self.wanted = wanted
        self.lost = 0
        """Lines that there was no room for: the first ones."""
        self._room = room
        self._lines: deque[bytes] = deque()
        self._size = 0

    def add(self, line: bytes) -> bytes:
        """Take a line; return what is to be written of it now: the line, or nothing."""
        with self._room.lock:
            if self.wanted is None:
                self._keep(line)
                return b""
        return line if self.wanted else b""

    def settle(self, *, wanted: bool) -> list[bytes]:
        """Return the lines that were kept, if they are `wanted`, and keep no more."""
        with self._room.lock:
            self.wanted = wanted
            lines = list(self._lines) if wanted else []
            self._lines.clear()
            self._room.use(-self._size)
            self._size = 0
        return lines

    def _keep(self, line: bytes) -> None:
        size = len(line) + OVERHEAD
        while self._lines and not self._fits(size):
            oldest = len(self._lines.popleft()) + OVERHEAD
            self._size -= oldest
            self._room.use(-oldest)
            self.lost += 1
        if not self._fits(size):
            self.lost += 1
            return
        self._lines.append(line)
        self._size += size
        self._room.use(size)

    def _fits(self, size: int) -> bool:
        return self._size + size <= self._room.each and self._room.used + size <= self._room.all

    def __del__(self) -> None:
        # A call whose client has gone is cancelled and has no end.
        if self._size:
            self._room.free(self._size)
