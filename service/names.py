"""The package's two names, with one identity: `fc_event_service`, which is everybody's, and
`service`, unless the function or a library of its own has that name.

Every module has the first name, whatever it was imported by: in tracebacks and in pickles. The
second is an alias: `service.events` is the module `fc_event_service.events` itself. So the alias
can be given away at any time, and nothing of ours is imported anew.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, cast

NAME = "fc_event_service"
SHORT = "service"
COMMAND = "fc-event-service"

_HOME = os.path.dirname(os.path.realpath(__file__))


class Alias:
    """Finds and loads `service` and `service.anything`: somebody else's, or else ours. It is what
    the import system calls a meta path finder and a loader: `importlib.abc`, which has base classes
    for these, takes longer to import than all of this.
    """

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where the module is; None for what is not our business. The import system asks."""
        if name == SHORT:
            return elsewhere() or ModuleSpec(name, cast(Any, self), is_package=True)
        first, _, rest = name.partition(".")
        # What `python -m service` runs is no module that anybody imports.
        if first != SHORT or rest == "__main__" or sys.modules.get(SHORT) is not sys.modules[NAME]:
            return None
        found = importlib.util.find_spec(f"{NAME}.{rest}")
        return found and ModuleSpec(name, cast(Any, self), origin=found.origin)

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the real module in the place of the new one, as the import system allows."""
        name = module.__name__
        sys.modules[name] = importlib.import_module(NAME + name.removeprefix(SHORT))


def elsewhere() -> ModuleSpec | None:
    """Return the first `service` on the path that is not ours: a file, a package, or a bare folder
    with Python files.
    """
    for entry in sys.path:
        spec = PathFinder.find_spec(SHORT, [entry])
        if spec is not None and not _is_ours(spec) and not _is_data(spec):
            return spec
    return None


def _is_ours(spec: ModuleSpec) -> bool:
    """Return whether it is the folder of this code, or what is installed beside it for the short
    name, as long as no other distribution has put its own there.
    """
    if spec.origin is None:
        return False
    if os.path.dirname(os.path.realpath(spec.origin)) == _HOME:
        return True
    beside = os.path.join(place_on_path(), SHORT, "__init__.py")
    return os.path.realpath(spec.origin) == beside and NAME.encode() in Path(beside).read_bytes()


def _is_data(spec: ModuleSpec) -> bool:
    places = spec.submodule_search_locations or ()
    return spec.loader is None and not any(any(Path(place).rglob("*.py")) for place in places)


def place_on_path() -> str:
    """Return the folder in which Python finds `fc_event_service`: in a clone the one that has it as
    a link.
    """
    above = os.path.dirname(_HOME)
    return above if os.path.basename(_HOME) == NAME else os.path.join(above, "installed")


def fresh_command(*arguments: str) -> list[str]:
    """Return the command that runs this code in a new interpreter, installed or not, whatever files
    lie in its current folder. It goes by the name that this process was started by.
    """
    start = f"import sys; sys.path.append({place_on_path()!r}); sys.argv[0] = {sys.argv[0]!r}"
    main = f"from {NAME}.__main__ import main; main()"
    return [sys.executable, "-P", "-c", f"{start}; {main}", *arguments]


def adopt() -> None:
    """Answer to the short name, too, from now on, and to both in child processes of Python's own:
    they get this path, and a clone that is not installed is on none.
    """
    if place_on_path() not in sys.path:
        sys.path.append(place_on_path())
    # Before the others: a package on the path hides a bare folder that comes before it there.
    sys.meta_path.insert(0, Alias())


def give_way() -> None:
    """Leave the short name to somebody else's `service`, if there is one on the path: the next
    `import service` finds it. What has imported ours by that name keeps it.
    """
    if sys.modules.get(SHORT) is sys.modules[NAME] and elsewhere() is not None:
        for name in [each for each in sys.modules if each.partition(".")[0] == SHORT]:
            del sys.modules[name]
