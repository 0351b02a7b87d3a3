"""What a sampling profiler has seen of the handler's calls, in few bytes, and how it is named."""

from __future__ import annotations

import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from queue import SimpleQueue

from pyinstrument.frame_info import parse_frame_info

from .flame import WAITING, Stack, draw

DEEPEST = 150
"""Frames of a stack that are kept: the outermost ones."""

MOST_STACKS = 20_000
"""Different stacks that are kept; others count for the function that they begin with."""


class Samples:
    """The seconds that were seen in each stack."""

    def __init__(self) -> None:
        self.calls = 0
        self._seconds: dict[tuple[str, ...], float] = {}
        self._added = SimpleQueue[tuple[tuple[str, ...], float]]()
        self._lock = threading.Lock()  # plain handlers have threads

    def begin_call(self) -> None:
        """Count a call that is looked at."""
        with self._lock:
            self.calls += 1

    def add(self, stack: Sequence[str], seconds: float) -> None:
        """Add seconds for a stack, whose frames are pyinstrument's. It may look at the thread in
        the midst of this, and add what it sees: so this takes no lock.
        """
        self._added.put((tuple(stack[:DEEPEST]), seconds))

    def count(self) -> None:
        """Count what was added, unless that is being done: then the rest waits for the next time.
        Each look of the profiler calls it.
        """
        if self._lock.acquire(blocking=False):
            try:
                self._count()
            finally:
                self._lock.release()

    def _count(self) -> None:
        for _ in range(self._added.qsize()):
            key, seconds = self._added.get_nowait()
            if key not in self._seconds and len(self._seconds) >= MOST_STACKS:
                key = key[:1]
            self._seconds[key] = self._seconds.get(key, 0.0) + seconds

    def named(self, root: str, folder: Path) -> dict[Stack, float]:
        """Return the seconds of each stack with readable frames, all above the frame `root`."""
        with self._lock:
            self._count()
            seen = list(self._seconds.items())
        names: dict[str, str] = {}
        found: dict[Stack, float] = {}
        for stack, seconds in seen:
            for frame in stack:
                if frame not in names:
                    names[frame] = labelled(frame, folder)
            named = (root, *(names[frame] for frame in stack))
            found[named] = found.get(named, 0.0) + seconds
        return found


def labelled(frame: str, folder: Path) -> str:
    """Return pyinstrument's text of a frame as `function file:line`: the function's first line."""
    identifier, attributes = parse_frame_info(frame)
    name, _, rest = identifier.partition("\0")
    file, _, line = rest.partition("\0")
    if not file:
        return name
    if file == "<built-in>":
        return f"{name} built-in"
    kind = next((each[1:] for each in attributes if each.startswith("c")), "")
    return (
        f"{kind}.{name} {short(file, folder)}:{line}"
        if kind
        else f"{name} {short(file, folder)}:{line}"
    )


def short(file: str, folder: Path) -> str:
    """Return a file's path below the nearest folder that modules are imported from. Those of the
    function's own begin with `./`.
    """
    roots = [root for root in (*sys.path, str(folder)) if root and file.startswith(f"{root}/")]
    nearest = max(roots, key=len, default="")
    if nearest and nearest == str(folder):
        return f"./{file[len(nearest) + 1 :]}"
    return file[len(nearest) + 1 :] if nearest else file


def is_own(frame: str) -> bool:
    """Return whether a frame, as `labelled` makes it, is of the function's own code."""
    return frame.rpartition(" ")[2].startswith("./")


def flame_graph(samples: Samples, handler: str, folder: Path) -> str:
    """Return the flame graph of the handler's calls."""
    stacks = samples.named(handler, folder)
    total = sum(stacks.values())
    calls = "1 call" if samples.calls == 1 else f"{samples.calls} calls"
    title = (
        f"{handler}: {calls}, {total:.3f} s together. Blue: the function's own code."
        f" Orange: packages and Python. Grey, {WAITING}: waiting, or the event loop runs others."
    )

    def describe(frame: str, share: float) -> str:
        return f"{frame}: {share:.1%}, {share * total:.3f} s"

    return draw(stacks, lambda frame: frame == handler or is_own(frame), title, describe)
