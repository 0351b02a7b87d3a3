"""Who takes part in the speed benchmark: how each is started, and in what it takes part.

Everybody gets one process on one core and what its documentation advises for speed: no access log,
uvloop and httptools where they can be chosen, orjson. Their sources are in `contenders/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks.interpreters import RUNNING, Interpreter, interpreter

Command = Callable[[int, str], list[str]]
"""The arguments of the interpreter for a port and an action."""

SMALL = frozenset({"small", "cold", "idle"})
ASYNC = SMALL | {"one", "wait", "stream", "read"}
AT_ONCE = ("wait", "sync")
"""Works, and actions, in which 200 calls run at once."""
OURS = "ours"
OLDER, NEWER = "3.11", "3.13"
"""The Pythons that the work `old` compares."""


@dataclass(frozen=True)
class Contender:
    """A server: its file, which is copied to a folder of its own, and how it is started there."""

    name: str
    title: str
    file: str
    command: Command
    works: frozenset[str] = SMALL
    """Names of the works of `works.py` in which it takes part."""
    needs: str = ""
    """The module that must be installed."""
    note: str = ""
    """What its settings are, for the reader of the table."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What else is to be said in one work's table."""
    saved_as: str = ""
    """The copy's name, where it is not the file's."""
    path: str = "/{action}"
    environ: Mapping[str, str] = field(default_factory=dict)
    marks: bool = True
    """Whether it writes the two marker lines, which is checked; only a variant may leave them."""
    interpreter: Interpreter = RUNNING

    def argv(self, port: int, action: str) -> list[str]:
        """Return the program and its arguments for a port and an action."""
        return [self.interpreter.program, *self.command(port, action)]

    def url(self, action: str) -> str:
        """Return the path that is asked."""
        return self.path.format(action=action)

    def missing(self) -> str:
        """Say what is not installed, or nothing."""
        if missing := self.interpreter.missing():
            return missing
        there = not self.needs or self.interpreter.has(self.needs)
        version = self.interpreter.version
        return "" if there else f"{self.needs} is not installed for Python {version}"

    def on(self, version: str) -> Contender:
        """Return the same on another Python, with that in its name, as `ours@3.11`."""
        return replace(
            self,
            name=f"{self.name}@{version}",
            title=f"{self.title}, Python {version}",
            interpreter=interpreter(version),
        )


def script(file: str) -> Command:
    """Return the command of a file that takes the port as its argument."""
    return lambda port, _: [file, str(port)]


def uvicorn(module: str) -> Command:
    """Return the command of an ASGI application on uvicorn."""
    options = ("--loop", "uvloop", "--http", "httptools", "--ws", "none", "--no-access-log")
    start = ("-m", "uvicorn", f"{module}:app", "--log-level", "warning")
    return lambda port, _: [*start, "--port", str(port), *options]


def service(*flags: str) -> Command:
    """Return the command of the project as it is shipped, with further flags."""

    def command(port: int, action: str) -> list[str]:
        handler = () if action == "invoke" else ("--handler", f"index.{action}")
        at_once = ("--concurrency", "200") if action in AT_ONCE else ()
        address = ("--host", "127.0.0.1", "--port", str(port))
        return ["-m", "service", *address, *handler, *at_once, *flags]

    return command


def without(feature: str) -> Contender:
    """Return the project without one of its features, for the work `features`."""
    program = str(Path(__file__).parent / "contenders" / "without.py")
    address = ("--host", "127.0.0.1", "--port")
    return Contender(
        f"without-{feature}",
        f"without {feature}",
        "ours.py",
        lambda port, _: [program, feature, *address, str(port)],
        frozenset({"features"}),
        saved_as="index.py",
        path="/invoke",
        marks=feature != "markers",
    )


def _ours(name: str, title: str, works: frozenset[str], *flags: str) -> Contender:
    command = service(*flags)
    return Contender(
        name,
        title,
        "ours.py",
        command,
        works,
        note=" ".join(flags) or "as shipped",
        notes=dict.fromkeys(AT_ONCE, "--concurrency 200"),
        saved_as="index.py",
        path="/invoke",
    )


def _framework(source: str, *flags: str) -> Command:
    start = ("-m", "functions_framework", "--source", source, "--host", "127.0.0.1")
    return lambda port, action: [*start, "--port", str(port), "--target", action, *flags]


def _gunicorn(port: int, _: str) -> list[str]:
    options = ("--workers", "1", "--worker-class", "gthread", "--threads", "200")
    address = ("--bind", f"127.0.0.1:{port}")
    return ["-m", "gunicorn", "flask_app:app", *address, *options, "--log-level", "error"]


def _granian(port: int, _: str) -> list[str]:
    process = ("--workers", "1", "--runtime-threads", "1", "--runtime-mode", "st")
    options = ("--interface", "rsgi", "--loop", "uvloop", "--http", "1", "--no-ws")
    address = ("--host", "127.0.0.1", "--port", str(port), "--log-level", "warning")
    return ["-m", "granian", "granian_app:app", *address, *process, *options]


def _robyn(_port: int, _: str) -> list[str]:
    options = ("--processes", "1", "--workers", "1", "--log-level", "ERROR", "--disable-openapi")
    return ["robyn_app.py", *options]


CONTENDERS = [
    _ours(
        OURS,
        "fc-event-service",
        ASYNC | {"sync", "workers", "emulator", "typed", "features"},
    ),
    Contender(
        "aiohttp",
        "aiohttp",
        "aiohttp_app.py",
        script("aiohttp_app.py"),
        ASYNC | {"sync"},
        note="uvloop; one middleware",
        notes={"sync": "the loop's default executor: as many threads as cores, and 4"},
    ),
    Contender(
        "aiohttp-200",
        "aiohttp, 200 threads",
        "aiohttp_app.py",
        script("aiohttp_app.py"),
        frozenset({"sync"}),
        environ={"THREADS": "200"},
        note="uvloop; one middleware; an executor of 200 threads",
    ),
    Contender(
        "starlette",
        "Starlette on uvicorn",
        "starlette_app.py",
        uvicorn("starlette_app"),
        ASYNC,
        needs="starlette",
        note="uvloop, httptools; no middleware",
    ),
    Contender(
        "fastapi",
        "FastAPI on uvicorn",
        "fastapi_app.py",
        uvicorn("fastapi_app"),
        ASYNC | {"sync"},
        needs="fastapi",
        note="uvloop, httptools; no middleware, no models",
        notes={"sync": "40 threads, its default"},
    ),
    Contender(
        "fastapi-200",
        "FastAPI, 200 threads",
        "fastapi_app.py",
        uvicorn("fastapi_app"),
        frozenset({"sync"}),
        needs="fastapi",
        environ={"THREADS": "200"},
        note="uvloop, httptools; no middleware; anyio's limit set to 200 threads",
    ),
    Contender(
        "blacksheep",
        "BlackSheep on uvicorn",
        "blacksheep_app.py",
        uvicorn("blacksheep_app"),
        needs="blacksheep",
        note="uvloop, httptools; no middleware",
    ),
    Contender(
        "sanic",
        "Sanic",
        "sanic_app.py",
        script("sanic_app.py"),
        needs="sanic",
        note="its own server with uvloop and httptools; single process",
    ),
    Contender(
        "robyn",
        "Robyn",
        "robyn_app.py",
        _robyn,
        needs="robyn",
        note="one process, one worker; its server is Rust",
    ),
    Contender(
        "granian",
        "granian RSGI",
        "granian_app.py",
        _granian,
        ASYNC,
        needs="granian",
        note="no framework; one worker, uvloop, HTTP/1 only, single-threaded runtime in Rust",
    ),
    Contender(
        "framework",
        "functions-framework",
        "framework.py",
        _framework("framework.py"),
        SMALL | {"sync"},
        needs="functions_framework",
        environ={"WORKERS": "1", "THREADS": "200"},
        path="/",
        note="on gunicorn: one worker, 200 threads",
    ),
    Contender(
        "framework-asgi",
        "functions-framework --asgi",
        "framework_asgi.py",
        _framework("framework_asgi.py", "--asgi"),
        needs="functions_framework",
        environ={"WORKERS": "1"},
        path="/",
        note="on uvicorn's worker for gunicorn",
    ),
    Contender(
        "flask-gunicorn",
        "Flask on gunicorn",
        "flask_app.py",
        _gunicorn,
        SMALL | {"sync", "read"},
        needs="gunicorn",
        note="gthread: one worker, 200 threads",
    ),
    Contender(
        "flask",
        "Flask's own server",
        "flask_app.py",
        script("flask_app.py"),
        needs="flask",
        note="as in the platform's sample; a connection and a thread per request",
    ),
    Contender(
        "limit",
        "the limit",
        "limit.py",
        script("limit.py"),
        SMALL | {"one"},
        needs="httptools",
        note="a bare asyncio.Protocol on uvloop with httptools: no limits, no routes, no errors",
    ),
    *map(without, ("markers", "deadline", "attribution", "admission", "watchdog")),
]


def lineup(pythons: Mapping[str, str]) -> list[Contender]:
    """Return everybody on the Python that `pythons` has for their name, or else for "": the usual
    one. Ours comes once more on each Python of the work `old`.
    """
    usual = pythons.get("", RUNNING.version)
    entered = [
        replace(contender, interpreter=interpreter(pythons.get(contender.name, usual)))
        for contender in CONTENDERS
    ]
    versions = sorted({OLDER, NEWER, usual}, key=lambda version: [*map(int, version.split("."))])
    old = replace(entered[0], works=frozenset({"old"}), notes={})
    return [*entered, *(old.on(version) for version in versions)]
