"""What is open to the outside: one address and port, a few paths, and nothing that goes out
(promises S2 and S9).
"""

from __future__ import annotations

import ast
import asyncio
import random
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from urllib.parse import unquote

import orjson
import psutil
import pytest

import service
from service import protocol
from service.http.routes import Paths
from tests.assembly import assembled, logged
from tests.conftest import Serve
from tests.harness import ANSWERS_WITHIN, ServerProcess, request

# --- sockets

WATCH = """
import os, sys

_file = os.open(os.environ["WATCHED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
_told = ("socket.bind", "socket.connect", "socket.send", "socket.get", "subprocess.", "os.system",
    "os.exec", "os.posix_spawn", "urllib.", "http.", "ftplib.", "smtplib.")

def _note(event, arguments):
    if event.startswith(_told):
        told = arguments[1:] if event.startswith("socket.") else arguments
        os.write(_file, f"{event} {told}\\n".encode())

sys.addaudithook(_note)
"""
"""Runs before anything of the service and notes what the interpreter is asked to do."""

HELD = """
    import asyncio, pathlib

    async def handler(event, context):
        print("inside")
        while not pathlib.Path("go").exists():
            await asyncio.sleep(0.02)
        return event
"""
PLAIN = """
    import pathlib, time

    def handler(event, context):
        print("inside")
        while not pathlib.Path("go").exists():
            time.sleep(0.02)
        return event
"""


def sockets(server: ServerProcess) -> set[tuple[str, str, int]]:
    """The sockets that the service's processes have towards others: state, own address, port."""
    parent = psutil.Process(server.process.pid)
    found = set()
    for process in (parent, *parent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # a worker that has just ended
            for each in process.net_connections("all"):
                if each.family == socket.AF_UNIX:  # a pair of ours has no name to reach it by
                    assert not each.laddr, each
                    assert not each.raddr, each
                else:
                    found.add((each.status, *each.laddr))
    return found


@pytest.mark.parametrize(
    ("source", "flags", "host"),
    [
        pytest.param(HELD, ("--loop", "uvloop"), "0.0.0.0", id="uvloop"),
        pytest.param(PLAIN, ("--loop", "asyncio"), "0.0.0.0", id="asyncio"),
        pytest.param(HELD, ("--host", "127.0.0.1"), "127.0.0.1", id="loopback"),
        pytest.param(HELD, ("--workers", "2"), "0.0.0.0", id="two-workers"),
    ],
)
async def test_one_port_is_open_and_nothing_goes_out(
    serve: Serve, tmp_path: Path, source: str, flags: tuple[str, ...], host: str
) -> None:
    """S2: at the start, under load, after it and while it stops, the service listens on the one
    address and port that it was told; it connects to nothing, resolves no name and starts no
    program.
    """
    watch = tmp_path / "watch"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH)
    noted = tmp_path / "noted"
    server = serve(source, *flags, environ={"PYTHONPATH": str(watch), "WATCHED": str(noted)})
    port = await asyncio.to_thread(lambda: server.port)
    own = {("LISTEN", host, port)}
    assert sockets(server) == own
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(server.client()) for _ in range(40)]
        for number, client in enumerate(clients):
            await client.send(request(b"event", request_id=f"call-{number}"))
        await asyncio.to_thread(server.wait_for, "inside", count=40)
        assert sockets(server) == own | {("ESTABLISHED", "127.0.0.1", port)}
        (server.folder / "go").touch()
        for client in clients:
            assert (await client.answer()).body == b"event"
        await server.ask(request(path="/initialize"))
        await server.ask(request(b"", path="/pre-freeze", method="GET"))
    await closed(server, own)
    (server.folder / "go").unlink()
    async with server.client() as client:
        await client.send(request(b"event"))
        await asyncio.to_thread(server.wait_for, "inside", count=41)
        server.signal(signal.SIGTERM)
        await closed(server, {("ESTABLISHED", "127.0.0.1", port)})
        (server.folder / "go").touch()
        assert (await client.answer()).status == 200
    assert await server.ends() == 0
    assert noted.read_text().splitlines() == [f"socket.bind (('{host}', {port}),)"]


async def closed(server: ServerProcess, left: set[tuple[str, str, int]]) -> None:
    """Wait until these sockets are left."""
    async with asyncio.timeout(ANSWERS_WITHIN):
        while await asyncio.to_thread(sockets, server) != left:
            pass


# --- paths

TABLE = {
    ("/invoke", "POST"),
    ("/initialize", "POST"),
    ("/pre-stop", "GET"),
    ("/pre-stop", "POST"),
    ("/pre-freeze", "GET"),
    ("/pre-freeze", "POST"),
    ("/health", "GET"),
    ("/health", "HEAD"),
    ("/metrics", "GET"),
    ("/metrics", "HEAD"),
}


def test_there_are_these_paths_and_methods_alone() -> None:
    """S9: the application has one resource, whose table is Function Compute's paths, /health and
    /metrics.
    """
    with logged() as (logs, _):
        (resource,) = assembled(logs, lambda event, context: event).router.resources()
    assert isinstance(resource, Paths)
    table = {(path, method) for path, routes in resource._routes.items() for method in routes}
    assert table == TABLE


def unknown_paths(count: int) -> Iterator[str]:
    """Paths that others serve, and what scanners try, put together at random."""
    words = (
        *("admin", "debug", ".env", ".git", "config", "metrics", "static", "..", "%2e%2e"),
        *("invoke", "health", "initialize", "pre-stop", "pre-freeze", "http-invoke", "INVOKE"),
        *("etc", "passwd", "index.py", "pprof", "console", "openapi.json", "%00", "%0a", "~"),
        *("favicon.ico", "actuator", "login.php", "2016-08-15", "proxy", "functions", "ws", ";a"),
    )
    known = {path for path, _ in TABLE} | {protocol.HTTP_INVOKE_PATH}
    choose = random.Random(9)
    while count:
        path = "/" + choose.choice(["/", "./", "//", "../"]).join(
            choose.choices(words, k=choose.randrange(1, 5))
        )
        if unquote(path) not in known:
            yield path + choose.choice(["", "/", "?a=b", "?/invoke", ".json", "%20"])
            count -= 1


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.long)])
async def test_other_paths_are_not_found(serve: Serve, count: int) -> None:
    """S9: whatever the path and the method, NotFound with the paths that there are, and the
    function does not run.
    """
    server = serve("def handler(event, context):\n    print('ran')\n    return 'ran'")
    paths = list(unknown_paths(count))
    methods = random.Random(9).choices(["GET", "POST", "PUT", "DELETE", "OPTIONS"], k=len(paths))
    async with server.client() as client:
        for first in range(0, len(paths), 100):
            some = range(first, first + 100)
            await client.send(
                b"".join(request(b"", path=paths[each], method=methods[each]) for each in some)
            )
            for each in some:
                answer = await client.answer()
                assert answer.status == 404, paths[each]
                assert answer.json()["errorType"] == "NotFound", paths[each]
    assert not any("ran" in line for line in server.lines)


UPGRADES = {
    "websocket": {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
    },
    "h2c": {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2_Settings": "AAMAAAB"},
}


@pytest.mark.parametrize("kind", UPGRADES)
@pytest.mark.parametrize("path", ["/invoke", "/health"])
async def test_no_other_protocol_is_spoken(serve: Serve, kind: str, path: str) -> None:
    """S9: an upgrade is never accepted: the answer is that of the request without it."""
    server = serve("def handler(event, context):\n    return 'plain'")
    method = "POST" if path == "/invoke" else "GET"
    answer = await server.ask(request(b"", path=path, method=method, **UPGRADES[kind]))
    assert answer.status == 200
    assert "upgrade" not in answer.headers
    assert "sec-websocket-accept" not in answer.headers
    assert answer.body == b"plain" or orjson.loads(answer.body)["ready"] is True


FORBIDDEN = re.compile(
    r"(?:^|\.)(?:eval|exec|compile|__import__|system|popen|Unpickler|add_static|static|sendfile"
    r"|WebSocketResponse|FileResponse)$|^(?:pickle|marshal|shelve|yaml|dill|code|pdb)\."
)
HARMLESS = {"re.compile"}


def called(node: ast.AST) -> str:
    """The dotted name of what is called, "" for what has none."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{called(node.value)}.{node.attr}"
    return ""


def of_a_desk() -> set[str]:
    """The wings that are not deployed, as what makes the bundle names them."""
    bundling = Path(service.__file__).parent / "bundling" / "pruning.py"
    for node in ast.parse(bundling.read_text()).body:
        if isinstance(node, ast.Assign) and called(node.targets[0]) == "DESK":
            return {str(each.value) for each in ast.walk(node) if isinstance(each, ast.Constant)}
    raise AssertionError("pruning.py names no wings")


def serving() -> Iterator[Path]:
    """The files of the service, without what a desk alone has."""
    root, desk = Path(service.__file__).parent, of_a_desk()
    return (file for file in root.rglob("*.py") if file.relative_to(root).parts[0] not in desk)


@pytest.mark.parametrize("text", ["eval(a)", "pickle.loads(a)", "yaml.load(a)", "os.system(a)"])
def test_the_rule_finds_what_it_forbids(text: str) -> None:
    """Calls that run what they are given are known as such."""
    (node,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    assert FORBIDDEN.search(called(node.func))


def test_no_code_runs_what_it_is_given() -> None:
    """S9: no eval, exec, pickle, marshal, yaml, shell, static files, WebSocket or debugger is in
    the code that serves. What a desk alone has, and is not deployed, reads its user's own files.
    """
    for file in serving():
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = called(node.func)
                assert name in HARMLESS or not FORBIDDEN.search(name), f"{file.name}: {name}"
                shell = [key for key in node.keywords if key.arg == "shell"]
                assert not shell, f"{file.name}: {name}"
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name.split(".")[0] for alias in node.names}
                names.add(str(getattr(node, "module", "")).split(".")[0])
                assert not names & {"pickle", "marshal", "shelve", "yaml", "dill", "pdb"}
