"""Names of files in /tmp that calls at the same time have in common."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .finding import MAY_BREAK, WILL_BREAK, Finding, Risk
from .project import CodeFunction, Module, Project

_OF_THE_CALL = re.compile(r"request_?id|uuid|mkdtemp|mkstemp|tempfile|temporary|token_hex", re.I)
"""What makes a name a call's own."""

_ADVICE = "Put it into a tempfile.TemporaryDirectory(), or context.request_id into its name."
_FIXED = Risk(
    "tmp",
    WILL_BREAK,
    "calls at the same time write, read and remove the same file of this name",
    _ADVICE,
)
_BUILT = Risk(
    "tmp",
    MAY_BREAK,
    "two calls whose events have the same name in them use the same file, or remove it",
    _ADVICE,
)


def temporary_findings(project: Project) -> Iterator[Finding]:
    """Yield the names in /tmp that calls use and that are not their own."""
    with_names = [
        each for each in project.modules if any("/tmp" in line for line in each.file.lines)
    ]
    for module in with_names:
        used = _used_in_calls(module)
        for name, value in module.assigned.items():
            if name in used and value is not None and (risk := _judge(value)):
                yield risk.at(module.file.name, value)
    for function in (function for module in with_names for function in module.functions):
        if function.in_calls:
            for value, risk in _names(function):
                yield risk.at(function.home.file.name, value)


def _used_in_calls(module: Module) -> set[str]:
    return {
        node.id
        for function in module.functions
        if function.in_calls
        for node in function.nodes
        if isinstance(node, ast.Name)
    }


def _names(function: CodeFunction) -> Iterator[tuple[ast.expr, Risk]]:
    """Yield each name with what is to be said of it; of what it is put together, only the whole."""
    seen: set[int] = set()
    # From the whole to its parts.
    for statement in function.node.body:
        for node in ast.walk(statement):
            if id(node) in seen or not isinstance(node, ast.expr):
                continue
            if isinstance(node, ast.Call) and _OF_THE_CALL.search(ast.unparse(node.func)):
                seen |= {id(each) for each in ast.walk(node)}
            elif _begins(node):
                seen |= {id(each) for each in ast.walk(node)}
                if risk := _judge(node):
                    yield node, risk


def _begins(node: ast.expr) -> bool:
    """Return whether an expression is a text that begins with /tmp, or is put together of one."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and re.match(r"/tmp(/|\Z)", node.value) is not None
    if isinstance(node, ast.JoinedStr):
        return bool(node.values) and _begins(node.values[0])
    if isinstance(node, ast.BinOp):
        return _begins(node.left)
    if isinstance(node, ast.Call):
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr == "format":
            return _begins(function.value)
        joins = ast.unparse(function).rpartition(".")[2] in ("join", "Path", "joinpath")
        return joins and bool(node.args) and _begins(node.args[0])
    return False


def _judge(node: ast.expr) -> Risk | None:
    """Return what is to be said of a name, None for one of the call's own."""
    if not _begins(node) or _OF_THE_CALL.search(ast.unparse(node)):
        return None
    parts = [each for each in ast.walk(node) if isinstance(each, ast.Constant)]
    if isinstance(node, ast.Constant):
        return None if node.value in ("/tmp", "/tmp/") else _FIXED
    of_names = any(isinstance(each, ast.Name) for each in _values(node))
    return _BUILT if of_names or not parts else _FIXED


def _values(node: ast.expr) -> Iterator[ast.AST]:
    """Yield the parts of a name but for the functions that join them."""
    joining = {id(node.func)} if isinstance(node, ast.Call) else set()
    for each in ast.iter_child_nodes(node):
        if id(each) not in joining:
            yield from ast.walk(each)
