"""A function's code as a whole: its functions, when each runs, and what they share."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from .code_names import DEFINITIONS, ImportedNames, bound_names, names_read, own_nodes
from .sources import CodeFile

USUAL_HOOKS = ("initialize", "initializer", "lifespan", "pre_stop", "pre_freeze")
"""Hooks by their usual names: each runs once in an instance, and no call beside most of them."""


@dataclass(slots=True, eq=False)
class CodeFunction:
    """A function or method, with the names that are its own."""

    home: Module
    node: ast.FunctionDef | ast.AsyncFunctionDef
    nodes: tuple[ast.AST, ...]
    """What runs when it is called."""
    local: set[str]
    in_calls: bool = True
    """True if calls run it, False if only the import or a hook does."""
    on_loop: bool = False
    """True if it runs on the event loop: `async`, or called by what is."""

    @property
    def name(self) -> str:
        """The function's name."""
        return self.node.name

    @property
    def globals(self) -> set[str]:
        """The names that its `global` statements have."""
        nodes = (node for node in self.nodes if isinstance(node, ast.Global))
        return {name for node in nodes for name in node.names}


@dataclass(slots=True, eq=False)
class Module:
    """A file, with what its names stand for and what it has at module level."""

    file: CodeFile
    names: ImportedNames
    nodes: tuple[ast.AST, ...]
    """What runs when it is imported."""
    assigned: dict[str, ast.expr | None] = field(default_factory=dict)
    classes: dict[str, ast.ClassDef] = field(default_factory=dict)
    functions: list[CodeFunction] = field(default_factory=list)


class Project:
    """All files. `handlers` and `hooks` are names, `index.handler`; without them the usual ones."""

    def __init__(
        self, files: Iterable[CodeFile], handlers: Sequence[str] = (), hooks: Sequence[str] = ()
    ) -> None:
        self.modules = [_module(file) for file in files]
        self.functions = [each for module in self.modules for each in module.functions]
        self._by_name: dict[str, list[CodeFunction]] = {}
        for each in self.functions:
            self._by_name.setdefault(each.name, []).append(each)
        self._by_module = {module.file.module: module for module in self.modules}
        self.handlers = self._named(handlers) or self._usual_handlers()
        self._say_when(self._named(hooks) or self._usual_hooks())
        self._say_where()

    def shared(self, node: ast.AST, function: CodeFunction) -> tuple[Module, str] | None:
        """Return the module and the name there of something that all calls see, None for what is a
        call's own, or of a library.
        """
        first = node
        while isinstance(first, ast.Attribute):
            first = first.value
        if not isinstance(first, ast.Name) or first.id in function.local:
            return None
        home = function.home
        if isinstance(node, ast.Name) and (node.id in home.assigned or node.id in home.classes):
            return home, node.id
        for name in home.names.full_names(node):
            module, _, attribute = name.rpartition(".")
            found = self._by_module.get(module)
            if found and (attribute in found.assigned or attribute in found.classes):
                return found, attribute
        return None

    def called(self, call: ast.Call, home: Module) -> list[CodeFunction]:
        """Return the functions of the project that a call may mean."""
        function = call.func
        if isinstance(function, ast.Name) and function.id not in home.names:
            return [each for each in self._by_name.get(function.id, []) if each.home is home]
        if isinstance(function, ast.Attribute) and ast.unparse(function.value) in ("self", "cls"):
            return [each for each in self._by_name.get(function.attr, []) if each.home is home]
        for name in home.names.full_names(function):
            module, _, attribute = name.rpartition(".")
            if found := self._by_module.get(module):
                return [each for each in found.functions if each.name == attribute]
        return []

    def _named(self, names: Sequence[str]) -> list[CodeFunction]:
        wanted = [
            name.replace("/", ".").replace(":", ".").rpartition(".") for name in names if name
        ]
        return [
            each
            for module, _, attribute in wanted
            for each in self._by_name.get(attribute, [])
            if not module or module.endswith(each.home.file.module)
        ]

    def _usual_handlers(self) -> list[CodeFunction]:
        return [each for each in self.functions if each.name.endswith("handler")]

    def _usual_hooks(self) -> list[CodeFunction]:
        return [each for each in self.functions if each.name in USUAL_HOOKS or _takes_context(each)]

    def _reached(self, start: Iterable[CodeFunction]) -> set[CodeFunction]:
        """Return the functions that run if these do, as far as their names tell."""
        found, waiting = set[CodeFunction](), list(start)
        while waiting:
            each = waiting.pop()
            if each not in found:
                found.add(each)
                waiting += self._with_names(names_read(each.nodes))
        return found

    def _with_names(self, names: Iterable[str]) -> Iterator[CodeFunction]:
        for name in names:
            yield from self._by_name.get(name, ())

    def _say_when(self, hooks: Iterable[CodeFunction]) -> None:
        at_import = {name for module in self.modules for name in _called_at_import(module)}
        once = self._reached([*hooks, *self._with_names(at_import)])
        in_calls = self._reached(self.handlers)
        for each in self.functions:
            each.in_calls = each in in_calls or each not in once

    def _say_where(self) -> None:
        waiting = [
            each
            for each in self.functions
            if each.in_calls and isinstance(each.node, ast.AsyncFunctionDef)
        ]
        while waiting:
            each = waiting.pop()
            if not each.on_loop:
                each.on_loop = True
                calls = (node for node in each.nodes if isinstance(node, ast.Call))
                waiting += [found for call in calls for found in self.called(call, each.home)]


def _called_at_import(module: Module) -> set[str]:
    """Return the names of what runs while a module is imported; what it only mentions, a table of
    functions for example, runs later.
    """
    calls = (node.func for node in module.nodes if isinstance(node, ast.Call))
    return names_read(calls)


def _takes_context(function: CodeFunction) -> bool:
    """Return whether it looks like an initializer of another name: `my_initializer(context)`."""
    arguments = [each.arg for each in function.node.args.args]
    return "init" in function.name.lower() and arguments == ["context"]


def _module(file: CodeFile) -> Module:
    nodes = tuple(own_nodes(file.tree.body))
    module = Module(file, ImportedNames(file.tree, file.module), nodes)
    for node in nodes:
        if isinstance(node, ast.ClassDef):
            module.classes[node.name] = node
    for statement in _top_level(file.tree.body):
        for target, value in assignments(statement):
            if isinstance(target, ast.Name):
                module.assigned[target.id] = value
    _take_functions(module, file.tree, set())
    # What only `global` statements make is at module level, too.
    for function in module.functions:
        for name in function.globals:
            module.assigned.setdefault(name, None)
    return module


def _top_level(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Yield the statements of a module that are in no class and no function."""
    for node in body:
        yield node
        for part in ("body", "orelse", "finalbody", "handlers"):
            if not isinstance(node, (*DEFINITIONS, ast.ClassDef)):
                yield from _top_level(getattr(node, part, []))


def assignments(node: ast.AST) -> Iterator[tuple[ast.expr, ast.expr | None]]:
    """Yield each target of an assignment, with its value if it has one of its own."""
    if isinstance(node, ast.Assign):
        for target in node.targets:
            if isinstance(target, ast.Tuple | ast.List):
                yield from ((each, None) for each in target.elts)
            else:
                yield target, node.value
    elif isinstance(node, ast.AnnAssign | ast.AugAssign):
        yield node.target, node.value


def _take_functions(module: Module, node: ast.AST, outer: set[str]) -> None:
    for each in ast.iter_child_nodes(node):
        if isinstance(each, DEFINITIONS):
            nodes = tuple(own_nodes(each.body))
            local = bound_names(each, nodes) | outer
            module.functions.append(CodeFunction(module, each, nodes, local))
            _take_functions(module, each, local)
        else:
            _take_functions(module, each, outer)
