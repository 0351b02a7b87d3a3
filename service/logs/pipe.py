"""Where log lines leave: whole, in order, and without holding up a call.

A line takes one of three ways. Most are written at once. If many calls begin in one turn of the
event loop, their lines are gathered and leave together at the turn's end, or with the next line
that is written at once: order is kept. What the pipe does not take is pending; the loop writes it
when the reader takes more, and any later write tries first to get it out. A line that was begun is
always finished before another one.

An answer waits (`when_out`) until the lines of its call are out, since the instance may freeze
after it: for what is gathered, and for what is pending as long as the reader takes something within
READER_PATIENCE. Beyond the capacity lines are dropped and counted, and one line tells of it later.

A lock holds together what threads, signal handlers and finalizers write. A process that a handler
has forked begins anew: another thread may have held the lock, and what is pending is the parent's.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable

from .lines import NOWHERE, Form, text_lines

READER_PATIENCE = 0.2
"""Seconds for which a call's answer waits for a slow reader of the log to take the call's lines."""


CROWD = 8
"""Calls that may begin in one turn of the loop before their lines are gathered."""


class Sink:
    """Writes whole lines to a file descriptor. Never raises and never blocks.

    What a slow pipe does not take yet is kept up to `capacity` bytes; beyond that, and when the
    pipe is closed, lines are dropped and counted in `lost`. What is kept, and the count, are
    written once the pipe takes lines again: by the loop, where one is attached, else with the next
    line.
    """

    def __init__(self, descriptor: int, capacity: int = 1024 * 1024) -> None:
        # A copy: a handler that closes fd 1 does not close the log.
        self._descriptor, self._step = _open(descriptor)
        self._ready = select.poll()
        self._ready.register(self._descriptor, select.POLLOUT)
        self._capacity = capacity
        self._no_call = contextvars.Context()
        self.form: Form = text_lines  # of the line that tells of lost ones
        self.begin_anew()

    def begin_anew(self) -> None:
        """Begin with nothing pending: at first, and in a process that a handler has forked.

        That one has a copy of all this as another thread may have left it, in the middle of a line:
        its lock would never be free, and what is pending is not its to write.
        """
        self._lock = threading.RLock()  # a signal handler may print while a line is being written
        self._pending: deque[bytes] = deque()
        self._pending_size = 0
        self._unreported = 0
        self._writing = False
        self._moved = time.monotonic()  # when the reader last took something
        self._gone = 0  # bytes that were pending and are not any more
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched = False
        self._gathered: list[bytes] = []
        self._begun = 0  # calls that have begun in this turn of the loop
        self._crowd = False  # there were many in the last one
        self._turn_ends = False  # the end of this turn of the loop is waited for
        self._held: list[Callable[[], None]] = []  # to be called at the end of the turn
        self._waiting: list[tuple[int, list[Callable[[], None]]]] = []  # and later
        self.lost = 0

    def write(self, lines: bytes) -> None:
        """Write `lines`, which end in a newline, after all earlier ones."""
        with self._lock:
            if self._gathered:
                lines = b"".join((*self._gathered, lines))
                self._gathered.clear()
            if self._pending or self._unreported:
                self._flush()
            if self._pending or self._writing:
                self._keep(lines)
            elif rest := self._put(lines):
                self._keep(rest, begun=len(rest) < len(lines))

    def flush(self, seconds: float = 0.0) -> bool:
        """Write what is pending, waiting up to `seconds` for the reader; return True when nothing
        is left.
        """
        end = time.monotonic() + seconds
        with self._lock:
            if self._gathered:
                self.write(b"")
            self._flush()
            while self._pending and (left := end - time.monotonic()) > 0:
                self._ready.poll(left * 1000)
                self._flush()
            return not self._pending

    # --- a reader that is slow

    def attach(self) -> None:
        """From now on the running loop writes what is pending as soon as the reader takes more."""
        with self._lock:
            self._loop, self._turn_ends = asyncio.get_running_loop(), False
            if self._pending:
                self._watch()

    def call_soon(self, step: Callable[[], None]) -> None:
        """Have the loop call something, if one is attached. Called from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(step)

    def detach(self) -> None:
        """Let go of the loop."""
        with self._lock:
            if self._loop is not None and self._watched:
                self._loop.remove_writer(self._descriptor)
            self._loop, self._watched = None, False
            waiting, self._waiting = self._waiting, []
        for _, those in waiting:
            self._call(those)

    def crowded(self) -> bool:
        """Note that a call begins; return whether so many begin in one turn of the loop that their
        lines are better gathered. For a few that would cost more turns than it saves writes.
        """
        self._begun += 1
        if not self._turn_ends:
            self._end_turn_soon()
        return self._crowd or self._begun > CROWD

    def gather(self, lines: bytes) -> None:
        """Write `lines` by the end of this turn of the loop, with what other calls gather.

        A write to a pipe costs more than all that the service does for a small call, and more still
        where it wakes the reader. Gathered lines leave with the next `write`, or at the end of the
        turn, which `when_out` waits for. Called from the loop.
        """
        if self._loop is None:
            self.write(lines)
            return
        with self._lock:
            self._gathered.append(lines)
        if not self._turn_ends:
            self._end_turn_soon()

    def when_out(self, then: Callable[[], None]) -> None:
        """Call `then` once all that is written by now is out: at once if it is.

        It is called after READER_PATIENCE seconds in any case; if the reader has taken nothing for
        as long, it is not waited for. Called from the loop.
        """
        if self._loop is None:
            self.flush()
            then()
            return
        with self._lock:  # a thread may be writing what was gathered
            if self._gathered or self._held:
                self._held.append(then)
                return
            if self._pending:
                self._flush()
                if not self._later([then]):
                    return
        then()

    def _end_turn_soon(self) -> None:
        if self._loop is not None:
            self._turn_ends = True
            # In no call's context: what is called then starts other calls.
            self._loop.call_soon(self._end_turn, context=self._no_call)

    def _end_turn(self) -> None:
        self._turn_ends = False
        self._crowd, self._begun = self._begun > CROWD, 0
        with self._lock:
            if self._gathered:
                self.write(b"")
            late, self._held = self._later(self._held), []
        self._call(late)

    def _later(self, those: list[Callable[[], None]]) -> list[Callable[[], None]]:
        """Keep those who wait for the reader until it has taken all that is pending; return whom it
        does not hold up.
        """
        patience = self._moved + READER_PATIENCE - time.monotonic() if self._pending else 0.0
        if patience <= 0 or self._loop is None:
            return those
        entry = (self._gone + self._pending_size, those)
        self._waiting.append(entry)
        self._loop.call_later(patience, self._release, entry, context=self._no_call)
        return []

    def _release(self, entry: tuple[int, list[Callable[[], None]]]) -> None:
        """Call those that wait for an entry, unless that was done."""
        if entry in self._waiting:
            self._waiting.remove(entry)
            self._call(entry[1])

    def _call(self, those: list[Callable[[], None]]) -> None:
        for number, then in enumerate(those, 1):
            try:
                then()
            except BaseException:
                self._held[:0] = those[number:]  # the fault of one holds up no other
                if not self._turn_ends:
                    self._end_turn_soon()
                raise

    def _watch(self) -> None:
        if self._loop is None or self._watched:
            return
        with contextlib.suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._add_writer)
            self._watched = True

    def _add_writer(self) -> None:
        if self._loop is not None and self._watched:
            self._loop.add_writer(self._descriptor, self._on_room)

    def _on_room(self) -> None:
        with self._lock:
            self._flush()
            if not self._pending and self._loop is not None:
                self._loop.remove_writer(self._descriptor)
                self._watched = False
            out = [entry for entry in self._waiting if entry[0] <= self._gone]
        for entry in out:
            self._release(entry)

    # --- what is pending

    def _flush(self) -> None:
        while self._pending and not self._writing:
            lines = self._pending.popleft()
            rest = self._put(lines)
            self._gone += len(lines) - len(rest)
            self._pending_size -= len(lines) - len(rest)
            if rest:
                self._pending.appendleft(rest)
                return
        if self._unreported and not self._writing:
            self._report()

    def _report(self) -> None:
        notice = f"{self._unreported} log lines were lost: the log pipe was full or closed"
        try:
            rest = self._try(self.form(NOWHERE, "WARNING", notice))
        except OSError:  # still broken: the count stands until it is not
            return
        self._unreported = 0
        if rest:
            self._keep(rest, begun=True)

    def _keep(self, lines: bytes, *, begun: bool = False) -> None:
        """Keep the whole lines that there is room for. A line that is `begun` is kept in any
        case, in front of what came while it was being written.
        """
        room = max(0, self._capacity - self._pending_size)
        if len(lines) > room:
            first = lines.index(b"\n") + 1 if begun else 0
            end = max(first, lines.rfind(b"\n", 0, room) + 1)
            self._drop(lines.count(b"\n", end))
            lines = lines[:end]
        if lines:
            (self._pending.appendleft if begun else self._pending.append)(lines)
            self._pending_size += len(lines)
            self._watch()

    def _drop(self, count: int) -> None:
        self.lost += count
        self._unreported += count

    def _put(self, lines: bytes) -> bytes:
        """Write as much as the descriptor takes now; return the rest. A broken one loses all."""
        try:
            return self._try(lines)
        except OSError:
            self._drop(lines.count(b"\n"))
            return b""

    def _try(self, lines: bytes) -> bytes:
        self._writing = True  # a finalizer or a signal handler may print in the middle of a line
        try:
            while lines:
                if self._step is not None and not self._ready.poll(0):
                    break
                written = os.write(self._descriptor, lines[: self._step])
                self._moved = time.monotonic()
                lines = lines[written:]
        except BlockingIOError:
            pass
        finally:
            self._writing = False
        return lines

    def close(self) -> None:
        """Give the descriptor back."""
        with self._lock:
            os.close(self._descriptor)


def _open(descriptor: int) -> tuple[int, int | None]:
    """Return a descriptor to write to without blocking, and how many bytes at a time it takes
    (None: any).

    A pipe or a terminal can be opened again with O_NONBLOCK for ourselves alone. Where that is not
    allowed, a pipe that polls as writable has room for PIPE_BUF bytes, and a terminal for one.
    Setting O_NONBLOCK on the descriptor we were given would change it for every process that shares
    it, the user's shell among them.
    """
    mode = os.fstat(descriptor).st_mode
    is_terminal = os.isatty(descriptor)
    if stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not is_terminal):
        return os.dup(descriptor), None  # a file or /dev/null: nobody reads it, slowly or not
    if stat.S_ISFIFO(mode) or is_terminal:
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY
        try:
            return os.open(f"/proc/self/fd/{descriptor}", flags), None
        except OSError:  # after `su` the terminal is another user's
            pass
    return os.dup(descriptor), 1 if is_terminal else select.PIPE_BUF
