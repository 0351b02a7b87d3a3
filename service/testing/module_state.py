"""The state that a function's modules keep between calls, and the lines that write it."""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from .marks import Leaf, leaves_of

MOST_ITEMS = 300
"""Entries of one list or mapping that are looked at."""

CHANGING_METHODS = {
    *("append", "extend", "insert", "update", "setdefault", "add", "pop", "clear", "remove"),
    *("appendleft", "discard", "popitem"),
}


def modules_of(start: ModuleType) -> list[ModuleType]:
    """Return a module and those that it has imported from its folder or below."""
    found, file = [start], getattr(start, "__file__", None)
    folder = str(Path(file).parent) + "/" if file else ""
    for module in found:
        for value in list(vars(module).values()):
            home = value if isinstance(value, ModuleType) else None
            if home is None and (name := getattr(value, "__module__", None)):
                home = sys.modules.get(name) if isinstance(name, str) else None
            place = getattr(home, "__file__", None)
            is_own = (
                folder and place and place.startswith(folder) and "/site-packages/" not in place
            )
            if home is not None and is_own and home not in found:
                found.append(home)
    return found


def slots_of(modules: list[ModuleType]) -> Iterator[tuple[str, str, object]]:
    """Yield each place in which a module holds something: the name of what holds it,
    `index.current`, the step within that, `["user"]` or `.name`, and what is there.
    """
    names = {module.__name__ for module in modules}
    for module in modules:
        for name, value in list(vars(module).items()):
            if not name.startswith("__"):
                yield from _slots(f"{module.__name__}.{name}", value, names)


def _slots(name: str, value: object, names: set[str]) -> Iterator[tuple[str, str, object]]:
    if isinstance(value, ModuleType | FunctionType):
        return
    if isinstance(value, dict | list):
        for step, part in _items(value):
            yield name, step, part
    elif isinstance(value, type) or type(value).__module__ in names:
        home = value if isinstance(value, type) else type(value)
        if home.__module__ not in names:
            return
        for attribute, part in list(getattr(value, "__dict__", {}).items()):
            if attribute.startswith("__") or callable(part) or hasattr(part, "__get__"):
                continue
            if isinstance(part, dict | list):
                yield from ((f"{name}.{attribute}", *item) for item in _items(part))
            else:
                yield f"{name}.{attribute}", "", part
    else:
        yield name, "", value


def _items(value: dict[Any, Any] | list[Any]) -> list[tuple[str, object]]:
    try:
        pairs = list(value.items() if isinstance(value, dict) else enumerate(value))
    except RuntimeError:  # a thread changes it meanwhile: it is looked at again
        return []
    return [(f"[{key!r}]", part) for key, part in pairs[:MOST_ITEMS]]


def constants_of(modules: list[ModuleType]) -> set[Leaf]:
    """Return the texts and numbers that stand in the code of modules, or in what they hold now."""
    found: set[Leaf] = set()
    for module in modules:
        for value in vars(module).values():
            code = getattr(value, "__code__", None)
            if isinstance(code, CodeType) and getattr(value, "__module__", "") == module.__name__:
                found |= _constants(code)
    for _, step, value in slots_of(modules):
        found |= {leaf for _, leaf in leaves_of((step, value))}
    return found


def _constants(code: CodeType) -> set[Leaf]:
    found: set[Leaf] = {leaf for _, leaf in leaves_of(code.co_consts)}
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            found |= _constants(inner)
    return found


def lines_that_write(modules: list[ModuleType], name: str) -> list[str]:
    """Return the lines that write what a module holds by a name, `index.py:9 current = event`."""
    for module in modules:
        first, _, rest = name.removeprefix(f"{module.__name__}.").partition(".")
        file = getattr(module, "__file__", None)
        if name.startswith(f"{module.__name__}.") and file:
            lines, text = _writers(file).get(first, []), _source(file)
            wanted = [n for n in lines if not rest or rest.split(".")[0] in text[n - 1]] or lines
            return [f"{near(file)}:{number} `{text[number - 1].strip()}`" for number in wanted[:3]]
    return []


def near(file: str) -> str:
    """Return a file's path as seen from the current folder, if it is in there."""
    here = f"{os.getcwd()}/"
    return file.removeprefix(here)


@cache
def _source(file: str) -> list[str]:
    return Path(file).read_text(errors="replace").splitlines()


@cache
def _writers(file: str) -> Mapping[str, list[int]]:
    """Return the numbers of the lines within functions that write to names of the module."""
    found: dict[str, list[int]] = {}
    tree = ast.parse(Path(file).read_bytes())
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            shared = {n for g in ast.walk(function) if isinstance(g, ast.Global) for n in g.names}
            for node in ast.walk(function):
                for name in _written(node, shared):
                    line = getattr(node, "lineno", 1)
                    if line not in found.setdefault(name, []):
                        found[name].append(line)
    return found


def _written(node: ast.AST, shared: set[str]) -> Iterator[str]:
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign | ast.Delete):
        targets = [part for each in node.targets for part in _unpacked(each)]
    elif isinstance(node, ast.AugAssign | ast.AnnAssign | ast.For | ast.AsyncFor):
        targets = [*_unpacked(node.target)]
    elif isinstance(node, ast.Call) and _changes(node.func):
        yield from filter(None, [_base(node.func)])
    for target in targets:
        if isinstance(target, ast.Name):
            if target.id in shared:
                yield target.id
        elif base := _base(target):
            yield base


def _changes(called: ast.expr) -> bool:
    return isinstance(called, ast.Attribute) and called.attr in CHANGING_METHODS


def _unpacked(target: ast.expr) -> list[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        return [part for each in target.elts for part in _unpacked(each)]
    return [target]


def _base(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""
