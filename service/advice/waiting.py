"""What holds up the event loop, where all `async` calls run, and loops of a call's own."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from .clients import client_of
from .finding import MAY_BREAK, WILL_BREAK, Finding
from .project import CodeFunction, Project, assignments
from .shared_state import is_lock

_THREAD = "Write `await asyncio.to_thread(...)`, or make the handler a plain `def`."
_INSTEAD = {
    "time.sleep": "Write `await asyncio.sleep(...)`.",
    "os.system": "Use asyncio.create_subprocess_shell.",
    "os.popen": "Use asyncio.create_subprocess_shell.",
    "os.wait": "Use asyncio.create_subprocess_exec.",
    "urllib.request.urlopen": "Use aiohttp or httpx.AsyncClient.",
    **{
        f"requests.{name}": "Use aiohttp or httpx.AsyncClient."
        for name in ("get", "post", "put", "delete", "head", "patch", "request", "options")
    },
    **{
        f"httpx.{name}": "Use httpx.AsyncClient."
        for name in ("get", "post", "put", "delete", "head", "patch", "request", "stream")
    },
    **{
        f"subprocess.{name}": "Use asyncio.create_subprocess_exec."
        for name in ("run", "call", "check_call", "check_output", "getoutput", "getstatusoutput")
    },
}
_ASYNC = (
    "redis.asyncio.",
    "httpx.AsyncClient",
    "aiohttp.",
    "aiomysql.",
    "asyncpg.",
    "openai.Async",
)
"""Clients that are awaited."""


def waiting_findings(project: Project) -> Iterator[Finding]:
    """Yield what blocks the event loop, and what runs another one."""
    for function in project.functions:
        if function.in_calls:
            clients = _clients(function, project) if function.on_loop else {}
            for node in function.nodes:
                if isinstance(node, ast.Call):
                    if function.on_loop:
                        yield from _blocking(node, function, project, clients)
                    yield from _loops(node, function, project)
                elif isinstance(node, ast.With) and function.on_loop:
                    yield from _held(node, function, project)


def _clients(function: CodeFunction, project: Project) -> dict[str, str]:
    """Return the names that stand for clients which block: those of the module, then its own."""
    found = {}
    for name, value in function.home.assigned.items():
        if name not in function.local and (kind := client_of(value, project, function.home)):
            found[name] = kind
    for node in function.nodes:
        for target, value in assignments(node):
            kind = client_of(value, project, function.home)
            if isinstance(target, ast.Name) and kind:
                found[target.id] = kind
    return {name: kind for name, kind in found.items() if not kind.startswith(_ASYNC)}


def _blocking(
    node: ast.Call, function: CodeFunction, project: Project, clients: dict[str, str]
) -> Iterator[Finding]:
    names = function.home.names.full_names(node.func)
    found = next((name for name in names if name in _INSTEAD), "")
    made = client_of(node, project, function.home)
    of_client = ""
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        of_client = clients.get(node.func.value.id, "")
    opens = made.endswith(("connect", "connect_async", "create_connection")) and made in names
    if not (found or of_client or (opens and not made.startswith(_ASYNC))):
        return
    what = (
        f"{ast.unparse(node.func)}() blocks the event loop: no other call goes on until it is done"
    )
    advice = _INSTEAD.get(found, _THREAD)
    yield Finding(function.home.file.name, node.lineno, "blocking", WILL_BREAK, what, advice)


def _loops(node: ast.Call, function: CodeFunction, project: Project) -> Iterator[Finding]:
    names = function.home.names.full_names(node.func)
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    file, line = function.home.file.name, node.lineno
    advice = "Make the handler `async def`, and await."
    if "asyncio.run" in names or method == "run_until_complete":
        if function.on_loop:
            what = "the event loop is running already: this raises RuntimeError"
            yield Finding(file, line, "event-loop", WILL_BREAK, what, "Await the coroutine.")
        elif _is_shared(node.func, function, project):
            what = "the loop is one for all calls' threads: the second call raises RuntimeError"
            yield Finding(file, line, "event-loop", WILL_BREAK, what, advice)
        else:
            what = "each call has a loop of its own: an async client that another call made fails"
            yield Finding(file, line, "event-loop", MAY_BREAK, what, advice)
    elif "asyncio.get_event_loop" in names and not function.on_loop:
        what = "a call's thread has no event loop: this raises RuntimeError"
        yield Finding(file, line, "event-loop", WILL_BREAK, what, advice)


def _is_shared(node: ast.expr, function: CodeFunction, project: Project) -> bool:
    return isinstance(node, ast.Attribute) and project.shared(node.value, function) is not None


def _held(node: ast.With, function: CodeFunction, project: Project) -> Iterator[Finding]:
    """Yield the locks of threads that are held while a call waits."""
    waits = any(isinstance(each, ast.Await) for each in ast.walk(node))
    if waits and any(is_lock(item.context_expr, function, project) for item in node.items):
        what = "it is held while the call waits: the next call blocks the event loop for ever"
        yield Finding(
            function.home.file.name,
            node.lineno,
            "lock",
            WILL_BREAK,
            what,
            "Use asyncio.Lock with `async with`, or await outside of it.",
        )
