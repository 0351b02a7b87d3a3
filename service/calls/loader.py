"""Finds the user's code, checks it once, and says in one line what is wrong with it."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import StartError
from ..names import give_way
from ..protocol import HOOK_NAMES, SERVICE_LOGGER
from .callables import (
    awaits,
    check_takes,
    event_annotation,
    is_router,
    judge_kind,
    place_of,
    read_signature,
)
from .decode import decoder
from .function import HOOKS, PARTS, Function, Handlers
from .hidden import hidden
from .imports import Wanted, import_module, module_exists
from .layers import add_layers
from .stream import takes_stream
from .surroundings import SURROUNDINGS, Surrounding

_log = logging.getLogger(SERVICE_LOGGER)

NONE = "none"
"""Names no function: the hook is not looked for either."""


def load(names: Sequence[str], folder: Path, **hooks: str) -> Handlers:
    """Import the first of `names` that resolves, from `folder` before anything else on the path.

    `hooks` are the names of those in PARTS, NONE for one that there is not, "" for one that is not
    named: it is looked for in the handler's module.

    Raises StartError with one line that says what is wrong, with file and line, and what to do.
    """
    if sys.path[:1] != [str(folder)]:
        sys.path.insert(0, str(folder))
    add_layers()
    give_way()
    for line in hidden(folder):
        _log.warning("%s", line)
    wanted = _first_that_resolves(names, folder)
    module, handler = _find(wanted, folder)
    checked = _check_handler(wanted, handler, module)
    found = _parts(module, folder, hooks)
    likely = ""
    if not found["initializer"] and not hooks.get("initializer"):
        likely = _likely_initializer(module, folder)
    return Handlers(handler=checked, **found, likely_initializer=likely)


def take(found: Any, folder: Path, **hooks: str) -> Handlers:
    """Return a callable as the handler, with the hooks of its module, as `load` does by name."""
    name = getattr(found, "__qualname__", type(found).__qualname__)
    module = sys.modules.get(getattr(found, "__module__", ""), ModuleType("handler"))
    checked = _check_handler(Wanted("handler", f"{module.__name__}.{name}"), found, module)
    return Handlers(handler=checked, **_parts(module, folder, hooks), likely_initializer="")


def _parts(module: ModuleType, folder: Path, named: Mapping[str, str]) -> dict[str, Any]:
    """Return what the function has beside its handler: hooks, and what is around calls."""
    wanted = {what: Wanted(what, named.get(what, "")) for what in PARTS}
    found: dict[str, Any] = {what: _hook(module, wanted[what], folder) for what in HOOKS}
    for what, kind in SURROUNDINGS.items():
        found[what] = _surrounding(module, wanted[what], folder, kind)
    return found | {"middlewares": found["middlewares"] or ()}


def _first_that_resolves(names: Sequence[str], folder: Path) -> Wanted:
    # The platform's own value may be free text (docs/platform.md section 2: fc3 sends
    # "handler" when unset), so every name but the last may fail to be found. A broken one is an
    # error.
    for name in names[:-1]:
        wanted = Wanted("handler", name)
        module, attribute = wanted.parts
        if not (module and attribute):
            continue
        if module_exists(wanted, module, folder):
            found = import_module(wanted, module, folder)
            if hasattr(found, attribute.partition(".")[0]):
                return wanted
            why = f"{found.__file__ or module} has no {attribute!r}"
        else:
            why = f"there is no module {module!r} in {folder}"
        _log.warning("FC_FUNCTION_HANDLER %r: %s; %r is served", name, why, names[-1])
    return Wanted("handler", names[-1])


def _find(wanted: Wanted, folder: Path) -> tuple[ModuleType, Any]:
    module_name, attribute = wanted.parts
    if not module_name or not attribute:
        raise StartError(f"{wanted}: write it as module.function, index.handler for example")
    module = import_module(wanted, module_name, folder)
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


def _check_handler(wanted: Wanted, found: Any, home: ModuleType) -> Function:
    if is_router(found):
        from .routes import routed  # few have one

        return routed(wanted, found, home)
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


def _hook(module: ModuleType, wanted: Wanted, folder: Path) -> Function | None:
    """Return a hook: the one that is named, or else one that the handler's module seems to have."""
    if wanted.name == NONE:
        return None
    if wanted.name:
        found = _find(wanted, folder)[1]
        return _checked_hook(wanted, found, module)
    present = [key for key in HOOK_NAMES[wanted.what] if callable(getattr(module, key, None))]
    if not present:
        return None
    found = getattr(module, present[0])
    named = Wanted(wanted.what, f"{module.__name__}.{present[0]}")
    if home := _library_of(found, folder):
        _leave_alone(f"{home}'s {present[0]!r}", named)
        return None
    try:
        return _checked_hook(named, found, module)
    except StartError as reason:
        _leave_alone(str(reason), named)
        return None


def _surrounding(module: ModuleType, wanted: Wanted, folder: Path, kind: Surrounding) -> Any:
    """Return what is around calls: what is named, or else what the handler's module seems to have.

    Raises StartError for what is named or certainly meant, and wrong.
    """
    if wanted.name == NONE:
        return None
    if wanted.name:
        return kind.check(wanted, _find(wanted, folder)[1], module)
    found = getattr(module, wanted.what, None)
    if found is None or not kind.is_candidate(found) or _library_of(found, folder):
        return None
    named = Wanted(wanted.what, f"{module.__name__}.{wanted.what}")
    try:
        return kind.check(named, found, module)
    except StartError as reason:
        if kind.is_meant(found):
            raise
        _leave_alone(str(reason), named)
        return None


def _leave_alone(what: str, wanted: Wanted) -> None:
    """Tell of a function that has a hook's name and was not named: it may be a helper."""
    flag = wanted.what.replace("_", "-")
    _log.warning(
        "%s: is not taken for the function's %s; if it is, name it with --%s, and if it is not, say"
        " --%s none",
        what,
        wanted.what,
        flag,
        flag,
    )


def _checked_hook(wanted: Wanted, found: Any, module: ModuleType) -> Function:
    kind = judge_kind(wanted, found, module)
    if kind == "stream":
        raise StartError(
            f"{wanted}: {place_of(found)} is an async generator; write a plain function"
        )
    check_takes(wanted, found, "(context)", module)
    return Function(wanted.name, found, kind)


def _likely_initializer(module: ModuleType, folder: Path) -> str:
    """Return the name of a function that looks like an initializer and is named by nobody, or "".

    The built-in runtimes run the one that the function's configuration names.
    """
    for key, value in vars(module).items():
        if "init" not in key.lower() or key.startswith("__") or not inspect.isfunction(value):
            continue
        required = [
            each
            for each in read_signature(inspect.unwrap(value)).parameters.values()
            if _is_asked(each)
        ]
        if len(required) == 1 and not _library_of(value, folder):
            return f"{module.__name__}.{key}"
    return ""


def _is_asked(parameter: inspect.Parameter) -> bool:
    plain = (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    return parameter.kind in plain and parameter.default is parameter.empty


def _library_of(found: Any, folder: Path) -> str:
    """Return the module of another place than `folder` that something was imported from, "" if
    it was not: datadog, for example, has an `initialize` that is no hook.
    """
    home = sys.modules.get(getattr(found, "__module__", None) or "")
    file = getattr(home, "__file__", None)
    if not home or not file or getattr(home, getattr(found, "__name__", ""), None) is not found:
        return ""
    roots = [path for path in sys.path if path and file.startswith(f"{path}/")]
    return "" if max(roots, key=len, default="") == str(folder) else home.__name__
