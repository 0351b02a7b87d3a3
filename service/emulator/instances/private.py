"""What each instance has for itself: HOME, a folder for temporary files and, if the system allows
it, a /tmp of its own. On the platform each has a machine of its own.

A mount that only one instance sees needs Linux and the right to mount (root, or CAP_SYS_ADMIN). It
is made in a thread that leaves the emulator's mounts behind: what the thread starts has them, and
they are gone with the last process that does.
"""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

TMP = "/tmp"
CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

_PATHS = re.compile(rf"(?<![\w./-]){TMP}/[^\s:,;'\"=]+")


def base() -> str:
    """Return where the folders of instances lie: not in /tmp, which may be another one for them."""
    return "/var/tmp" if os.access("/var/tmp", os.W_OK | os.X_OK) else tempfile.gettempdir()


class PrivateFolder:
    """The folder of one instance."""

    def __init__(self, path: Path, *, mounted: bool) -> None:
        """Make it. With `mounted` the instance is to be started by `start`, which gives it a /tmp.

        Raises OSError.
        """
        self._path = path
        self._mounted = mounted
        self.home, self._tmp = path / "home", path / "tmp"
        for folder in (path, self.home, self._tmp):
            folder.mkdir(mode=0o700)

    @property
    def temporary(self) -> str:
        """The folder for temporary files, as the instance sees it."""
        return TMP if self._mounted else str(self._tmp)

    def start(self, spawn: Callable[[], T], shown: Iterable[Path]) -> T:
        """Call `spawn`, which starts a process; return what it returns, or raise what it raises.

        What of `shown` lies in /tmp is there for the process, too.
        """
        if not self._mounted:
            return spawn()

        def mounted() -> T:
            self._mount(shown)
            return spawn()

        return _in_thread(mounted)

    def _mount(self, shown: Iterable[Path]) -> None:
        _leave_mounts()
        for place in sorted({path for path in shown if path.is_relative_to(TMP) and path.exists()}):
            inside = self._tmp / place.relative_to(TMP)
            if not inside.exists():  # else a folder above it is there
                inside.parent.mkdir(parents=True, exist_ok=True)
                inside.mkdir() if place.is_dir() else inside.touch()
                _call("mount", str(place), str(inside), None, MS_BIND | MS_REC, None)
        _call("mount", str(self._tmp), TMP, None, MS_BIND | MS_REC, None)

    def remove(self) -> None:
        """Remove the folder with all that the instance has left there."""
        shutil.rmtree(self._path, ignore_errors=True)


def shown_to(code: Path, command: Sequence[str], variables: Mapping[str, str]) -> Iterator[Path]:
    """Yield what an instance has to see of the desk's /tmp: its code, the Python and the packages
    that run it, and what its command and its variables name.
    """
    yield from (code.resolve(), Path(sys.prefix), Path(sys.base_prefix))
    yield Path(__file__).resolve().parents[3]
    for text in (*command, *variables.values()):
        yield from map(Path, _PATHS.findall(text))


@cache
def may_mount() -> bool:
    """Return whether the system allows a mount that only some processes see."""
    if sys.platform != "linux":
        return False
    try:
        _in_thread(_leave_mounts)
    except (OSError, AttributeError):
        return False
    return True


def _leave_mounts() -> None:
    """Let this thread, and what it starts, have mounts that nobody else sees."""
    _call("unshare", CLONE_NEWNS)
    _call("mount", "none", "/", None, MS_REC | MS_PRIVATE, None)


def _call(name: str, *arguments: str | int | None) -> None:
    """Call a function of the C library; raises OSError with its reason."""
    libc = ctypes.CDLL(None, use_errno=True)
    given = [os.fsencode(each) if isinstance(each, str) else each for each in arguments]
    if getattr(libc, name)(*given) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), name)


def _in_thread(work: Callable[[], T]) -> T:
    """Return what `work` returns in a thread that ends with it, or raise what it raises."""
    results: list[T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as reason:
            failures.append(reason)

    thread = threading.Thread(target=run, name="starts-an-instance")
    thread.start()
    thread.join()
    if failures:
        raise failures[0]
    return results[0]
