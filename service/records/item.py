"""One record of a batch that is under way, and where records come from."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Hashable, Iterable, Iterator
from contextlib import aclosing
from typing import Any

import msgspec

from ..calls.stream import EventStream
from ..calls.tracebacks import CodePlace
from ..context.call import RUNNING, Context
from ..context.derived import context_of_part
from ..context.plain import cut_text, safe_text

LONGEST_SHOWN_KEY = 100
"""Characters of a key in logs and messages."""


class RecordItem:
    """One record: what came, what it is decoded, and how far it has come."""

    __slots__ = (
        *(
            "call",
            "context",
            "error",
            "index",
            "is_abandoned",
            "is_decoded",
            "is_failing",
            "key",
            "part",
        ),
        *("place", "record", "task", "tries", "where"),
    )

    def __init__(self, index: int, place: str, part: Any) -> None:
        """`place` is what messages call it, `part` what came."""
        self.index = index
        self.place = place
        self.part = part
        """What came; None once it is decoded."""
        self.record: Any = None
        self.is_decoded = False
        self.key: Hashable = None
        self.call: Any = None
        """The context of its call."""
        self.context: Any = None
        """Its own; None until it is given one."""
        self.error: BaseException | None = None
        """Why it cannot be handled, or what its last try has raised."""
        self.tries = 0
        self.is_failing = False
        """Whether it is no longer its handler's, and handed over."""
        self.is_abandoned = False
        """Whether its time was over while its handler ran."""
        self.task: asyncio.Task[None] | None = None
        self.where: CodePlace | None = None
        """Where its handler waited when its time was over."""

    def give_context(self, deadline: float | None) -> None:
        """Have a context of its own, with this deadline; a test's may be none of ours."""
        self.context = self.call
        if isinstance(self.call, Context):
            bound = {f"record_{name}": value for name, value in self.fields().items()}
            self.context = context_of_part(self.call, deadline, bound)
            self.context.record_index = self.index

    def write_lines(self) -> None:
        """Let the lines that the task here writes from now on be its own."""
        if isinstance(self.context, Context):
            RUNNING.set(self.context)

    def take(self, record: Any) -> None:
        """Have it decoded."""
        self.record, self.part, self.is_decoded = record, None, True

    def seen(self) -> Any:
        """Return what is known of it: decoded, or as it came."""
        if self.is_decoded:
            return self.record
        return bytes(self.part) if isinstance(self.part, msgspec.Raw) else self.part

    def fields(self) -> dict[str, Any]:
        """Return which record it is, for messages."""
        if self.key is None:
            return {"index": self.index}
        return {"index": self.index, "key": cut_text(safe_text(self.key), LONGEST_SHOWN_KEY)}


class ListedRecords:
    """The records of a list, as they came or decoded."""

    def __init__(self, parts: Iterable[Any], *, decoded: bool = False) -> None:
        self._items = self._each(parts, decoded)

    def _each(self, parts: Iterable[Any], decoded: bool) -> Iterator[RecordItem]:
        for number, part in enumerate(parts):
            item = RecordItem(number, f"$[{number}]", part)
            if decoded:
                item.take(part)
            yield item

    async def items(self) -> AsyncGenerator[RecordItem]:
        """Yield the next ones."""
        for item in self._items:
            yield item

    def rest(self) -> Iterator[RecordItem]:
        """Return those that have not been taken."""
        return self._items

    @property
    def is_unread(self) -> bool:
        """Whether there may be records that nobody has seen."""
        return False


class StreamedRecords:
    """The records of a stream of JSON lines, while they arrive."""

    def __init__(self, event: EventStream) -> None:
        self._event = event
        self.is_unread = True
        """Whether there may be records that nobody has seen."""

    async def items(self) -> AsyncGenerator[RecordItem]:
        """Yield them as they arrive."""
        index = line_number = 0
        async with aclosing(self._event.lines()) as lines:
            async for line in lines:
                line_number += 1
                if line and not line.isspace():
                    yield RecordItem(index, f"line {line_number}", line)
                    index += 1
        self.is_unread = False

    def rest(self) -> Iterator[RecordItem]:
        """Return none: what has not arrived is not waited for."""
        return iter(())


RecordSource = ListedRecords | StreamedRecords
