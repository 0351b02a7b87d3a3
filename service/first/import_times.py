"""How long each import takes, from the first one of the service's on. Only for a start report: what
Python's import system calls is replaced by what notes the time around it.
"""

from __future__ import annotations

import sys
import time
from _thread import get_ident
from collections.abc import Callable
from importlib.machinery import (
    ExtensionFileLoader,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import ModuleType
from typing import Any


class Imported:
    """A module that was imported: who wanted it, and the seconds that it took."""

    def __init__(self, name: str, parent: Imported | None, wanted: tuple[str, int]) -> None:
        self.name = name
        self.parent = parent  # the module that was being imported meanwhile
        self.wanted_by, self.line = wanted  # the file and line of the import
        self.file = ""
        self.whole = 0.0
        self.own = 0.0  # without the modules that it imports in turn


class ImportTimes:
    """The imports of this process, in the order in which they began."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.imports: list[Imported] = []
        self._running: dict[int, list[Imported]] = {}  # by thread, the innermost at the end
        self._looked: dict[str, float] = {}  # seconds in which a module was looked for
        self._undo: list[Callable[[], None]] = []

    def begin(self) -> None:
        """Note every import from now on."""
        for loader in (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader):
            self._replace(loader, "exec_module", self._loading(loader.exec_module))
        create = self._making(ExtensionFileLoader.create_module)
        self._replace(ExtensionFileLoader, "create_module", create)
        self._replace(PathFinder, "find_spec", classmethod(self._finding(PathFinder.find_spec)))

    def end(self) -> None:
        """Leave the import system as it was."""
        while self._undo:
            self._undo.pop()()

    def _replace(self, owner: Any, name: str, value: object) -> None:
        if name in vars(owner):
            before = vars(owner)[name]
            self._undo.append(lambda: setattr(owner, name, before))
        else:
            self._undo.append(lambda: delattr(owner, name))
        setattr(owner, name, value)

    def _finding(self, find: Callable[..., Any]) -> Callable[..., Any]:
        def find_spec(_finder: object, name: str, *arguments: Any) -> Any:
            began = time.monotonic()
            spec = find(name, *arguments)
            if spec is not None:
                self._note_looked(name, time.monotonic() - began)
            return spec

        return find_spec

    def _making(self, create: Callable[..., Any]) -> Callable[..., Any]:
        def create_module(loader: object, spec: Any) -> Any:
            began = time.monotonic()
            try:
                return create(loader, spec)
            finally:
                self._note_looked(spec.name, time.monotonic() - began)

        return create_module

    def _note_looked(self, name: str, seconds: float) -> None:
        """Count what was done for a module before its code runs."""
        self._looked[name] = self._looked.get(name, 0.0) + seconds
        if running := self._running.get(get_ident()):
            running[-1].own -= seconds

    def _loading(self, load: Callable[..., None]) -> Callable[..., None]:
        def exec_module(loader: object, module: ModuleType) -> None:
            running = self._running.setdefault(get_ident(), [])
            each = Imported(module.__name__, running[-1] if running else None, _importer())
            each.file = getattr(module, "__file__", None) or ""
            self.imports.append(each)
            running.append(each)
            before = self._looked.pop(module.__name__, 0.0)
            began = time.monotonic()
            try:
                load(loader, module)
            finally:
                took = time.monotonic() - began
                running.pop()
                each.whole = took + before
                each.own += took + before
                if each.parent is not None:
                    each.parent.own -= took

        return exec_module


def _importer() -> tuple[str, int]:
    """Return the file and line of the import that is being done."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        file = frame.f_code.co_filename
        if not file.startswith("<frozen importlib") and not file.endswith("/importlib/__init__.py"):
            return file, frame.f_lineno
        frame = frame.f_back
    return "", 0


NOTED_TIMES: ImportTimes | None = None
"""Those of this process, if a report was asked for."""


def begin_import_times() -> None:
    """Note the times of imports from now on. Done twice, it is done once."""
    global NOTED_TIMES
    if NOTED_TIMES is None:
        NOTED_TIMES = ImportTimes()
        NOTED_TIMES.begin()
