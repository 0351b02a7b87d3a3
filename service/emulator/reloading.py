"""What a running emulator does if files change: new instances for changed code, and the functions
of a changed `s.yaml`.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ..errors import StartError, UsageError
from .spec.differences import differences
from .spec.model import Spec

UNCACHED = {"PYTHONDONTWRITEBYTECODE": "1"}
"""What instances have whose code may change: byte code counts as up to date by its source's size
and second, so a file that is saved twice within one would be run as it was before.
"""

OF_CODE = (
    *(".py", ".toml", ".yaml", ".yml", ".json", ".ini", ".cfg", ".sh"),
    *(".js", ".mjs", ".cjs", ".ts", ".html", ".sql", ".txt"),
)
"""Suffixes of files whose change is one of the code. What a function writes beside its code, a
database or a log, is none.
"""

NAMED_SO = ("bootstrap", ".env")
OF_SPEC = (".yaml", ".yml", ".json", ".env")
"""Suffixes, or names, of files that `s.yaml` may take something from."""

WAKE_EVERY = 50
"""Milliseconds after which the watcher looks up, so that its thread can say that it watches."""


class Changeable(Protocol):
    """The emulator, as far as it can change."""

    spec: Spec

    def renew(self, function: str, reason: str) -> int:
        """Send further calls of a function to new instances; return how many old ones end."""

    async def update(self, spec: Spec) -> None:
        """Play what the file says by now."""


class Reloading:
    """Follows the changes of a spec's file and of its functions' code, from `start` to `stop`.

    `read` reads the file anew; `say` is given a line for each thing that becomes of a change.
    """

    def __init__(
        self, played: Changeable, path: Path, read: Callable[[], Spec], say: Callable[[str], None]
    ) -> None:
        self._played = played
        self._path = path
        self._read = read
        self._say = say
        self._fault = ""
        self._changes: asyncio.Queue[set[Path]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to watch; return once each change from now on is seen. Raises StartError if
        watchfiles is not installed.
        """
        watched = FileWatch(self._roots(), self._changes.put_nowait)
        await watched.begin()
        self._tasks = [asyncio.create_task(self._follow(watched))]

    async def stop(self) -> None:
        """Watch no more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _roots(self) -> set[Path]:
        codes = {function.code.resolve() for function in self._played.spec.functions.values()}
        return top_most({self._path.parent.resolve(), *(code for code in codes if code.is_dir())})

    async def _follow(self, watched: FileWatch) -> None:
        roots = self._roots()
        try:
            await self.take(set())  # the file may have changed since it was read
            while True:
                if (wanted := self._roots()) != roots:
                    roots, fresh = wanted, FileWatch(wanted, self._changes.put_nowait)
                    try:
                        await fresh.begin()
                    finally:
                        watched.end()  # not earlier: no change is missed in between
                        watched = fresh
                await self.take(await self._changes.get())
        except StartError as reason:
            self._say(f"no change is followed any more: {reason}")
        finally:
            watched.end()

    async def take(self, changed: set[Path]) -> None:
        """Do what follows from the change of some files, or with none from what the spec's file
        says by now; whatever goes wrong is told, and the next change is followed all the same.
        """
        try:
            await self._take(changed)
        except Exception as reason:
            self._say(f"a change could not be followed: {type(reason).__name__}: {reason}")

    async def _take(self, changed: set[Path]) -> None:
        spec = self._path.parent.resolve() / self._path.name
        if not changed or any(path.suffix in OF_SPEC or path.name in OF_SPEC for path in changed):
            await self._reread(told=spec in changed)
        for name, function in self._played.spec.functions.items():
            code = function.code.resolve()
            files = sorted(
                path.relative_to(code)
                for path in changed
                if path != spec and path.is_relative_to(code)
            )
            if files:
                self._renew(name, files)

    def _renew(self, name: str, files: list[Path]) -> None:
        more = f" and {len(files) - 1} more" if len(files) > 1 else ""
        old = self._played.renew(name, "its code has changed")
        ending = {0: "", 1: "; 1 old one ends its calls"}.get(old, f"; {old} old ones end theirs")
        self._say(f"{name}: {files[0]}{more} changed: new calls get new instances{ending}")

    async def _reread(self, *, told: bool) -> None:
        before = self._played.spec
        try:
            spec = await asyncio.to_thread(self._read)
        except (UsageError, OSError) as reason:
            if str(reason) != self._fault or told:
                self._say(f"{self._path.name} is not played as it is now: {reason}")
            self._fault = str(reason)
            return
        self._fault = ""
        lines = [*differences(before, spec)]
        if not lines:
            if told:
                self._say(f"{self._path.name} was read anew: nothing that is played has changed")
            return
        try:
            await self._played.update(spec)
        except (OSError, StartError) as reason:
            self._say(f"{self._path.name} was read anew, and cannot be played: {reason}")
            return
        self._say(f"{self._path.name} was read anew:")
        for line in lines:
            self._say(f"  {line}")


def top_most(folders: Iterable[Path]) -> set[Path]:
    """Return the folders that are in none of the others."""
    found = set(folders)
    return {each for each in found if not any(other in each.parents for other in found)}


def is_wanted(path: str) -> bool:
    """Return whether a file's change is one of the code or of the spec."""
    file = Path(path)
    return file.suffix in OF_CODE or file.name in NAMED_SO


class FileWatch:
    """A thread that sees the changes of files in some folders, and has the loop told of them."""

    def __init__(self, roots: Iterable[Path], tell: Callable[[set[Path]], None]) -> None:
        """Raises StartError if watchfiles is not installed."""
        self._roots = sorted(map(str, roots))
        self._tell = tell
        self._fault = ""
        self._loop = asyncio.get_running_loop()
        self._sees = asyncio.Event()
        self._ended = threading.Event()
        self._changes = _changes(self._roots, self._ended)

    async def begin(self) -> None:
        """Start the thread; return once it sees changes. Raises StartError if it cannot."""
        threading.Thread(target=self._work, name="reload", daemon=True).start()
        await self._sees.wait()
        if self._fault:
            raise StartError(f"--reload cannot watch {', '.join(self._roots)}: {self._fault}")

    def end(self) -> None:
        """See no more."""
        self._ended.set()

    def _work(self) -> None:
        try:
            for found in self._changes:
                self._on_loop(self._sees.set)
                if found:
                    self._on_loop(self._tell, {Path(path) for _, path in found})
        except Exception as reason:  # of the system: it has no room for more watches, for example
            self._fault = str(reason) or type(reason).__name__
        self._on_loop(self._sees.set)

    def _on_loop(self, step: Callable[..., object], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(step, *arguments)


def _changes(roots: Iterable[str], ended: threading.Event) -> Iterable[Any]:
    try:
        from watchfiles import DefaultFilter, watch  # the `reload` extra
    except ImportError as reason:
        raise StartError(
            "--reload needs watchfiles: run `make dev`, or install the extra `reload`"
        ) from reason
    usual = DefaultFilter(ignore_dirs=(*DefaultFilter.ignore_dirs, ".emulator"))
    return watch(
        *roots,
        watch_filter=lambda change, path: is_wanted(path) and usual(change, path),
        debounce=100,
        step=20,
        rust_timeout=WAKE_EVERY,
        yield_on_timeout=True,
        stop_event=ended,
        raise_interrupt=False,
    )
