"""Memory, threads and variables against what an instance has (docs/platform.md section 8)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..settings.kinds import MIB, size_text
from .checked import CheckedFunction
from .finding import CheckFinding

THREAD_LIMIT = 1024
"""Threads and processes of an instance together."""
THREADS_OF_ITS_OWN = 4
"""Threads that a process of the service has beside those that run calls: its loop, its log, its
watch.
"""


def size_rows(function: CheckedFunction) -> Iterator[CheckFinding]:
    """Yield what is too large, and what fits."""
    yield from _memory(function)
    yield from _threads(function)


def _memory(function: CheckedFunction) -> Iterator[CheckFinding]:
    loaded, figures = function.loaded, function.measured
    if loaded is None:
        return
    memory, budget = function.placed.deployed.memory, loaded.settings.body_budget / MIB
    key = ("memorySize",)
    if figures is None or figures.failure:
        if budget <= memory / 2:
            text = f"events take {size_text(loaded.settings.body_budget)} of {memory} MB at most"
            yield function.fits("memory", key, text, source="8")
        if figures is None:
            yield function.unknown("memory", key, "the footprint is not measured: --run does it")
        return
    footprint = figures.memory * _workers(function)
    told = f"{footprint:.0f} MB before the first call, of {memory} MB"
    if footprint >= memory:
        yield function.fault("memory", key, told, remedy="raise memorySize", source="8")
    elif footprint + budget > memory:
        yield function.doubt(
            "memory",
            key,
            f"{told}, and events may take {budget:.0f} MB more",
            remedy="raise memorySize, or set SERVICE_BODY_BUDGET lower",
            source="8",
        )
    else:
        yield function.fits("memory", key, f"{told}; events take {budget:.0f} MB at most")


def _workers(function: CheckedFunction) -> int:
    """Return how many processes serve; `auto` is one for each vCPU, rounded up."""
    if function.loaded is None:
        return 1
    workers = function.loaded.settings.workers
    if workers == "auto":
        return max(1, -int(-float(function.props.get("cpu", 1)) // 1))
    return workers


def _threads(function: CheckedFunction) -> Iterator[CheckFinding]:
    if function.loaded is None:
        return
    workers, figures = _workers(function), function.measured
    calls = 0 if function.handler_is_async else function.loaded.settings.concurrency
    each = max(THREADS_OF_ITS_OWN, figures.threads if figures else 1)
    pools = sum(size for _file, _line, size in thread_pools(function))
    threads = calls + workers * (each + pools)
    parts = f"{threads} threads at most: {calls} for calls, {workers} x {each + pools} beside them"
    key = ("environmentVariables", "SERVICE_WORKERS")
    if threads > THREAD_LIMIT:
        yield function.fault(
            "threads",
            key,
            f"{parts}; an instance has {THREAD_LIMIT:,}",
            remedy="make the pools smaller, or set SERVICE_WORKERS lower",
            source="8",
        )
    else:
        yield function.fits("threads", key, f"{parts}; an instance has {THREAD_LIMIT:,}")


def thread_pools(function: CheckedFunction) -> Iterator[tuple[str, int, int]]:
    """Yield the thread pools of the function's own whose size is written down: file, line, size."""
    for file in function.code.python:
        tree = function.code.tree(file)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Call) and _last_name(node.func) == "ThreadPoolExecutor":
                given = [*node.args[:1], *(k.value for k in node.keywords if k.arg == _WORKERS)]
                for value in given:
                    if isinstance(value, ast.Constant) and isinstance(value.value, int):
                        yield function.code.shown(file), node.lineno, value.value


_WORKERS = "max_workers"


def _last_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
