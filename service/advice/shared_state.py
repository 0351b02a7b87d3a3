"""What calls write that other calls see: globals, objects of the module, defaults, attributes."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .finding import MAY_BREAK, WILL_BREAK, Finding, Level
from .project import CodeFunction, Module, Project, assignments

_MAKERS = {
    *("dict", "list", "set", "bytearray", "collections.defaultdict", "collections.deque"),
    *("collections.OrderedDict", "collections.Counter"),
}
_CHANGES = {
    *("append", "extend", "insert", "add", "update", "clear", "pop", "popitem", "remove"),
    *("discard", "sort", "reverse", "appendleft", "popleft", "extendleft"),
}
_LOCAL = "Keep it in a local variable and pass it on, or in a contextvars.ContextVar."
_LOCKED = "Hold a threading.Lock around it, or count with service.metrics.counter()."
_CACHE = "Use @shared(ttl=...), which fetches once for all callers, or a bound and a lock."
_BEFORE_CALLS = "Make it in `initialize(context)`, which runs once before the first call."


def shared_findings(project: Project) -> Iterator[Finding]:
    """Yield what is to be said of what calls write, and other calls see."""
    for function in project.functions:
        if function.in_calls:
            yield from _defaults(function)
            guarded = _guarded(function, project)
            for node in function.nodes:
                if id(node) not in guarded:
                    yield from _written(node, function, project)


def is_mutable(value: ast.expr | None, home: Module) -> bool:
    """Return whether an expression makes an object that can be changed: a list, a dict, a set."""
    if isinstance(value, ast.Call):
        return any(name in _MAKERS for name in home.names.full_names(value.func))
    return isinstance(
        value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.SetComp
    )


def is_lock(node: ast.expr, function: CodeFunction, project: Project) -> bool:
    """Return whether an expression is a lock, by what it was made of or by its name."""
    found = project.shared(node, function)
    if found:
        value = found[0].assigned.get(found[1])
        if isinstance(value, ast.Call):
            names = found[0].names.full_names(value.func)
            return any(name.rpartition(".")[2] in ("Lock", "RLock", "Condition") for name in names)
    return "lock" in ast.unparse(node).lower()


def _guarded(function: CodeFunction, project: Project) -> set[int]:
    """Return the nodes within a `with` of a lock."""
    found = set()
    for node in function.nodes:
        if isinstance(node, ast.With | ast.AsyncWith) and any(
            is_lock(item.context_expr, function, project) for item in node.items
        ):
            found |= {id(each) for each in ast.walk(node)}
    return found


def _written(node: ast.AST, function: CodeFunction, project: Project) -> Iterator[Finding]:
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        for target, _ in assignments(node):
            yield from _assigned(target, node, function, project)
    elif isinstance(node, ast.Delete):
        for target in node.targets:
            yield from _assigned(target, node, function, project)
    else:
        changed = _changed_by_method(node)
        if changed is not None and (name := _container(changed, function, project)):
            yield _changed(name, changed, WILL_BREAK, function)


def _assigned(
    target: ast.expr, node: ast.stmt, function: CodeFunction, project: Project
) -> Iterator[Finding]:
    if isinstance(target, ast.Name):
        if target.id in function.globals:
            yield _global(target, node, function)
    elif isinstance(target, ast.Subscript):
        if name := _container(target.value, function, project):
            yield _changed(name, node, MAY_BREAK, function)
    elif isinstance(target, ast.Attribute):
        yield from _attribute(target, node, function, project)


def _global(target: ast.Name, node: ast.stmt, function: CodeFunction) -> Finding:
    name, level, rule = target.id, WILL_BREAK, "global"
    what = f"{name} is one variable for all calls: each overwrites what another has put there"
    advice = _LOCAL
    if isinstance(node, ast.AugAssign):
        level, advice = MAY_BREAK, _LOCKED
        what = f"{name} is counted by calls at the same time: in threads, some are lost"
    elif _first_only(target, function):
        level, rule, advice = MAY_BREAK, "first-call", _BEFORE_CALLS
        what = f"calls that come first at the same time make {name} several times"
    return Finding(function.home.file.name, node.lineno, rule, level, what, advice)


def _first_only(target: ast.Name, function: CodeFunction) -> bool:
    """Return whether a value is assigned only if there is none: `if x is None: x = ...`."""
    return any(
        isinstance(node, ast.If)
        and any(isinstance(each, ast.Name) and each.id == target.id for each in ast.walk(node.test))
        and any(each is target for statement in node.body for each in ast.walk(statement))
        for node in function.nodes
    )


def _container(node: ast.expr, function: CodeFunction, project: Project) -> str:
    """Return the name of a list, dict or set that all calls see, "" if it is none."""
    found = project.shared(node, function)
    if found and is_mutable(found[0].assigned.get(found[1]), found[0]):
        return found[1]
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
        for kind in function.home.classes.values():
            own = node.value.id == kind.name or (
                node.value.id in ("self", "cls") and function.node in kind.body
            )
            if own and _of_class(kind, node.attr, function.home):
                return f"{kind.name}.{node.attr}"
    return ""


def _of_class(kind: ast.ClassDef, name: str, home: Module) -> bool:
    """Return whether a class has a mutable value of that name, which all its objects share."""
    has = any(
        isinstance(target, ast.Name) and target.id == name and is_mutable(value, home)
        for statement in kind.body
        for target, value in assignments(statement)
    )
    return has and not any(
        isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.ctx, ast.Store)
        for node in ast.walk(kind)
    )


def _changed(name: str, node: ast.stmt | ast.expr, level: Level, function: CodeFunction) -> Finding:
    if level is WILL_BREAK:
        what = f"{name} is one object for all calls: what one puts there, another finds or removes"
        return Finding(function.home.file.name, node.lineno, "shared", level, what, _LOCAL)
    what = f"{name} is written by calls at the same time, and grows as long as the instance lives"
    return Finding(function.home.file.name, node.lineno, "shared", level, what, _CACHE)


def _attribute(
    target: ast.Attribute, node: ast.stmt, function: CodeFunction, project: Project
) -> Iterator[Finding]:
    base = target.value
    written = ast.unparse(target)
    if project.shared(base, function):
        what = f"{written} is one for all calls: each overwrites what another has put there"
        yield Finding(function.home.file.name, node.lineno, "shared", WILL_BREAK, what, _LOCAL)


def _defaults(function: CodeFunction) -> Iterator[Finding]:
    """Yield a finding for each default that all calls share, if it is changed or handed on."""
    arguments = function.node.args
    positional = [*arguments.posonlyargs, *arguments.args]
    pairs = [
        *zip(
            positional[len(positional) - len(arguments.defaults) :], arguments.defaults, strict=True
        ),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    for argument, value in pairs:
        if value is not None and is_mutable(value, function.home):
            level = WILL_BREAK if _is_changed(argument.arg, function) else MAY_BREAK
            yield Finding(
                function.home.file.name,
                value.lineno,
                "default",
                level,
                f"the default of {argument.arg} is made once: calls share it, and what they put in",
                "Write =None, and make a new one within the function.",
            )


def _changed_by_method(node: ast.AST) -> ast.expr | None:
    """Return what a call like `seen.append(x)` changes."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        return node.func.value if node.func.attr in _CHANGES else None
    return None


def _is_changed(name: str, function: CodeFunction) -> bool:
    for node in function.nodes:
        changed = _changed_by_method(node)
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
            changed = node.value
        if isinstance(changed, ast.Name) and changed.id == name:
            return True
    return False
