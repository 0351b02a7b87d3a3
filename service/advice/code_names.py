"""What the names in a file stand for: imports, and what the module itself assigns."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def own_nodes(body: list[ast.stmt]) -> Iterator[ast.AST]:
    """Yield all nodes of a body but those of the functions in it, which run when they are called,
    and of what runs only if the file is a program.
    """
    waiting: list[ast.AST] = [each for each in body if not _is_program(each)]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, DEFINITIONS):
            defaults = [*node.args.defaults, *filter(None, node.args.kw_defaults)]
            waiting += [*node.decorator_list, *defaults]
        else:
            waiting += ast.iter_child_nodes(node)


def _is_program(node: ast.stmt) -> bool:
    """Return whether it is `if __name__ == "__main__"`."""
    return isinstance(node, ast.If) and any(
        isinstance(each, ast.Name) and each.id == "__name__" for each in ast.walk(node.test)
    )


class ImportedNames:
    """The names that a file imports, at any depth."""

    def __init__(self, tree: ast.Module, module: str) -> None:
        self._known: dict[str, str] = {}
        self._stars: list[str] = []
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    first = alias.name.split(".")[0]
                    self._known[alias.asname or first] = alias.name if alias.asname else first
            elif isinstance(node, ast.ImportFrom):
                self._take(node, module)

    def _take(self, node: ast.ImportFrom, module: str) -> None:
        above = module.split(".")[: -node.level] if node.level else []
        home = ".".join([*above, *filter(None, [node.module])])
        for alias in node.names:
            if alias.name == "*":
                self._stars.append(home)
            else:
                self._known[alias.asname or alias.name] = f"{home}.{alias.name}".lstrip(".")

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def full_names(self, node: ast.AST) -> list[str]:
        """Return what an expression like `oss.Bucket` may stand for, `["oss2.Bucket"]`: several for
        a bare name in a file with `import *`, none for what is no dotted name.
        """
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return []
        if node.id in self._known:
            return [".".join([self._known[node.id], *parts])]
        written = ".".join([node.id, *parts])
        return [written, *(f"{home}.{written}" for home in self._stars)]


def names_read(nodes: Iterable[ast.AST]) -> set[str]:
    """Return every name and attribute that is read, without what stands before it."""
    found = set()
    for node in nodes:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
            found.add(node.attr)
    return found


def bound_names(node: ast.FunctionDef | ast.AsyncFunctionDef, nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that are a function's own: its parameters, and what its nodes assign."""
    arguments = node.args
    listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    listed += filter(None, [arguments.vararg, arguments.kwarg])
    found, given_away = {each.arg for each in listed}, set[str]()
    for each in nodes:
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store):
            found.add(each.id)
        elif isinstance(each, (*DEFINITIONS, ast.ClassDef, ast.ExceptHandler)):
            found |= {each.name} if each.name else set()
        elif isinstance(each, ast.Global | ast.Nonlocal):
            given_away |= set(each.names)
    return found - given_away
