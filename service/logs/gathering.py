"""Log lines of many calls in one write, and answers that wait for the lines of their calls.

If more than a few calls begin in one turn of the event loop, or end in one, the lines of the others
are gathered: they leave together at the turn's end, or with the next line that is written at once,
so order is kept.

An answer waits (`when_out`) until the lines of its call are out, since the instance may freeze
after it: for what is gathered, and for what is pending as long as the reader takes something within
READER_PATIENCE.
"""

from __future__ import annotations

import contextvars
import time
from collections.abc import Callable

from .pipe import LogPipe

READER_PATIENCE = 0.2
"""Seconds for which a call's answer waits for a slow reader of the log to take the call's lines."""

FEW_IN_A_TURN = 4
"""Calls that may begin in one turn of the loop, and as many that end in it, before the lines of
further ones are gathered.
"""


class GatheringPipe(LogPipe):
    """A pipe for the lines of calls, which knows when they are out."""

    def __init__(self, descriptor: int, capacity: int = 1024 * 1024) -> None:
        self._no_call = contextvars.Context()
        super().__init__(descriptor, capacity)

    def begin_anew(self) -> None:
        """Begin with nothing gathered or pending, and nobody waiting for it."""
        super().begin_anew()
        self._turn = 1  # of the loop, counted where calls begin or end
        self._begun = 0  # calls that have begun in this turn
        self._ended = 0  # calls that have ended in it, but for those of its crowd
        self._crowd = False  # there were many in the last one
        self._turn_ends = False  # the end of this turn of the loop is waited for
        self._held: list[Callable[[], None]] = []  # to be called at the end of the turn
        self._waiting: list[tuple[int, list[Callable[[], None]]]] = []  # and later

    def attach(self) -> None:
        """From now on the running loop writes what is gathered and pending."""
        with self._lock:
            super().attach()
            self._turn_ends = False

    def detach(self) -> None:
        """Let go of the loop; nobody waits any longer."""
        super().detach()
        waiting, self._waiting = self._waiting, []
        for _, those in waiting:
            self._call(those)

    def begins(self) -> int:
        """Note that a call begins. Return which turn of the loop this is if so many begin that the
        call's lines are better gathered, else 0.
        """
        self._begun += 1
        if not self._turn_ends:
            self._end_turn_soon()
        return self._turn if self._crowd or self._begun > FEW_IN_A_TURN else 0

    def ends(self, crowd: int) -> bool:
        """Note that a call ends, of which `begins` returned `crowd`; return whether its lines are
        better gathered: it is one of a crowd that ends as it began, or many end in this turn.

        A few are better answered at once: calls that are answered together begin together again.
        """
        if crowd == self._turn:
            return True
        self._ended += 1
        if not self._turn_ends:
            self._end_turn_soon()
        return self._ended > FEW_IN_A_TURN

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
            self._ahead.append(lines)
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
            if self._ahead or self._held:
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
        self._crowd = self._begun > FEW_IN_A_TURN
        self._begun = self._ended = 0
        self._turn += 1
        if not (self._ahead or self._held):
            return
        with self._lock:
            if self._ahead:
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

    def _on_room(self) -> None:
        super()._on_room()
        for entry in [entry for entry in self._waiting if entry[0] <= self._gone]:
            self._release(entry)
