"""Faults that a test switches on and off while the emulator runs."""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path

from .private import base

LIBRARIES = ("/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1")


class Faults:
    """What goes wrong in the instances of one function, or of several. Times in seconds."""

    def __init__(self) -> None:
        self.initializer_delay = 0.0
        """How much longer the initializer takes: within its own time-out, as if it were slow."""
        self._clock: SkewedClock | None = None

    @property
    def clock_skew(self) -> float:
        """How far the instances' wall clocks are ahead; monotonic clocks are right in any case.

        Once it was set to anything but 0, instances that are started from then on follow each
        change at once. It needs libfaketime: raises RuntimeError if that is not installed.
        Its version 0.9.10, Debian 12's, takes the monotonic time until which a program sleeps for
        wall clock time: time.sleep() of Python 3.11 and later raises OSError in such an instance,
        what waits on an event loop or on a lock does not.
        """
        return self._clock.skew if self._clock is not None else 0.0

    @clock_skew.setter
    def clock_skew(self, seconds: float) -> None:
        if self._clock is None and seconds:
            self._clock = SkewedClock()
        if self._clock is not None:
            self._clock.set(seconds)

    def environment(self) -> dict[str, str]:
        """Return the variables that an instance started now needs for the faults."""
        return {} if self._clock is None else self._clock.environment()


class SkewedClock:
    """A wall clock that can be set: a library gives it to programs, a file says how far off."""

    def __init__(self) -> None:
        """Raises RuntimeError if the library is not installed."""
        self._library = _library()
        self.skew = 0.0
        descriptor, name = tempfile.mkstemp(prefix="fc-clock-", dir=base())
        os.close(descriptor)
        self._file = Path(name)
        weakref.finalize(self, self._file.unlink, missing_ok=True)

    def set(self, seconds: float) -> None:
        """Set the clock so many seconds ahead, in each program that has it."""
        # One write of one line: a program that reads the file meanwhile reads the one or the other.
        fresh = self._file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.3f}\n")
        fresh.replace(self._file)
        self.skew = seconds

    def environment(self) -> dict[str, str]:
        """Return the variables with which a program has this clock."""
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",  # its name before version 0.9.8
            "NO_FAKE_STAT": "1",
        }


def _library() -> str:
    for pattern in LIBRARIES:
        for file in Path("/").glob(pattern.lstrip("/")):
            return str(file)
    raise RuntimeError(
        "the clock of an instance is set by libfaketime: apt-get install libfaketime"
    )
