"""What an instance writes: read without waiting, cut into lines, each given to its call
(docs/platform.md section 4).

stdout and stderr share one pipe, so that lines stay in the order in which they were written.
"""

from __future__ import annotations

import asyncio
import os
import string
from collections.abc import Callable, Sequence

from ...protocol import INVOKE, MAX_LOG_LINE, end_line, start_line
from ..log import CallLine

TAIL = 4096
"""Bytes at the end of a call's log that the platform returns, and that an error quotes."""

CHUNK = 16 * 1024
"""Bytes read in one turn of the loop: a flood of output takes turns with the calls. No line that is
whole in so many is too long.
"""

PIPE = 64 * 1024
"""Bytes that a pipe holds at once: what an instance wrote before its answer is within so many."""

_OF_IDS = (string.ascii_letters + string.digits + "-").encode()
_WORDS = bytes(byte if byte in _OF_IDS else 0x20 for byte in range(256))
"""Leaves of a line what may be a request id: the platform's are words joined by hyphens, as UUIDs
are.
"""

BEGIN = len("2026-11-29T01:30:00.000Z ")
"""Where the request id stands in a line of the platform's form."""


class Output:
    """Reads what one instance writes to `writer`, and hands the lines that it finds to `write`.

    A line of the platform's form is the call's that it says after its time. Any other is the call's
    whose request id stands in it, if one and only one in flight does; else the only call's that is
    in flight; else nobody's, and its request id is "".
    """

    def __init__(self, write: Callable[[Sequence[CallLine]], None]) -> None:
        self._write = write
        self._reader, self.writer = os.pipe()
        os.set_blocking(self._reader, False)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._reader, self._take)
        self._calls: dict[str, None] = {}
        self._kept: dict[str, bytearray] = {}  # what was written by those that want it
        self._begun = bytearray()  # the line that has not ended, up to its limit
        self._size = 0  # and how long it is by now
        self._recent = bytearray()
        self._open = True

    def close_writer(self) -> None:
        """Close our copy of the end that the instance has, if that was not done."""
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1

    # --- calls

    def begin(self, request_id: str, *, keep: bool = False) -> None:
        """Take lines as this call's from here on; with `keep` its last lines are kept for `end`."""
        if not self._calls:
            self.catch_up()  # what was written until now is not this call's
        self._calls[request_id] = None
        if keep:
            self._kept[request_id] = bytearray()

    def end(self, request_id: str) -> bytes | None:
        """Take no more lines as this call's; return the last 4 KB if they were kept. What it has
        written is read by now (`catch_up`).
        """
        if len(self._calls) == 1 and self._size:
            self._end_lines([b""])  # the call has not ended its last line, and nobody else will
        self._calls.pop(request_id, None)
        kept = self._kept.pop(request_id, None)
        return None if kept is None else tail(kept)

    @property
    def recent(self) -> str:
        """The last 4 KB of all that was written."""
        return tail(self._recent).decode("utf-8", "replace")

    # --- the pipe

    def catch_up(self) -> None:
        """Read what is in the pipe by now, and not what a flood puts there meanwhile."""
        left = PIPE
        while left > 0 and self._take() == CHUNK:  # less is all there was
            left -= CHUNK

    def close(self) -> None:
        """Read what is left, and read no more."""
        self.close_writer()
        self.catch_up()
        if self._size:
            self._end_lines([b""])
        self._stop_reading()

    def _take(self) -> int:
        """Read what there is, up to a limit; return how many bytes."""
        if not self._open:
            return 0
        try:
            data = os.read(self._reader, CHUNK)
        except BlockingIOError:
            return 0
        if data:
            *whole, rest = data.split(b"\n")
            if whole:
                self._end_lines(whole)
            if rest:
                self._hold(rest)
        else:
            self._stop_reading()
        return len(data)

    def _stop_reading(self) -> None:
        if self._open:
            self._open = False
            self._loop.remove_reader(self._reader)
            os.close(self._reader)

    # --- lines

    def _hold(self, part: bytes) -> None:
        self._begun += part[: MAX_LOG_LINE + 1 - len(self._begun)]
        self._size += len(part)

    def _end_lines(self, whole: list[bytes]) -> None:
        """Hand out lines that have ended, the first of which may have begun before."""
        if self._size:
            whole[0] = self._held_line(whole[0])
        written = b"\n".join([line.removesuffix(b"\r") for line in whole]) + b"\n"
        _keep(self._recent, written)
        texts = written.decode("utf-8", "replace").split("\n")[:-1]
        owners = self._owners(texts)
        if self._kept:
            for line, request_id in zip(written.split(b"\n"), owners, strict=False):
                if (kept := self._kept.get(request_id)) is not None:
                    _keep(kept, line + b"\n")
        if told := [line for line in zip(texts, owners, strict=True) if line[0]]:
            self._write(told)

    def _held_line(self, end: bytes) -> bytes:
        """Return the whole line, or as much of it as there may be."""
        self._hold(end)
        line = bytes(self._begun)
        if self._size > MAX_LOG_LINE:
            note = b"... [cut: the line had %d bytes]" % self._size
            line = line[: last_character(line, MAX_LOG_LINE - len(note))] + note
        self._begun.clear()
        self._size = 0
        return line

    def _owners(self, lines: list[str]) -> list[str]:
        """Return the request id for each line."""
        calls = self._calls
        if len(calls) <= 1:
            return [next(iter(calls), "")] * len(lines)
        return [*map(self._owner, lines)]

    def _owner(self, line: str) -> str:
        end = line.find(" ", BEGIN)
        if line[BEGIN:end] in self._calls and line[BEGIN - 2 : BEGIN] == "Z " and end > 0:
            return line[BEGIN:end]
        if line.startswith("FC "):  # a usual line around a call: in it stands no other id
            last = line[line.rfind(" ") + 1 :]
            if last in self._calls and line in (
                start_line(INVOKE, last),
                end_line(INVOKE, last, failed=False),
            ):
                return last
        named = self._calls.keys() & _words(line)
        return named.pop() if len(named) == 1 else ""


def _keep(log: bytearray, written: bytes) -> None:
    log += written
    if len(log) > 2 * MAX_LOG_LINE:
        del log[: -2 * TAIL]


def _words(line: str) -> set[str]:
    """Return the words of a line, those joined by hyphens as one. A regular expression takes ten
    times as long.
    """
    words = line.encode().translate(_WORDS).decode()
    if "--" in words or "- " in words or " -" in words or words[:1] == "-" or words[-1:] == "-":
        return {word.strip("-") for word in words.replace("--", " ").split()}
    return set(words.split())


def tail(log: bytes | bytearray) -> bytes:
    """Return the last 4 KB of a log, or up to three bytes less: no character is cut."""
    start = max(len(log) - TAIL, 0)
    return bytes(log[next_character(log, start) if start else 0 :])


def next_character(text: bytes | bytearray, place: int) -> int:
    """Return where the first character of UTF-8 begins from `place` on."""
    for start in range(place, min(place + 4, len(text))):
        if text[start] & 0xC0 != 0x80:  # no byte within a character
            return start
    return place


def last_character(text: bytes, place: int) -> int:
    """Return where the character of UTF-8 begins that `place` is in."""
    for start in range(place, max(place - 4, 0), -1):
        if text[start] & 0xC0 != 0x80:
            return start
    return place
