"""What the service refuses to start on: an aiohttp that it cannot vouch for, and debug modes."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import aiohttp
from aiohttp import http_parser, web
from aiohttp.web_app import Application

from ..calls.decode import decoder
from ..calls.encode import encode
from ..calls.lifecycle import Lifecycle
from ..errors import ServiceError, StartError
from ..http.answers import Answer
from ..http.backend import Limits
from ..http.heads import MAX_FIELD, MAX_FIELDS, MAX_LINE
from ..http.parser import read_head
from ..http.server import Server
from ..settings.table import Settings

OLDEST = (3, 14, 3)
"""The oldest aiohttp that is served with: older ones let one request change another
(docs/faults.md section 3.1).
"""

CHECK_REMEDY = "install the version of requirements.lock"


def check_start(settings: Settings, environ: Mapping[str, str]) -> None:
    """Raise StartError if what this process runs on is known to be unsafe."""
    check_version(aiohttp.__version__)
    check_parser(settings)
    check_leftovers(environ)


def check_version(version: str) -> None:
    """Refuse an aiohttp whose faults are known."""
    release = tuple(int(part) for part in version.split(".")[:3] if part.isdecimal())
    if release < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise StartError(
            f"aiohttp {version} is older than {oldest}, and has faults by which one request"
            f" changes another: {CHECK_REMEDY}"
        )


def check_parser(settings: Settings) -> None:
    """Refuse aiohttp's pure-Python parser, which most of its request-smuggling faults were in
    (F15).
    """
    if "_http_parser" in http_parser.HttpRequestParser.__module__ or settings.python_parser:
        return
    raise StartError(
        "aiohttp has no C parser here (an install without its extension, or"
        " AIOHTTP_NO_EXTENSIONS is set):"
        " install a wheel of aiohttp for this platform, or start with --python-parser"
    )


def check_leftovers(environ: Mapping[str, str], *flags: str) -> None:
    """Refuse, on an instance of the platform, what is for work at a desk: `flags`, and modes of
    Python. An instance is known by its id (docs/platform.md section 5); one that knows of an
    emulator is at a desk.
    """
    if not environ.get("FC_INSTANCE_ID") or environ.get("FC_EMULATOR_ENDPOINT"):
        return
    modes = {
        "PYTHONASYNCIODEBUG": bool(environ.get("PYTHONASYNCIODEBUG")),
        "PYTHONDEVMODE (or -X dev)": sys.flags.dev_mode,
        # One of aiohttp's faults was in a check that this takes out.
        "PYTHONOPTIMIZE (or -O)": bool(sys.flags.optimize),
    }
    left = [*flags, *(name for name, on in modes.items() if on)]
    if left:
        raise StartError(
            f"{', '.join(left)} is set on an instance of Function Compute (FC_INSTANCE_ID is"
            " there): this is for work at a desk, remove it"
        )


async def check_connection() -> None:
    """Serve requests on a real connection whose transport leads nowhere, and refuse dependencies
    with which that does not work, by name, or with which our limits are not kept (F9).
    """
    app = Application()  # not web's, which traces each request if OpenTelemetry is at work
    app.router.add_post("/", _echo)
    server = Server(app, Lifecycle(drain_timeout=1, hurry=lambda: None), Limits(60, 60, 100))
    try:
        await server.setup()
        for name, request in REQUESTS.items():
            if b"[1,2]" not in await _answer(server, request):
                raise StartError(f"{_told(aiohttp)} does not serve {name}: {CHECK_REMEDY}")
        for name, (limit, make) in CHECKED_HEADS.items():
            # Near: the line and the field are more than the value.
            if not _passes(server, make(limit - 24)) or _passes(server, make(limit + 1)):
                raise StartError(
                    f"{_told(aiohttp)} does not keep the limit of {name}: {CHECK_REMEDY}"
                )
    except StartError:
        raise
    except Exception as reason:
        kind = type(reason).__name__
        raise StartError(
            f"{_misfit(reason)} does not fit here ({kind}: {reason}): {CHECK_REMEDY}"
        ) from reason
    finally:
        await server.cleanup()


def _passes(server: Server, request: bytes) -> bool:
    """Return whether a head is read. It is not given to a connection, which logs a refusal."""
    head = request[: request.index(b"\r\n\r\n") + 4]
    try:
        read_head(head, server(), asyncio.get_running_loop())
    except ServiceError:
        return False
    return True


async def _echo(request: web.Request) -> web.StreamResponse:
    """Answer with the JSON of the body, the way events are."""
    answer = Answer(encode(DECODE(await request.content.read())))
    if "x-long" in request.headers:
        answer.headers["x-long"] = "yes"
    return answer


DECODE = decoder(list)


def _post(*fields: bytes, target: bytes = b"/", body: bytes = b"[1, 2]") -> bytes:
    lines = [b"POST %b HTTP/1.1" % target, b"Host: a", *fields, b"", body]
    return b"\r\n".join(lines)


_SIZED = b"Content-Length: 6"
REQUESTS = {
    "a request": _post(_SIZED),
    "a chunked request": _post(b"Transfer-Encoding: chunked", body=b"6\r\n[1, 2]\r\n0\r\n\r\n"),
    "an answer with fields": _post(_SIZED, b"x-long: yes"),
}
CHECKED_HEADS: dict[str, tuple[int, Callable[[int], bytes]]] = {
    "the request line": (MAX_LINE, lambda size: _post(_SIZED, target=b"/?" + b"a" * (size - 2))),
    "a field": (MAX_FIELD, lambda size: _post(_SIZED, b"a: " + b"a" * size)),
    "the number of fields": (MAX_FIELDS, lambda size: _post(_SIZED, *[b"a: a"] * size)),
}


class Nowhere(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Keep it."""
        self.written += data

    def write_eof(self) -> None:
        """Do nothing."""

    def is_closing(self) -> bool:
        """Say no."""
        return False

    def close(self) -> None:
        """Do nothing."""


async def _answer(server: Server, request: bytes) -> bytes:
    """Return what a connection of its own writes for a request that arrives in two packets."""
    connection, transport = server(), Nowhere()
    connection.connection_made(transport)
    connection.data_received(request[:-3])
    connection.data_received(request[-3:])
    for _ in range(TURNS):
        if b"\r\n\r\n" in transport.written:
            break
        await asyncio.sleep(0)
    connection.connection_lost(None)
    return transport.written


TURNS = 100
"""Turns of the loop in which a request without any wait is answered."""


def _misfit(reason: BaseException) -> str:
    """Return the name and version of the package that a failure came from."""
    packages = [
        frame.f_globals.get("__name__", "").partition(".")[0]
        for frame, _ in traceback.walk_tb(reason.__traceback__)
    ]
    named = [name for name in packages if name in DEPENDENCIES]
    return _told(sys.modules[named[-1] if named else "aiohttp"])


DEPENDENCIES = (
    *("aiohttp", "aiosignal", "frozenlist", "multidict", "propcache", "yarl"),
    *("msgspec", "orjson", "uvloop"),
)


def _told(package: ModuleType) -> str:
    return f"{package.__name__} {getattr(package, '__version__', '')}".strip()
