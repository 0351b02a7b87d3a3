"""Finds the user's code, checks it once, and says in one line what is wrong with it."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ..errors import StartError, text_of
from ..names import give_way
from ..protocol import SERVICE_LOGGER
from . import tracebacks
from .callables import awaits, check_takes, event_annotation, judge_kind, place_of
from .decode import decoder
from .function import HOOKS, Function, Handlers
from .hidden import hidden
from .stream import takes_stream

_log = logging.getLogger(SERVICE_LOGGER)


class Wanted(NamedTuple):
    """What is looked for: `what` is the setting that names it."""

    what: str
    name: str

    def __str__(self) -> str:
        return f"{self.what} {self.name!r}"

    @property
    def parts(self) -> tuple[str, str]:
        """The module's name, and the attribute's within it; either is "" when the name has none."""
        module, _, attribute = (
            self.name.partition(":") if ":" in self.name else self.name.rpartition(".")
        )
        return module, attribute


def load(names: Sequence[str], folder: Path, **hooks: str) -> Handlers:
    """Import the first of `names` that resolves, from `folder` before anything else on the path.

    `hooks` are the names of those in HOOKS, "" for one that is not named: it is looked for in the
    handler's module; "none" for one that is not to run. Raises StartError with one line that says
    what is wrong, with file and line, and what to do.
    """
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))
    give_way()
    for line in hidden(folder):
        _log.warning("%s", line)
    wanted = _first_that_resolves(names, folder)
    module, found = _find(wanted, folder)
    return Handlers(
        handler=_check_handler(wanted, found, module),
        **{
            what: _hook(module, Wanted(what, hooks.get(what, "")), defaults_of(what), folder)
            for what in HOOKS
        },
    )


def defaults_of(hook: str) -> tuple[str, ...]:
    """Return the names under which a hook is looked for in the handler's module."""
    return ("initialize", "initializer") if hook == "initializer" else (hook,)


def _first_that_resolves(names: Sequence[str], folder: Path) -> Wanted:
    # The platform's own value may be free text (docs/platform.md section 2: fc3 sends
    # "handler" when unset), so every name but the last may fail to be found. A broken one is an
    # error.
    for name in names[:-1]:
        wanted = Wanted("handler", name)
        module, attribute = wanted.parts
        if not (module and attribute):
            continue
        if _exists(wanted, module, folder):
            found = _import(wanted, module, folder)
            if hasattr(found, attribute.partition(".")[0]):
                return wanted
            why = f"{found.__file__ or module} has no {attribute!r}"
        else:
            why = f"there is no module {module!r} in {folder}"
        _log.warning("FC_FUNCTION_HANDLER %r: %s; %r is served", name, why, names[-1])
    return Wanted("handler", names[-1])


def _exists(wanted: Wanted, module: str, folder: Path) -> bool:
    parent = module.rpartition(".")[0]
    if parent:
        if not _exists(wanted, parent, folder):
            return False
        _import(wanted, parent, folder)  # find_spec would, and let its errors pass as they are
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _find(wanted: Wanted, folder: Path) -> tuple[ModuleType, Any]:
    module_name, attribute = wanted.parts
    if not module_name or not attribute:
        raise StartError(f"{wanted}: write it as module.function, index.handler for example")
    module = _import(wanted, module_name, folder)
    found: Any = module
    for part in attribute.split("."):
        found = getattr(found, part, None)
        if found is None:
            raise StartError(_missing(wanted, module, attribute, folder))
    return module, found


def _missing(wanted: Wanted, module: ModuleType, attribute: str, folder: Path) -> str:
    file = getattr(module, "__file__", None) or module.__name__
    own = folder / f"{module.__name__}.py"
    if own.exists() and Path(file) != own:
        return (
            f"{wanted}: {file} was imported instead of {own}: a module of the standard library"
            f" or of the service has the name {module.__name__!r}; give the file another name"
        )
    functions = [key for key, value in vars(module).items() if _is_candidate(module, key, value)]
    has = f"it has {', '.join(functions[:8])}" if functions else "it has no functions"
    return f"{wanted}: {file} has no {attribute!r} ({has}); correct the name or add the function"


def _is_candidate(module: ModuleType, key: str, value: object) -> bool:
    return not key.startswith("_") and getattr(value, "__module__", "") == module.__name__


def _import(wanted: Wanted, module_name: str, folder: Path) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except SyntaxError as reason:
        where = f"{reason.filename} line {reason.lineno}"
        raise StartError(
            f"{wanted}: {where}: syntax error: {reason.msg}; mend it and start again"
        ) from reason
    except ModuleNotFoundError as reason:
        if reason.name and f"{module_name}.".startswith(f"{reason.name}."):
            flag = wanted.what.replace("_", "-")
            raise StartError(
                f"{wanted}: there is no module {reason.name!r} in {folder};"
                f" create it, or name another with --{flag}"
            ) from reason
        raise StartError(_broken(wanted, reason, "install it or remove the import")) from reason
    except (Exception, SystemExit) as reason:  # a signal's own exception passes
        raise StartError(_broken(wanted, reason, "mend it and start again")) from reason


def _broken(wanted: Wanted, reason: BaseException, advice: str) -> str:
    places = tracebacks.of_failure(reason)
    where = f"{places[-1].file} line {places[-1].line}: " if places else ""
    text = " ".join(text_of(reason).split())
    return f"{wanted}: {where}the import failed: {type(reason).__name__}: {text}; {advice}"


def _check_handler(wanted: Wanted, found: Any, home: ModuleType) -> Function:
    kind = judge_kind(wanted, found, home)
    check_takes(wanted, found, "(event, context)", home)
    annotation = event_annotation(wanted, found, home)
    if takes_stream(annotation):
        if not awaits(found):
            raise StartError(
                f"{wanted}: {place_of(found, home)} is a plain function, which cannot read an"
                " EventStream: write `async def`, or take the event as bytes"
            )
        return Function(wanted.name, found, kind)
    try:
        return Function(wanted.name, found, kind, decoder(annotation))
    except TypeError as reason:
        raise StartError(f"{wanted}: {place_of(found, home)}: {reason}") from reason


def _hook(
    module: ModuleType, wanted: Wanted, defaults: tuple[str, ...], folder: Path
) -> Function | None:
    if wanted.name == "none":
        return None
    if wanted.name:
        found = _find(wanted, folder)[1]
    else:
        present = [key for key in defaults if callable(getattr(module, key, None))]
        if not present:
            return None
        if home := _library_of(getattr(module, present[0]), folder):
            what = f"{home}'s {present[0]!r} is not taken for the function's {wanted.what}"
            _log.warning("%s; name it in the settings if it is", what)
            return None
        wanted = Wanted(wanted.what, f"{module.__name__}.{present[0]}")
        found = getattr(module, present[0])
    kind = judge_kind(wanted, found, module)
    if kind == "stream":
        raise StartError(
            f"{wanted}: {place_of(found)} is an async generator; write a plain function"
        )
    check_takes(wanted, found, "(context)", module)
    return Function(wanted.name, found, kind)


def _library_of(found: Any, folder: Path) -> str:
    """Return the module of another place than `folder` that something was imported from, "" where
    it was not: datadog, for example, has an `initialize` that is no hook.
    """
    home = sys.modules.get(getattr(found, "__module__", None) or "")
    file = getattr(home, "__file__", None)
    if not home or not file or getattr(home, getattr(found, "__name__", ""), None) is not found:
        return ""
    roots = [path for path in sys.path if path and file.startswith(f"{path}/")]
    return "" if max(roots, key=len, default="") == str(folder) else home.__name__
