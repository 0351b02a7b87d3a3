"""Where log lines leave: whole, in order, and without holding up a call.

Most lines are written at once. What the pipe does not take is pending; the loop writes it when the
reader takes more, and any later write tries first to get it out. A line that was begun is always
finished before another one. Beyond the capacity lines are dropped and counted, and one line tells
of it later. Lines may also be laid ahead of the next ones, and leave with them (`gathering.py`).

A lock holds together what threads write. What a signal handler, a finalizer or a profiler writes in
the midst of a write, in the same thread, is written after that. A process that a handler has forked
begins anew: another thread may have held the lock, and what is pending is the parent's.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Callable

from .details import NO_DETAILS
from .lines import NOWHERE, Form, text_lines


class LogPipe:
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
        self.form: Form = text_lines  # of the line that tells of lost ones
        self.begin_anew()

    def begin_anew(self) -> None:
        """Begin with nothing pending: at first, and in a process that a handler has forked.

        That one has a copy of all this as another thread may have left it, in the middle of a line:
        its lock would never be free, and what is pending is not its to write.
        """
        self._lock = threading.RLock()  # a signal handler may print while a line is being written
        self._meanwhile: deque[bytes] = deque()  # what it has printed then
        self._pending: deque[bytes] = deque()
        self._pending_size = 0
        self._unreported = 0
        self._writing = False
        self._moved = time.monotonic()  # when the reader last took something
        self._gone = 0  # bytes that were pending and are not any more
        self._loop: asyncio.AbstractEventLoop | None = None
        self._watched = False
        self._ahead: list[bytes] = []  # lines that leave with the next ones, in front of them
        self.lost = 0

    def write(self, lines: bytes) -> None:
        """Write `lines`, which end in a newline, after all earlier ones."""
        with self._lock:
            if self._writing:  # this thread, which was interrupted
                self._meanwhile.append(lines)
                return
            self._writing = True
            try:
                if self._ahead:
                    ahead, self._ahead = self._ahead, []
                    lines = b"".join((*ahead, lines))
                if self._pending or self._unreported:
                    self._write_pending()
                if self._pending:
                    self._keep(lines)
                elif rest := self._put(lines):
                    self._keep(rest, begun=len(rest) < len(lines))
            finally:
                self._writing = False
            if self._meanwhile:
                self._write_meanwhile()

    def flush(self, seconds: float = 0.0) -> bool:
        """Write what is pending, waiting up to `seconds` for the reader; return True when nothing
        is left.
        """
        end = time.monotonic() + seconds
        with self._lock:
            if self._ahead:
                self.write(b"")
            self._flush()
            while self._pending and not self._writing and (left := end - time.monotonic()) > 0:
                self._ready.poll(left * 1000)
                self._flush()
            return not self._pending

    def _write_meanwhile(self) -> None:
        lines = []
        while self._meanwhile:
            lines.append(self._meanwhile.popleft())
        self.write(b"".join(lines))

    # --- a reader that is slow

    def attach(self) -> None:
        """From now on the running loop writes what is pending as soon as the reader takes more."""
        with self._lock:
            self._loop = asyncio.get_running_loop()
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

    # --- what is pending

    def _flush(self) -> None:
        if self._writing:
            return
        self._writing = True
        try:
            self._write_pending()
        finally:
            self._writing = False
        if self._meanwhile:
            self._write_meanwhile()

    def _write_pending(self) -> None:
        while self._pending:
            lines = self._pending.popleft()
            rest = self._put(lines)
            self._gone += len(lines) - len(rest)
            self._pending_size -= len(lines) - len(rest)
            if rest:
                self._pending.appendleft(rest)
                return
        if self._unreported:
            self._report()

    def _report(self) -> None:
        notice = f"{self._unreported} log lines were lost: the log pipe was full or closed"
        try:
            rest = self._try(self.form(NOWHERE, "WARNING", notice, NO_DETAILS))
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
        try:
            while lines:
                if self._step is not None and not self._ready.poll(0):
                    break
                written = os.write(self._descriptor, lines[: self._step])
                self._moved = time.monotonic()
                lines = lines[written:]
        except BlockingIOError:
            pass
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
