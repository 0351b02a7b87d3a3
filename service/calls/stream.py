"""The event while it arrives: `EventStream`, read within the body limit and the budget of buffered
bodies.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from io import BytesIO
from typing import Any, Protocol, TypeVar, overload

from ..errors import BadFraming, CallerError, ClientGone, InvalidEvent, PayloadTooLarge
from .admission import Budget
from .annotations import bare_annotation
from .decode import decoder

T = TypeVar("T")

FIRST_PIECE = 64 * 1024
"""Bytes of the budget that a body of unknown length takes before it is read."""


class Source(Protocol):
    """Where the bytes come from: aiohttp's StreamReader, or a list of chunks in `invoke`."""

    async def readany(self) -> bytes:
        """Return the next bytes, b"" at the end."""
        ...


class Chunks:
    """A source that has its bytes already."""

    def __init__(self, *chunks: bytes) -> None:
        self._chunks = list(chunks)

    async def readany(self) -> bytes:
        """Return the next chunk, b"" at the end."""
        return self._chunks.pop(0) if self._chunks else b""


class _Overheard:
    """A source whose chunks somebody else is given, too."""

    def __init__(self, source: Source, hear: Callable[[bytes], None]) -> None:
        self._source = source
        self._hear = hear

    async def readany(self) -> bytes:
        """Return the next bytes, b"" at the end."""
        chunk = await self._source.readany()
        self._hear(chunk)
        return chunk


class EventStream:
    """The event's bytes as they arrive: iterate over chunks, `lines()` or `json_lines(T)`, or
    `await read()`.

    The event can be read once, until the handler returns. Reading raises PayloadTooLarge over the
    limit, RequestTimeout when the body stops arriving, BadRequest when it is not sound HTTP,
    ClientGone when the sender has left, RuntimeError after the handler has returned.
    """

    __slots__ = (
        "_begin",
        "_budget",
        "_grows",
        "_is_over",
        "_limit",
        "_reserved",
        "_source",
        "size",
        "total",
    )

    def __init__(
        self,
        source: Source,
        *,
        size: int | None,
        limit: int,
        budget: Budget,
        begin: Callable[[], None] | None = None,
    ) -> None:
        """`size` is the announced length in bytes, None if unknown; `begin` is called before the
        first read.
        """
        self._source = source
        self._limit = limit
        self._budget = budget
        self._begin = begin
        self._reserved = 0
        self._grows = False
        self._is_over = False
        self.size = size
        self.total = 0

    async def _next(self) -> bytes:
        self._check_open()
        if self._begin is not None:
            self._begin()
            self._begin = None
        try:
            chunk = await self._source.readany()
        except CallerError:
            raise
        except ConnectionError as reason:
            raise ClientGone("the sender left before the body was complete") from reason
        except Exception as reason:
            # aiohttp's payload errors quote the bytes they could not read: they stay out of the
            # message
            raise BadFraming("the body is not sound HTTP/1.1") from reason
        self._check_open()  # it may be answered since
        self.total += len(chunk)
        if self.total > self._limit:
            raise too_large(self._limit)
        return chunk

    def _check_open(self) -> None:
        if self._is_over:
            raise RuntimeError(
                "the call of this event is answered, and its body is gone: read it before the"
                " handler returns"
            )

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the body in chunks, as it arrives."""
        while chunk := await self._next():
            yield chunk

    async def read(self) -> bytes:
        """Return what is left of the body as one bytes object, once that fits into the budget."""
        left = (self._limit if self.size is None else self.size) - self.total
        if left <= 0:
            return await self._next()
        self._check_open()
        if self.size is None:
            return await self._read_growing(min(left, FIRST_PIECE))
        if not self._budget.take(left):
            await self._budget.reserve(left)
        self._reserved += left
        if self._is_over:  # answered while it waited
            self.close()
        whole = await self._next()
        if len(whole) < left:
            # The first chunk is not kept here while the others come: that would be a second copy.
            parts, whole = [whole], b""
            whole = await self._collect(parts, left)
            self._give_back(left - len(whole))
        return whole

    async def _collect(self, parts: list[bytes], size: int) -> bytes:
        """Join `parts`, emptying it, and the chunks that follow, with no second copy of the body.

        BytesIO hands out its own buffer when the content fills it: getvalue() does not copy.
        Joining a list of chunks would need twice the body's size for a moment.
        """
        buffer = BytesIO()
        buffer.seek(size - 1)  # take the memory at once: growing may move what is there
        buffer.write(b"\0")
        buffer.seek(0)
        while parts:
            buffer.write(parts.pop())
        async for chunk in self:
            buffer.write(chunk)
        buffer.truncate()
        return buffer.getvalue()

    async def _read_growing(self, room: int) -> bytes:
        """Return a body of unknown length. It takes `room` bytes of the budget, and more as it
        comes: a sender that stalls keeps from others what it has sent, and not what it could send.
        """
        await self._grow(room)
        buffer = BytesIO()
        async for chunk in self:
            if (lacking := buffer.tell() + len(chunk) - room) > 0:
                await self._grow(lacking)
                room += lacking
            buffer.write(chunk)
        self._budget.settle(self)
        self._give_back(room - buffer.tell())
        return buffer.getvalue()

    async def _grow(self, size: int) -> None:
        self._grows = True
        await self._budget.grow(self, size)
        self._reserved += size
        if self._is_over:  # answered while it waited
            self.close()

    def _give_back(self, size: int) -> None:
        self._reserved -= size
        self._budget.release(size)

    def overhear(self, hear: Callable[[bytes], None]) -> None:
        """Have each chunk given to `hear`, too, as it is read."""
        self._source = _Overheard(self._source, hear)

    def close(self) -> None:
        """Give the body's share of the budget back, at the end of the call; nothing is read any
        more.
        """
        self._is_over = True
        if self._grows:
            self._budget.settle(self)
        if self._reserved:
            self._budget.release(self._reserved)
            self._reserved = 0

    def _give_line_back(self) -> None:
        if self._reserved:
            self._budget.settle(self)
            self._give_back(self._reserved)

    async def lines(self) -> AsyncGenerator[bytes]:
        """Yield the body line by line, without the line ends (LF or CRLF). The part of a line whose
        end has not come is in the budget.
        """
        pending: list[bytes] = []
        async for chunk in self:
            first, *others = chunk.split(b"\n")
            pending.append(first)
            if others:  # the line is the handler's own from here on
                self._give_line_back()
            for piece in others:
                yield b"".join(pending).removesuffix(b"\r")
                pending = [piece]
            if pending[-1]:
                await self._grow(len(pending[-1]))
        self._give_line_back()
        if rest := b"".join(pending):
            yield rest

    @overload
    def json_lines(self) -> AsyncIterator[Any]: ...

    @overload
    def json_lines(self, item: type[T]) -> AsyncIterator[T]: ...

    async def json_lines(self, item: Any = Any) -> AsyncIterator[Any]:
        """Yield each line that is not blank, decoded from JSON as `item`. Raises InvalidEvent
        naming a bad line.
        """
        decode = decoder(item)
        number = 0
        async for line in self.lines():
            number += 1
            if not line or line.isspace():
                continue
            try:
                value = decode(line)
            except InvalidEvent as reason:
                raise InvalidEvent(f"line {number}: {reason}") from reason
            yield value


def takes_stream(annotation: Any) -> bool:
    """Return whether an annotation asks for the event while it arrives."""
    return bare_annotation(annotation) is EventStream


def too_large(limit: int) -> PayloadTooLarge:
    """Return the error for a body over `limit` bytes."""
    return PayloadTooLarge(f"the event is over the limit of {limit} bytes")
