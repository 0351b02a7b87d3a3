"""A body that has arrived with its head, as most have."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

from aiohttp.streams import StreamReader


class WholeBody(StreamReader):
    """Reads like aiohttp's StreamReader at its end, and needs none of what that has for waiting:
    its protocol, its loop, its flow control.
    """

    __slots__ = ("_bytes", "_failure", "size")

    def __init__(self, data: bytes) -> None:
        # Not StreamReader's own: that begins to wait for bytes.
        self._bytes = BytesIO(data)
        self._failure: BaseException | None = None
        self.size = self.total_bytes = len(data)
        """The bytes of the body."""

    def __repr__(self) -> str:
        return f"<WholeBody of {self.size} bytes>"

    def take(self) -> bytes:
        """Return the body without a copy, and keep nothing of it."""
        data = self._bytes.getvalue()
        self._bytes = BytesIO()
        return data

    def exception(self) -> BaseException | None:
        """Return what reading fails with."""
        return self._failure

    def set_exception(self, exc: BaseException, exc_cause: BaseException | None = None) -> None:
        """Let reading fail from now on."""
        self._failure = exc

    def on_eof(self, callback: Callable[[], None]) -> None:
        """Call back at once: the body is whole."""
        callback()

    def feed_eof(self) -> None:
        """Do nothing: the body is whole."""

    def is_eof(self) -> bool:
        """Return True: the body is whole."""
        return True

    def at_eof(self) -> bool:
        """Return whether all of it was read."""
        return self._bytes.tell() == self.size or not self._bytes.getbuffer().nbytes

    async def wait_eof(self) -> None:
        """Return at once."""

    def set_read_chunk_size(self, n: int) -> None:
        """Do nothing: there is no buffer to be filled."""

    def read_nowait(self, n: int = -1) -> bytes:
        """Return `n` bytes, or what is left."""
        if self._failure is not None:
            raise self._failure
        return self._bytes.read(n)

    async def read(self, n: int = -1) -> bytes:
        """Return `n` bytes, or what is left."""
        return self.read_nowait(n)

    async def readany(self) -> bytes:
        """Return what is left."""
        return self.read_nowait()

    async def readuntil(self, separator: bytes = b"\n", *, max_size: int | None = None) -> bytes:
        """Return what is left up to a separator, with it."""
        if not separator:
            raise ValueError("Separator should be at least one-byte string")
        begin = self._bytes.tell()
        found = self.read_nowait().find(separator)
        self._bytes.seek(begin)
        return self._bytes.read(-1 if found < 0 else found + len(separator))

    async def readchunk(self) -> tuple[bytes, bool]:
        """Return what is left, and whether a chunk ends there."""
        return self.read_nowait(), False
