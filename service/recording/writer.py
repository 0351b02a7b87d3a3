"""Where recorded calls are written: by a thread of its own, up to a limit, and never at the cost of
a call.
"""

from __future__ import annotations

import itertools
import os
import queue
import secrets
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from .. import __version__
from .form import BLOBS, SUFFIX, EndedCall, call_line, head_line
from .replaced import without_credentials

MAX_WAITING = 64 * 1024 * 1024
"""Bytes of bodies that may wait to be written: further calls are left out."""

FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


class RecordingWriter:
    """Writes calls to a file of its own in `folder`, from `start` to `close`.

    All files there may have `limit` bytes together. At the limit, and if something cannot be
    written, `tell` is given one line, and nothing more is recorded. Nothing is opened before
    `start`: a process may be forked until then.
    """

    def __init__(
        self,
        folder: Path,
        of: str,
        tell: Callable[[str], None],
        *,
        rate: float,
        limit: int,
        writers: int = 1,
        credentials: Iterable[str] = (),
    ) -> None:
        """`of` says what is recorded, `rate` which share of the calls; `writers` share the limit;
        `credentials` are values that no call is to have.
        """
        self.is_over = False
        """Whether nothing more is recorded."""
        self._folder = folder
        self._of = of
        self._tell = tell
        self._rate = rate
        self._limit = limit
        self._writers = writers
        self._credentials = tuple(credentials)
        self._waiting: queue.SimpleQueue[EndedCall | None] = queue.SimpleQueue()
        self._backlog = 0
        self._counting = threading.RLock()  # a finalizer may end a call in the midst of it
        self._left_out = 0
        self._left = limit
        self._file = -1
        self._size = 0
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._work, name="recording", daemon=True)
        self._thread.start()

    def put(self, call: EndedCall) -> None:
        """Have a call written. Returns at once."""
        if self.is_over:
            return
        if self._count(len(call.event) + len(call.result)) > MAX_WAITING:
            self._count(-len(call.event) - len(call.result))
            self._left_out += 1
            return
        self._waiting.put(call)

    def close(self, seconds: float = 5.0) -> None:
        """Write what is left, within some seconds, and end."""
        self._waiting.put(None)
        if self._thread is not None:
            self._thread.join(seconds)
            if self._thread.is_alive() and not self.is_over:
                self._tell(
                    f"recording: the last calls were not written within {seconds:g} s, since the"
                    f" disk of {self._folder} did not keep up"
                )
        if self._left_out and not self.is_over:
            self._tell(
                f"recording: {self._left_out} calls were left out, since the disk of {self._folder}"
                " did not keep up"
            )
        self.is_over = True

    def _count(self, size: int) -> int:
        with self._counting:
            self._backlog += size
            return self._backlog

    # --- in the thread

    def _work(self) -> None:
        try:
            self._open()
            while (call := self._waiting.get()) is not None:
                self._count(-len(call.event) - len(call.result))
                if not self.is_over:
                    self._write(call)
        except OSError as reason:
            self._end(f"{self._folder}: {reason.strerror or reason}")
        except Exception as reason:  # no call is to hear of it
            self._end(f"{type(reason).__name__}: {reason}")
        finally:
            if self._file >= 0:
                os.close(self._file)
            while self._waiting.qsize():  # lets go of what it holds
                self._waiting.get()

    def _end(self, reason: str) -> None:
        if not self.is_over:
            self.is_over = True
            self._tell(f"recording has ended, and calls go on: {reason}")

    def _open(self) -> None:
        self._folder.mkdir(0o700, parents=True, exist_ok=True)
        (self._folder / BLOBS).mkdir(0o700, exist_ok=True)
        self._left = (self._limit - sum(_sizes(self._folder))) // self._writers
        began = time.time()
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))
        self._file = _opened(self._folder, f"calls-{at}-{os.getpid()}")
        self._append(head_line(self._of, __version__, began, self._rate))

    def _write(self, call: EndedCall) -> None:
        line, blobs = call_line(without_credentials(call, self._credentials))
        new = [each for each in blobs if not (self._folder / each.path).exists()]
        size = len(line) + sum(len(each.body) for each in new)
        if size > self._left:
            self._end(
                f"{self._folder} has its {self._limit:,} bytes; --record-bytes allows more, or name"
                " another folder"
            )
            return
        for blob in new:
            self._write_blob(self._folder / blob.path, blob.body)
        self._append(line)
        self._left -= size

    def _write_blob(self, path: Path, body: bytes) -> None:
        # Other containers have the same process numbers, and one that was killed left its file.
        begun = path.with_suffix(f".{secrets.token_hex(8)}")
        try:
            descriptor = os.open(begun, FLAGS, 0o600)
            try:
                _write_all(descriptor, body)
            finally:
                os.close(descriptor)
            begun.replace(path)
        except OSError:
            begun.unlink(missing_ok=True)
            raise

    def _append(self, line: bytes) -> None:
        try:
            _write_all(self._file, line)
        except OSError:
            os.ftruncate(self._file, self._size)  # no half of a line
            raise
        self._size += len(line)


def _sizes(folder: Path) -> Iterable[int]:
    """Yield the sizes of the files of recordings that are there."""
    for file in (*folder.glob(f"*{SUFFIX}"), *(folder / BLOBS).iterdir()):
        with suppress(FileNotFoundError):  # another process has just given it its name
            yield file.stat().st_size


def _opened(folder: Path, name: str) -> int:
    """Return the descriptor of a new file: of a name that another container has taken in the same
    second, the next one.
    """
    for number in itertools.count(1):
        more = f"-{number}" if number > 1 else ""
        with suppress(FileExistsError):
            return os.open(folder / f"{name}{more}{SUFFIX}", FLAGS, 0o600)
    raise AssertionError("numbers do not end")


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
