"""What goes on after the answer: threads, processes, tasks and pools that nobody waits for."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import TypeGuard

from .finding import MAY_BREAK, WILL_BREAK, Finding, Level
from .project import CodeFunction, Project

_THREADS = {"threading.Thread": "a thread", "threading.Timer": "a timer's thread"}
_PROCESSES = {
    "multiprocessing.Process": "a process",
    "subprocess.Popen": "a process",
}
_POOLS = {
    f"concurrent.futures.{name}": "a pool" for name in ("ThreadPoolExecutor", "ProcessPoolExecutor")
} | {"multiprocessing.Pool": "a pool", "multiprocessing.pool.ThreadPool": "a pool"}
_TASKS = ("asyncio.create_task", "asyncio.ensure_future")
_ENDED = {"join", "shutdown", "close", "terminate", "wait", "communicate", "cancel", "kill"}
_SPAWN = (
    "Wait for it before the answer, or use `service.spawn`, which starts a task of the instance."
)


def left_findings(project: Project) -> Iterator[Finding]:
    """Yield what calls start and do not wait for."""
    for function in project.functions:
        if function.in_calls:
            yield from _left(function)
    yield from _thread_locals(project)


def _left(function: CodeFunction) -> Iterator[Finding]:
    nodes = list(function.nodes)
    ends = any(
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in _ENDED
        for node in nodes
    )
    around = {
        id(item.context_expr)
        for node in nodes
        if isinstance(node, ast.With | ast.AsyncWith)
        for item in node.items
    }
    dropped = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in nodes:
        if not isinstance(node, ast.Call):
            continue
        names = function.home.names.full_names(node.func)
        found = next((name for name in names if name in _THREADS | _PROCESSES | _POOLS), "")
        if found and not ends and id(node) not in around and not _handed_on(node, nodes):
            yield _started(found, node, function)
        elif id(node) in dropped and (any(name in _TASKS for name in names) or _into_loop(node)):
            what = "nobody waits for it: it may be cut off when the call is answered"
            yield _finding(node, function, MAY_BREAK, what, _SPAWN)


def _handed_on(call: ast.Call, nodes: list[ast.AST]) -> bool:
    """Return whether it is returned: whoever gets it waits for it."""
    return any(isinstance(node, ast.Return) and node.value is call for node in nodes)


def _into_loop(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == "create_task"


def _started(name: str, node: ast.Call, function: CodeFunction) -> Finding:
    if name in _POOLS:
        what = "each call makes a pool of threads or processes, and none is ended: they pile up"
        return _finding(
            node,
            function,
            WILL_BREAK,
            what,
            "Use it in a `with`, or make one pool in `initialize(context)`.",
        )
    started = (_THREADS | _PROCESSES)[name]
    what = f"{started} goes on after the answer, while the instance may be frozen"
    return _finding(node, function, MAY_BREAK, what, _SPAWN)


def _finding(
    node: ast.Call, function: CodeFunction, level: Level, what: str, advice: str
) -> Finding:
    return Finding(function.home.file.name, node.lineno, "left-running", level, what, advice)


def _thread_locals(project: Project) -> Iterator[Finding]:
    """Yield what is put into a `threading.local()` at import, or used on the event loop."""
    for module in project.modules:
        boxes = {
            name
            for name, value in module.assigned.items()
            if isinstance(value, ast.Call)
            and "threading.local" in module.names.full_names(value.func)
        }
        for node in module.nodes:
            if _is_in(node, boxes) and isinstance(node.ctx, ast.Store):
                what = f"{ast.unparse(node)} is set for the importing thread; calls have others"
                yield _local(module.file.name, node, what)
        for function in module.functions:
            for node in function.nodes if function.on_loop else ():
                if _is_in(node, boxes - function.local):
                    what = f"`async` calls have one thread: they share {ast.unparse(node)}"
                    yield _local(module.file.name, node, what)


def _is_in(node: ast.AST, boxes: set[str]) -> TypeGuard[ast.Attribute]:
    """Return whether it is an attribute of one of these names."""
    return (
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in boxes
    )


def _local(file: str, node: ast.expr, what: str) -> Finding:
    advice = "Use a contextvars.ContextVar, which is a call's own in threads and on the loop."
    return Finding(file, node.lineno, "thread-local", WILL_BREAK, what, advice)
