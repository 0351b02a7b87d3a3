"""The calls that the console knows: the newest ones, with as much of their texts as there is room
for.

A call costs two entries in mappings while it runs: what is shown of it is made when it is asked
for.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from .entry import CallEntry, CallKind
from .refusal import ConsoleRefusal

KEPT_CALLS = 2_000
"""Calls that are kept."""

KEPT_TEXT = 64 * 1024 * 1024
"""Bytes of events, results and lines that are kept; the oldest calls lose theirs first."""

LINES_OF_CALL = 256 * 1024
"""Bytes of the lines that one call has at most; of more, the first ones are kept."""

LINE_COST = 64
"""Bytes that a line takes beside its text."""

LISTED_CALLS = 200
"""Calls of which a page is told at once."""


@dataclass(frozen=True, slots=True)
class CallsQuery:
    """Which calls to list: of a function, with a status, with a text in them, before another one
    (its id); "" asks for all.
    """

    function: str = ""
    status: str = ""
    text: str = ""
    before: str = ""
    limit: int = LISTED_CALLS


class CallHistory:
    """The newest calls, the oldest first. `wake` is called when something has changed."""

    def __init__(
        self,
        wake: Callable[[], None] = lambda: None,
        *,
        calls: int = KEPT_CALLS,
        text: int = KEPT_TEXT,
    ) -> None:
        self._wake = wake
        self._most_calls = calls
        self._most_text = text
        self._size = 0
        self._last = 0
        # A plain dict looks longer and longer for the first one that it has.
        self._calls: OrderedDict[str, CallEntry] = OrderedDict()
        self._running: dict[str, CallEntry] = {}  # by their request ids
        self._changed: dict[int, CallEntry] = {}
        self._skipped = 0
        self._with_texts: deque[CallEntry] = deque()

    # --- what happens

    def begin(
        self, request_id: str, function: str, kind: CallKind, event: bytes, retry: int = 0
    ) -> CallEntry:
        """Note a call that begins now, and return it."""
        entry = CallEntry(request_id, function, kind, event, retry)
        entry.arrived, entry.began = time.time(), time.monotonic()
        self._last += 1
        entry.number = self._last
        if request_id in self._calls:
            entry.id = self._free_id(request_id)
        self._calls[entry.id] = self._running[request_id] = entry
        self._with_texts.append(entry)
        if len(self._calls) > self._most_calls:
            self._forget(next(iter(self._calls.values())))
        self._add(len(event))
        self._note(entry)
        return entry

    def hear(self, entry: CallEntry, event: bytes, size: int) -> None:
        """Note the event of a call, which has come by now: as far as it was kept of its `size`."""
        entry.kept = (size, entry.kept[1])
        if entry.event is not None and self._calls.get(entry.id) is entry:
            entry.event = event
            self._add(len(event))

    def end(self, entry: CallEntry, result: bytes) -> None:
        """Note that a call has ended: its fields say how."""
        if self._running.get(entry.request_id) is entry:
            del self._running[entry.request_id]
        entry.kept = (entry.kept[0], len(result))
        if self._calls.get(entry.id) is not entry:
            return
        if entry.event is not None:
            entry.result = result
            self._add(len(result))
        self._note(entry)

    def line(self, request_id: str, instance: str, text: str) -> CallEntry | None:
        """Note a line of a call, and return the call; None if there is none of that request id."""
        entry = self._running.get(request_id) or self._calls.get(request_id)
        if entry is None:
            return None
        entry.instance = entry.instance or instance
        cost = len(text) + LINE_COST
        if entry.lines_size + cost > LINES_OF_CALL or entry.event is None:
            entry.lines_dropped += 1
        else:
            entry.lines.append((time.time(), text))
            entry.lines_size += cost
            self._add(cost)
        self._note(entry)
        return entry

    def report(self, entry: CallEntry, kind: str, text: str) -> None:
        """Note what has hit a call: a stall of its event loop, its deadline."""
        if len(entry.reports) < 20 and (kind, text) not in entry.reports:
            entry.reports.append((kind, text))
            self._note(entry)

    def running(self, instance: str) -> list[CallEntry]:
        """Return the calls that run in an instance."""
        return [each for each in self._running.values() if each.instance == instance]

    # --- what is asked for

    def find(self, call_id: str) -> CallEntry:
        """Return a call. Raises ConsoleRefusal 404 for one that is not known, or not any more."""
        if (entry := self._calls.get(call_id)) is None:
            told = f"no call {call_id[:200]!r} is known: the newest {self._most_calls:,} are kept"
            raise ConsoleRefusal(404, told)
        return entry

    def newest(self, count: int) -> list[CallEntry]:
        """Return the newest calls, the newest first. They count as told."""
        found = [entry for entry, _ in zip(self._backwards(), range(count), strict=False)]
        for entry in found:
            entry.told = True
        return found

    def page(self, query: CallsQuery) -> tuple[list[CallEntry], bool]:
        """Return the calls that are asked for, the newest first, and whether there are more."""
        before = self.find(query.before).number if query.before else self._last + 1
        found: list[CallEntry] = []
        for entry in self._backwards():
            if entry.number < before and _matches(entry, query):
                if len(found) == query.limit:
                    return found, True
                found.append(entry)
        return found, False

    def take_changed(self) -> tuple[list[CallEntry], int]:
        """Return at most 200 calls that have changed since the last time, and how many others have.

        A call of which a page was told is told again when it ends, if not now then later: a list
        that says that it runs would be wrong for ever. Others are skipped, the oldest first.
        """
        changed, self._changed = self._changed, {}
        told = [entry for entry in changed.values() if entry.told]
        if later := told[LISTED_CALLS:]:
            self._changed = {entry.number: entry for entry in later}
            self._wake()
        room = LISTED_CALLS - len(told[:LISTED_CALLS])
        fresh = [entry for entry in changed.values() if not entry.told]
        skipped, self._skipped = self._skipped + max(len(fresh) - room, 0), 0
        listed = told[:LISTED_CALLS] + (fresh[-room:] if room else [])
        for entry in listed:
            entry.told = True
        return listed, skipped

    # --- room

    def _note(self, entry: CallEntry) -> None:
        if entry.number not in self._changed:
            self._changed[entry.number] = entry
            self._wake()

    def _free_id(self, request_id: str) -> str:
        number = 2
        while f"{request_id}~{number}" in self._calls:
            number += 1
        return f"{request_id}~{number}"

    def _forget(self, entry: CallEntry) -> None:
        del self._calls[entry.id]
        if self._with_texts and self._with_texts[0] is entry:
            self._drop_texts()
        if self._changed.pop(entry.number, None) is not None:
            self._skipped += 1
        if self._running.get(entry.request_id) is entry:
            del self._running[entry.request_id]

    def _add(self, size: int) -> None:
        """Count bytes that are kept; the oldest calls make room for them, but never the newest."""
        self._size += size
        while self._size > self._most_text and len(self._with_texts) > 1:
            self._drop_texts()

    def _drop_texts(self) -> None:
        entry = self._with_texts.popleft()
        self._size -= entry.size
        entry.lines_dropped += len(entry.lines)
        entry.lines, entry.lines_size = [], 0
        entry.event = entry.result = None

    def _backwards(self) -> Iterator[CallEntry]:
        return reversed(self._calls.values())


def _matches(entry: CallEntry, query: CallsQuery) -> bool:
    if query.function and entry.function != query.function:
        return False
    if query.status and entry.status != query.status:
        return False
    return not query.text or _contains(entry, query.text.lower())


LOOKED_AT = 64 * 1024
"""Bytes of an event and of a result in which a text is looked for."""


def _contains(entry: CallEntry, text: str) -> bool:
    for each in (entry.id, entry.function, entry.instance, entry.error):
        if text in each.lower():
            return True
    sought = text.encode("utf-8", "replace")
    for body in (entry.event, entry.result):
        if body and sought in body[:LOOKED_AT].lower():
            return True
    return any(text in line.lower() for _, line in entry.lines)
