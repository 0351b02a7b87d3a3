"""Packages whose own code runs when one of their names is first asked for."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

_VERSION = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


class _Deferred(ModuleType):
    """A package of which only those submodules have run that somebody imports."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__all__":
            raise AttributeError(name)  # who looks through all modules wants nothing of it
        if name != "__all__" and importlib.util.find_spec(f"{self.__name__}.{name}"):
            return importlib.import_module(f"{self.__name__}.{name}")
        with _lock:  # another thread may be at it: its names are there when it is done
            if type(self) is _Deferred and "_deferred" in self.__dict__:
                del self.__dict__["_deferred"]
                assert self.__spec__ is not None
                assert self.__spec__.loader is not None
                self.__spec__.loader.exec_module(self)
                self.__class__ = ModuleType  # type: ignore[assignment]
        if name in self.__dict__:
            return self.__dict__[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")


_lock = threading.RLock()


def defer(package: str) -> None:
    """Let `package` run its `__init__` when a name in it is asked for, not when a submodule is
    imported.

    `import aiohttp.web` runs aiohttp's `__init__`, which imports its client and builds two TLS
    contexts: a third of the time until the service answers, for what only a handler that is a
    client needs. Such a handler gets all of it with `aiohttp.ClientSession`. Nothing happens if
    the package is imported already, or is not as expected.
    """
    if package in sys.modules:
        return
    if sys.version_info >= (3, 15):
        _import_lazily(package)
        return
    spec = importlib.util.find_spec(package)
    if spec is None or spec.loader is None or spec.origin is None:
        return
    version = _VERSION.search(Path(spec.origin).read_text(encoding="utf-8"))
    if version is None:
        return
    module = importlib.util.module_from_spec(spec)
    module.__dict__["__version__"] = version[1]  # submodules want it
    module.__dict__["_deferred"] = True
    module.__class__ = _Deferred
    sys.modules[package] = module


def _import_lazily(package: str) -> None:
    """Import a package with the imports of its `__init__` made lazy: Python 3.15's own way (PEP
    810). Nothing is changed for other imports.
    """
    lazy: Any = sys  # type checkers do not know these functions yet
    before = lazy.get_lazy_imports(), lazy.get_lazy_imports_filter()
    lazy.set_lazy_imports_filter(lambda importer, _name, _fromlist: importer == package)
    lazy.set_lazy_imports("all")
    try:
        importlib.import_module(package)
    except ImportError:
        sys.modules.pop(package, None)  # who needs it says that it is missing
    finally:
        lazy.set_lazy_imports(before[0])
        lazy.set_lazy_imports_filter(before[1])
