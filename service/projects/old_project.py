"""A project of a built-in runtime, as it is found: its `s.yaml`, its code, and its events."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..advice.sources import parse_file
from ..emulator.spec.document import Document, FilePlace, at, load_document, section
from ..emulator.spec.extending import Sources
from ..emulator.spec.functions import Functions
from ..errors import UsageError
from .former_form import in_todays_form, is_former_form

_BUILT_IN = re.compile(r"python3(\.\d+)?")
_SPECS = ("s.yaml", "s.yml")
_LARGEST_EVENT = 1_000_000
_MOST_EVENTS = 20


@dataclass(frozen=True, slots=True)
class OldProject:
    """What the built-in runtime was told: `written` as the file has it, `props` with references
    replaced and in the platform's types. Both are empty without a file.
    """

    folder: Path
    code: Path
    handler: str = "index.handler"
    runtime: str = ""
    whole: Mapping[str, Any] = field(default_factory=dict)
    written: Mapping[str, Any] = field(default_factory=dict)
    props: Mapping[str, Any] = field(default_factory=dict)
    initializer: str = ""
    pre_stop: str = ""
    events: Sequence[Path] = ()
    names: frozenset[str] = frozenset()
    """What the handler's module has, as far as reading it tells."""

    @property
    def module(self) -> Path:
        """The file of the handler."""
        return module_file(self.code, self.handler)


def read_old_project(folder: Path, function: str = "", handler: str = "") -> OldProject:
    """Read a project: the function of its `s.yaml` that is named, or the only one; without a file
    what lies in `code/`, or at the top. Its handler is that of the file, or else `handler`.

    Raises UsageError for what is no such project, with one line that says what to do.
    """
    if not folder.is_dir():
        raise UsageError(f"--from {folder}: there is no such folder")
    spec = next((folder / name for name in _SPECS if (folder / name).is_file()), None)
    old = (
        _without_spec(folder, handler or "index.handler")
        if spec is None
        else _of_spec(folder, spec, function)
    )
    return replace(old, names=names_of_handler(old))


def module_file(code: Path, handler: str) -> Path:
    """Return the file in which a handler is looked for; it may be missing."""
    place = handler.replace(":", ".").rpartition(".")[0].replace(".", "/")
    package = code / place / "__init__.py"
    return package if package.is_file() else code / f"{place}.py"


def names_of_handler(old: OldProject) -> frozenset[str]:
    """Return the names in the handler's file. Raises UsageError if it is missing, is no Python, or
    does not have the handler.
    """
    file, name = old.module, re.split("[.:]", old.handler)[-1]
    if not file.is_file():
        raise UsageError(
            f"{old.folder}: the handler {old.handler} is looked for in {file}, which is not there:"
            " correct `handler` or `code` in its s.yaml"
        )
    try:
        tree = parse_file(file, file.name).tree
    except (SyntaxError, ValueError, RecursionError, MemoryError) as reason:
        line = getattr(reason, "lineno", None) or 1
        said = getattr(reason, "msg", None) or reason
        raise UsageError(
            f"{file}:{line}: Python cannot read it: {said}; correct it first"
        ) from None
    except OSError as reason:
        raise UsageError(f"{file}: cannot be read: {reason.strerror}") from None
    found = frozenset(bound_at_top(tree))
    if name not in found and "*" not in found:
        has = ", ".join(sorted(found)[:8]) or "nothing"
        raise UsageError(f"{file} has no {name!r} (it has {has}): correct `handler` in its s.yaml")
    return found


def bound_at_top(tree: ast.Module) -> Iterator[str]:
    """Yield the names that a module has when it is imported, `*` for those of another one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)


def _without_spec(folder: Path, handler: str) -> OldProject:
    code = folder / "code" if module_file(folder / "code", handler).is_file() else folder
    file = module_file(code, handler)
    if not file.is_file():
        raise UsageError(
            f"{folder} has neither s.yaml nor {file.relative_to(code)}: name the folder of a"
            " function, or its handler with --handler"
        )
    return OldProject(folder, code, handler, events=_events(folder, code))


def _of_spec(folder: Path, path: Path, function: str) -> OldProject:
    sources = Sources(_in_todays_form(load_document(path)))
    if not isinstance(sources.value, Mapping):
        raise UsageError(f"{path}: is not a mapping with edition, resources and so on")
    found = Functions(sources, folder, None, os.environ)
    found.read()
    place = _chosen(found, sources, path, function)
    props = found.typed[place]
    runtime, handler = str(props.get("runtime")), str(props.get("handler", "index.handler"))
    if not _BUILT_IN.fullmatch(runtime):
        raise UsageError(
            f"{path}: {props['functionName']} runs on {runtime}, which is no built-in runtime of"
            " Python: it brings a server of its own, and stays as it is"
        )
    hooks = section(props, "instanceLifecycleConfig")
    return OldProject(
        folder=folder,
        code=found.codes[place],
        handler=handler,
        runtime=runtime,
        whole=sources.value,
        written=section(sources.value, *map(str, place)),
        props=props,
        initializer=str(section(hooks, "initializer").get("handler") or ""),
        pre_stop=str(section(hooks, "preStop").get("handler") or ""),
        events=_events(folder, found.codes[place]),
    )


def _in_todays_form(document: Document) -> Document:
    if not is_former_form(document.value):
        return document
    value = in_todays_form(document.value)
    if not value["resources"]:
        _, where = document.position(("services",))
        raise UsageError(f"{where}: services: has no function of the component fc")
    return replace(document, value=value)


def _chosen(found: Functions, sources: Sources, path: Path, function: str) -> FilePlace:
    """Return the place of the function that is meant. Raises UsageError if that is not clear, or
    something is wrong with it.
    """
    named = {str(props.get("functionName")): place for place, props in found.typed.items()}
    wanted = named.get(function) or (next(iter(named.values())) if len(named) == 1 else None)
    for place, text in found.faults.items():
        if wanted is None or place[: len(wanted)] == wanted or wanted not in found.codes:
            raise UsageError(f"{sources.position(place) or path}: {at(place)}: {text}")
    names = ", ".join(named) or "none"
    if function and function not in named:
        raise UsageError(f"{path} has no function {function!r}; there are {names}")
    if wanted is None:
        raise UsageError(f"{path} has {len(named)} functions ({names}): name one with --function")
    return wanted


def _events(folder: Path, code: Path) -> list[Path]:
    """Return recorded events that lie in the project, as `s invoke -f` takes them."""
    places = [*folder.glob("event*.json"), *code.glob("event*.json")]
    places += [*folder.glob("events/*.json"), *code.glob("events/*.json")]
    found = {path.name: path for path in sorted(places) if _is_event(path)}
    return list(found.values())[:_MOST_EVENTS]


def _is_event(path: Path) -> bool:
    return path.is_file() and path.stat().st_size <= _LARGEST_EVENT
