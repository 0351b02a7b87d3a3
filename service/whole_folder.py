"""A folder that a command writes is there when all of it is: whoever stops the command, or whatever
fails, leaves what was there before.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from .errors import StopAsked

_STOPS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Interrupted(StopAsked):
    """A signal has stopped a command, which has tidied up after itself."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__(number.name)
        self.number = number
        self.exit_code = 128 + number


@contextmanager
def interrupted_by_signals() -> Iterator[None]:
    """Within this, the first signal that asks for a stop raises Interrupted, and others are
    ignored: what follows is the tidying. SIGHUP stays ignored if it was, as by `nohup`.
    """
    before = {
        number: signal.getsignal(number)
        for number in _STOPS
        if threading.current_thread() is threading.main_thread()
        and signal.getsignal(number) != signal.SIG_IGN
    }
    for number in before:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def whole_folder(target: Path, over: bool = False) -> Iterator[Path]:
    """Give a new folder beside `target`, which takes its place when the block ends.

    If the block fails or is interrupted, nothing of it is left. With `over`, a folder that is
    there is replaced. Raises OSError; ENOTEMPTY if somebody else was first.
    """
    # The name is known before the folder is there: no signal comes between the two.
    unfinished = target.parent / f".{target.name[:40]}-{secrets.token_hex(8)}"
    former = unfinished.with_name(f"{unfinished.name}.old")
    try:
        unfinished.mkdir()
        yield unfinished
        _ignore_stops()  # it is written
        if over and target.exists():
            target.rename(former)
        unfinished.rename(target)
    finally:
        _ignore_stops()  # as after a signal: the tidying is done
        _remove(former)
        _remove(unfinished)


def _interrupt(number: int, _frame: FrameType | None) -> NoReturn:
    _ignore_stops()
    raise Interrupted(signal.Signals(number))


def _ignore_stops() -> None:
    for number in _STOPS:
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, signal.SIG_IGN)


def _remove(folder: Path) -> None:
    """Remove a folder, which may have folders in it that nobody may write into."""
    if not folder.exists():
        return
    for place, folders, _ in os.walk(folder):
        for name in folders:
            path = Path(place, name)
            if not path.is_symlink():
                path.chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
